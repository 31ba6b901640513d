"""The short way of captures answers as the long way does, whatever is sent."""

import gzip
import itertools
import json
from io import BytesIO
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings

from claudemem import bridge, leaving
from claudemem.api import express
from observations import ingest
from observations.errors import StorageAway
from observations.models import Project
from queueing import broker, direct
from tests.claudemem.api.conftest import RawKey

pytestmark = pytest.mark.django_db(transaction=True)

HOOK, EVENT, BATCH = "/v1/hooks/claude-code", "/v1/events", "/v1/events/batch"
# What is made anew for each event, and so differs.
OWN = {b"X-Event-Id", b"X-Job-Id", b"Content-Length"}
_numbers = itertools.count()


def environ(
    path: str, content: bytes, *, method: str = "POST", query: str = "", **more: str
) -> Any:
    return {
        **bridge._FIXED, "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "1", "REMOTE_ADDR": "10.0.0.7",
        "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http", "HTTP_HOST": "127.0.0.1:1",
        "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(content)),
        "HTTP_X_REQUEST_ID": "a-1", "wsgi.input": BytesIO(content), **more,
    }  # fmt: skip


def hook(**fields: Any) -> dict[str, Any]:
    return {
        "hook_event_name": "PostToolUse", "session_id": "s", "cwd": "/a/b", "tool_name": "Bash",
        "tool_use_id": f"t{next(_numbers)}", "tool_input": {"command": "ls"}, **fields,
    }  # fmt: skip


def event(project: Project, **fields: Any) -> dict[str, Any]:
    return {
        "projectId": project.id, "sourceType": "hook", "eventType": "PostToolUse",
        "occurredAtEpoch": 1_700_000_000_000, "payload": {"a": 1}, "contentSessionId": "s",
        "sourceEventId": f"e{next(_numbers)}", **fields,
    }  # fmt: skip


def told(answer: bridge.Answer) -> Any:
    status, headers, content = answer
    body = json.loads(content)
    for one in body.get("events", [body]) if isinstance(body, dict) else []:
        for made in ("event", "generationJob"):
            for name in list(one.get(made) or {}):
                if name.endswith(("Id", "id", "Epoch")):
                    del one[made][name]
    named = sorted((name, b"" if name in OWN else value) for name, value in headers)
    return status, named, body


def both(path: str, *contents: bytes, **more: str) -> tuple[Any, Any]:
    """What is answered by the short way, and by the long one, each to one of the contents."""
    short, long = contents if len(contents) == 2 else contents * 2
    quick = express.answered(environ(path, short, **more))
    assert quick is not None
    return told(quick), told(bridge.called(WSGIHandler(), environ(path, long, **more)))


@pytest.fixture(autouse=True)
def _published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "publish", lambda *_: None)


@pytest.fixture
def authorized(raw_key: RawKey) -> dict[str, str]:
    return {"HTTP_AUTHORIZATION": f"Bearer {raw_key('memories:read', 'memories:write')}"}


def test_what_is_stored_is_told_alike(project: Project, authorized: dict[str, str]) -> None:
    def sent(path: str) -> bytes:
        return json.dumps({
            HOOK: hook(), EVENT: event(project), BATCH: [event(project), event(project)],
        }[path]).encode()  # fmt: skip

    for path in (HOOK, EVENT, BATCH, HOOK, EVENT):
        for more in ({}, {"HTTP_ORIGIN": "http://127.0.0.1:1"}, {"HTTP_ORIGIN": "http://evil"}):
            short, long = both(path, sent(path), sent(path), **authorized, **more)
            assert short == long
            assert short[0] in (200, 201)
    repeated = json.dumps(hook()).encode()
    assert both(HOOK, repeated, **authorized)[1] == both(HOOK, repeated, **authorized)[0]


