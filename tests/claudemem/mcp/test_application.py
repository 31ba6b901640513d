"""The protocol over HTTP, without a server around it."""

import asyncio
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx2
import hypothesis
import pytest
from django.conf import settings
from django.test import override_settings
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from claudemem.api import admission
from claudemem.mcp import incoming
from claudemem.mcp.application import _open as open_streams
from claudemem.mcp.application import application
from observations import keys, lastused, scopes
from observations.models import AuditEntry, MonthlyUsage, Project, Team
from queueing import direct

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
BOTH = "application/json, text/event-stream"
URL = "http://127.0.0.1:37877/v1/mcp"
NO_MESSAGES = (
    b"", b"{", b"[]", b"null", b"7", b'{"jsonrpc":"1.0","id":1,"method":"ping"}', b"{}",
    b'[{"a":1}]', b"[" * 100_000, b"\xff\xfe",
)  # fmt: skip


@dataclass(frozen=True)
class Door:
    """The application as somebody with a key sees it."""

    key: str

    def post(self, body: Any = PING, **headers: str) -> httpx2.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.call("POST", content, **headers)

    def call(self, method: str, content: bytes = b"", **headers: str) -> httpx2.Response:
        """A call with `headers` given as `X_Request_Id="…"`; an empty one is left out."""
        usual = {"Authorization": f"Bearer {self.key}" if self.key else "", "Accept": BOTH,
                 "Content-Type": "application/json"}  # fmt: skip
        named = usual | {name.replace("_", "-"): value for name, value in headers.items()}
        given = {name: value for name, value in named.items() if value}

        async def called() -> httpx2.Response:
            transport = httpx2.ASGITransport(application)
            async with httpx2.AsyncClient(transport=transport) as client:
                client.headers.pop("Accept")
                return await client.request(method, URL, content=content, headers=given)

        return asyncio.run(called())


@pytest.fixture
def raw(transactional_db: None) -> Iterator[str]:
    """A key of a project, for requests whose threads see what is committed alone."""
    team = Team.objects.create(name="team")
    project = Project.objects.create(team=team, name="procrastinate")
    yield keys.create("test", [scopes.MEMORIES_READ], team=team, project=project).raw
    lastused.shared.finish()


@pytest.fixture
def door(raw: str) -> Door:
    return Door(raw)


def called(name: str, **arguments: Any) -> dict[str, Any]:
    """The message that calls a tool."""
    params = {"name": name, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}


def test_a_message_needs_no_handshake_before_it(door: Door) -> None:
    answer = door.post({"jsonrpc": "2.0", "id": "a", "method": "tools/list"})

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert "Mcp-Session-Id" not in answer.headers
    assert {each["name"] for each in answer.json()["result"]["tools"]} >= {"search", "recent"}