@pytest.mark.parametrize("path", [HOOK, EVENT])
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"nonsense", b'"text"', b"1e999", b"\xff\xfe", b'{"a": "\\ud800"}',
     b'{"session_id": 7, "hook_event_name": "Stop"}', b"[" * 500, b'{"projectId": "other"}'],
)  # fmt: skip
def test_what_is_wrong_is_told_alike(
    content: bytes, path: str, authorized: dict[str, str], project: Project
) -> None:
    short, long = both(path, content, **authorized)
    assert short == long
    assert short[0] >= 400 or content == b'{"a": "\\ud800"}'


@pytest.mark.parametrize(
    "more",
    [{"HTTP_AUTHORIZATION": ""}, {"HTTP_AUTHORIZATION": "Bearer wrong"}, {"HTTP_X_API_KEY": "no"},
     {"HTTP_CONTENT_ENCODING": "br"}, {"HTTP_CONTENT_ENCODING": "gzip"},
     {"CONTENT_LENGTH": "99999999"}, {"CONTENT_LENGTH": "9999"}],
    ids=str,
)  # fmt: skip
def test_who_may_not_or_sends_it_badly_is_told_alike(
    more: dict[str, str], authorized: dict[str, str], project: Project
) -> None:
    content = json.dumps(event(project, projectId="other")).encode()
    short, long = both(EVENT, content, **{**authorized, **more})
    assert short == long
    assert short[0] >= 400


def test_a_key_that_may_only_read_or_is_of_another_project_is_refused_alike(
    project: Project, raw_key: RawKey
) -> None:
    reads = {"HTTP_AUTHORIZATION": f"Bearer {raw_key('memories:read')}"}
    for path in (HOOK, EVENT):
        short, long = both(path, json.dumps(event(project)).encode(), **reads)
        assert short == long
        assert short[0] == 403


def test_compressed_bodies_are_taken_alike(project: Project, authorized: dict[str, str]) -> None:
    sent = [gzip.compress(json.dumps(hook()).encode()) for _ in range(2)]
    short, long = both(HOOK, *sent, **authorized, HTTP_CONTENT_ENCODING="gzip")
    assert short == long
    assert short[0] == 200


@pytest.mark.parametrize("error", [StorageAway("away"), ValueError("a fault of ours")], ids=repr)
def test_what_goes_wrong_here_is_told_alike(
    error: Exception,
    project: Project,
    authorized: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(ingest, "capture", fail)
    short, long = both(EVENT, json.dumps(event(project)).encode(), **authorized)
    assert short == long
    assert short[0] >= 500
    said = [record.getMessage() for record in caplog.records if record.name == "django.request"]
    assert len(said) == 2
    assert said[0] == said[1]


def test_a_server_that_ends_says_so_alike(project: Project, authorized: dict[str, str]) -> None:
    sent = [json.dumps(hook()).encode() for _ in range(2)]
    leaving.begun.set()
    try:
        short, long = both(HOOK, *sent, **authorized)
    finally:
        leaving.begun.clear()
    assert short == long
    assert (b"Connection", b"close") in short[1]


@override_settings(RATE_LIMIT_PER_MIN=5)
def test_how_a_key_stands_with_its_rate_is_told_alike(
    project: Project, authorized: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = direct.now()
    monkeypatch.setattr(direct, "now", lambda: now)  # no minute ends meanwhile
    sent = [json.dumps(hook()).encode() for _ in range(8)]
    answers = [both(HOOK, *pair, **authorized) for pair in zip(sent[::2], sent[1::2], strict=True)]
    flat = [one for pair in answers for one in pair]
    assert [status for status, _, _ in flat] == [200] * 5 + [429] * 3
    left = [dict(headers)[b"X-RateLimit-Remaining"] for _, headers, _ in flat]
    assert left == [b"4", b"3", b"2", b"1", b"0", b"0", b"0", b"0"]


def test_all_else_goes_the_long_way() -> None:
    for changed in (
        {"method": "GET"}, {"method": "OPTIONS"}, {"method": "HEAD"}, {"query": "wait=true"},
    ):  # fmt: skip
        assert express.answered(environ(EVENT, b"{}", **changed)) is None  # type: ignore[arg-type]
    for path in ("/v1/Events", "/v1/events/", "/v1/search", "/healthz", "/"):
        assert express.answered(environ(path, b"{}")) is None