def test_the_version_that_a_client_asks_for_is_spoken(door: Door) -> None:
    for version in HANDSHAKE_PROTOCOL_VERSIONS:
        params = {
            "protocolVersion": version,
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        }

        answer = door.post({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
        told = answer.json()["result"]

        assert told["protocolVersion"] == version
        assert set(told["capabilities"]) == {"tools"}
        assert told["serverInfo"]["name"] == "claude-mem"


def test_the_protocol_without_handshakes_is_spoken_as_well(door: Door) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    message = called("projects")
    message["params"]["_meta"] = meta

    answer = door.post(
        message,
        Mcp_Protocol_Version="2026-07-28", Mcp_Method="tools/call", Mcp_Name="projects",
    )  # fmt: skip

    assert answer.status_code == 200
    assert "procrastinate" in answer.json()["result"]["content"][0]["text"]


def test_a_client_must_take_both_kinds_of_answers(door: Door) -> None:
    for accept in ("", "application/json", "text/event-stream", "text/html"):
        answer = door.post(Accept=accept)

        assert answer.status_code == 406
        assert answer.json() == {
            "jsonrpc": "2.0",
            "error": {
                "code": -32000,
                "message": "Not Acceptable: Client must accept both application/json and "
                "text/event-stream",
            },
            "id": None,
        }


def test_a_body_must_say_that_it_is_json(door: Door) -> None:
    for sent in ("", "text/plain", "application/x-www-form-urlencoded"):
        answer = door.post(Content_Type=sent)

        assert answer.status_code == 415
        assert "Content-Type must be application/json" in answer.json()["error"]["message"]


def test_what_is_no_message_is_refused(door: Door) -> None:
    for body in NO_MESSAGES:
        answer = door.post(body)

        assert answer.status_code == 400
        assert answer.json()["error"]["code"] in (-32700, -32600)


def test_notifications_are_taken_without_an_answer(door: Door) -> None:
    answer = door.post({"jsonrpc": "2.0", "method": "notifications/initialized"})

    assert (answer.status_code, answer.content) == (202, b"")


def test_an_unknown_method_is_told_as_the_protocol_does(door: Door) -> None:
    answer = door.post({"jsonrpc": "2.0", "id": 1, "method": "resources/list"})

    assert answer.json()["error"]["code"] == -32601


def test_a_batch_is_answered_in_its_order(door: Door) -> None:
    batch = [PING, {"jsonrpc": "2.0", "method": "notifications/initialized"}, called("projects")]

    answer = door.post(batch)

    assert answer.status_code == 200
    assert [each["id"] for each in answer.json()] == [1, 7]
    assert door.post(batch[1:2]).status_code == 202


def test_a_batch_has_a_bound(door: Door) -> None:
    answer = door.post([PING] * (incoming.MOST_MESSAGES + 1))

    assert answer.status_code == 400


def test_who_has_no_key_is_told_before_the_body_is_read(door: Door) -> None:
    for key, status, error in [("", 401, "Unauthorized"), ("cmem_wrong", 403, "Forbidden")]:
        answer = Door(key).post(b"{", Accept="text/html")

        assert answer.status_code == status
        assert answer.json()["error"] == error


def test_a_key_without_the_scope_is_refused(door: Door) -> None:
    team = Team.objects.get()
    hook = keys.create("hook", [scopes.EVENTS_WRITE], team=team).raw

    assert Door(hook).post().status_code == 403


def test_a_key_that_is_revoked_is_refused_from_the_next_call_on(door: Door) -> None:
    assert door.post().status_code == 200
    keys.revoke(keys.listed().get().pk)

    assert door.post().status_code == 403


def test_a_body_may_be_compressed_and_has_a_limit(door: Door) -> None:
    packed = gzip.compress(json.dumps(PING).encode())
    bomb = gzip.compress(b" " * (settings.MAX_BODY_BYTES + 1))

    assert door.post(packed, Content_Encoding="gzip").json()["result"] == {}
    assert door.post(bomb, Content_Encoding="gzip").status_code == 413
    assert door.post(b" " * (settings.MAX_BODY_BYTES + 1)).status_code == 413
    assert door.post(packed, Content_Encoding="br").status_code == 415


def test_a_page_of_another_host_may_not_call(door: Door) -> None:
    for origin in ("https://evil.example", "http://127.0.0.1.evil.example", "null", "http://["):
        assert door.post(Origin=origin).status_code == 403


def test_a_page_of_this_machine_may(door: Door) -> None:
    for origin in ("http://localhost:5173", "http://127.0.0.1:37877"):
        assert door.post(Origin=origin).status_code == 200


@pytest.mark.parametrize(("expects", "read"), [(False, 3), (True, 0)])
def test_a_refused_body_is_read_away_unless_its_sender_waits_to_be_asked(
    transactional_db: None, expects: bool, read: int
) -> None:
    pieces = [{"type": "http.request", "body": b"x", "more_body": left > 0} for left in (2, 1, 0)]
    left_when_answered: list[int] = []

    async def receive() -> dict[str, Any]:
        return pieces.pop(0)

    async def send(_: Any) -> None:
        left_when_answered.append(len(pieces))

    headers = [(b"expect", b"100-continue")] if expects else []
    scope = {"type": "http", "method": "POST", "path": "/v1/mcp", "headers": headers}
    asyncio.run(application(scope, receive, send))

    assert left_when_answered[0] == 3 - read


@override_settings(RATE_LIMIT_PER_MIN=3)
def test_each_message_counts_as_a_call(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = datetime(2026, 3, 31, 23, 59, 30, tzinfo=UTC)
    monkeypatch.setattr(admission.direct, "now", lambda: moment)

    first, batch = door.post(), door.post([PING] * 3)

    assert first.headers["X-RateLimit-Remaining"] == "2"
    assert batch.status_code == 429
    assert batch.json()["error"] == "rate_limited"
    assert batch.headers["Retry-After"] == "30"


@override_settings(MONTHLY_TOKEN_CAP=1)
def test_who_has_used_up_a_cap_reads_on_and_writes_no_more(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = direct.now()
    monkeypatch.setattr(direct, "now", lambda: now)  # no month ends meanwhile
    team, month = Team.objects.get(), now.date().replace(day=1)
    MonthlyUsage.objects.create(team_id=team.id, month=month, kind="tokens", quantity=1)
    writer = Door(keys.create("writer", ["*"], team=team, project=Project.objects.get()).raw)

    refused = writer.post(called("remember", content="x"))

    assert (refused.status_code, refused.json()["error"]) == (402, "quota_exceeded")
    assert writer.post(called("recent")).status_code == 200


def test_no_more_streams_are_open_than_leave_connections_to_others(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claudemem.mcp.application.MOST_STREAMS", 0)

    answer = door.call("GET", Accept="text/event-stream")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert door.post().status_code == 200


def test_a_stream_is_had_by_those_alone_who_take_one(door: Door) -> None:
    answer = door.call("GET", Accept="application/json")

    assert answer.status_code == 406
    assert answer.json()["error"]["message"] == (
        "Not Acceptable: Client must accept text/event-stream"
    )


@pytest.mark.parametrize("ending", ["the reader", "the server"])
def test_a_stream_stays_open_until_somebody_goes(raw: str, ending: str) -> None:
    told: list[Any] = []

    async def held_open() -> None:
        closing, gone, begun = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            told.append(message)
            begun.set()

        scope = {
            "type": "http", "method": "GET", "path": "/v1/mcp", "state": {"closing": closing},
            "client": ("127.0.0.1", 1),
            "headers": [(b"authorization", f"Bearer {raw}".encode()), (b"accept", BOTH.encode())],
        }  # fmt: skip
        stream = asyncio.ensure_future(application(scope, receive, send))
        await begun.wait()
        assert not stream.done()
        assert len(open_streams) == 1
        (gone if ending == "the reader" else closing).set()
        await asyncio.wait_for(stream, 30)

    asyncio.run(held_open())

    assert dict(told[0]["headers"])[b"Content-Type"] == b"text/event-stream"
    assert told[-1]["more_body"] is False
    assert not open_streams


def test_a_request_leaves_its_own_id_in_the_audit(door: Door) -> None:
    answer = door.post(called("recent"), X_Request_Id="mine-1")

    assert answer.json()["result"]["isError"] is False
    entry = AuditEntry.objects.get(action="observation.read")
    assert (entry.details["requestId"], entry.details["via"]) == ("mine-1", "mcp")


def test_a_tool_that_fails_is_no_failure_of_the_transport(door: Door) -> None:
    answer = door.post(called("search"))

    assert answer.status_code == 200
    assert answer.json()["result"] == {
        "content": [{"type": "text", "text": '"query" is required'}],
        "isError": True,
    }


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
METHODS = st.sampled_from(
    ["initialize", "ping", "tools/list", "tools/call", "server/discover", "notifications/cancelled",
     "subscriptions/listen", "logging/setLevel", "completion/complete"]
)  # fmt: skip
MESSAGES = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "method": METHODS | st.text()},
    optional={
        "id": st.integers() | st.text() | VALUES,
        "params": st.dictionaries(
            st.sampled_from(["name", "arguments", "_meta", "protocolVersion"]), VALUES
        )
        | VALUES,
    },
)


@given(body=MESSAGES | st.lists(MESSAGES, max_size=3) | VALUES, modern=st.booleans())
@hypothesis.settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_whatever_is_sent_is_answered_and_is_no_failure_of_the_server(
    door: Door, body: Any, modern: bool
) -> None:
    headers = {"Mcp_Protocol_Version": "2026-07-28"} if modern else {}

    answer = door.post(body, **headers)

    assert answer.status_code in (200, 202, 400, 404)
    assert answer.status_code == 202 or answer.json()
