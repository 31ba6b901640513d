"""Requests that nobody thought of: made of the document, and of JSON at its worst.

CLAUDE_MEM_TEST_FUZZ=50 makes fifty times as many.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from hypothesis import given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from observations.models import Project
from tests.claudemem.api import fuzzing
from tests.claudemem.api.conftest import Api, told
from tests.claudemem.api.fuzzing import Known

# How many times as many requests are made as in every run.
THOROUGH = int(os.environ.get("CLAUDE_MEM_TEST_FUZZ", "1"))
OPERATIONS = [pytest.param(each, id=each.label) for each in fuzzing.operations()]
TAKING = [
    "/v1/events",
    "/v1/events/batch",
    "/v1/hooks/claude-code",
    "/v1/sessions/start",
    "/v1/memories",
    "/v1/search",
    "/v1/context",
]
# Text with all that text may not have, and that is not text.
TEXT = st.one_of(
    st.text(),
    st.text(st.characters(categories=["Cs", "Cc", "Cf", "Zl", "Co", "Cn", "Mn"]), max_size=20),
    st.sampled_from(["\0", "\ud800", "a\0b", "\udcff\ud83d", "\ufeff", "\u202e", "A" * 5000]),
)
NUMBERS = st.one_of(
    st.integers(),
    st.sampled_from([2**53, 2**63, -(2**63), 2**64, 10**30, 10**400, 8_640_000_000_000_001]),
    st.floats(),
    st.sampled_from([-0.0, 5e-324, 1.7976931348623157e308, 1e16]),
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from([
    "projectId", "sourceType", "eventType", "occurredAtEpoch", "serverSessionId", "payload",
    "contentSessionId", "platformSource", "sourceEventId", "metadata", "externalSessionId",
    "content", "kind", "title", "query", "limit", "session_id", "hook_event_name", "tool_name",
    "tool_input", "tool_response", "cwd", "prompt", "tool_use_id", "agentId",
])  # fmt: skip


@pytest.fixture
def known(api: Api, event: dict[str, Any], project: Project, settings: Any) -> Known:
    """What is there, at a server that waits for no job."""
    settings.WAIT_SECONDS = 0.0
    session = told(api.post("/v1/sessions/start", {"projectId": project.id}), 201)["session"]
    stored = told(api.post("/v1/events", event), 201)
    memory = told(api.post("/v1/memories", {"projectId": project.id, "content": "a"}), 201)
    ids = {
        "event_id": stored["event"]["id"],
        "job_id": stored["generationJob"]["id"],
        "session_id": session["id"],
        "memory_id": memory["memory"]["id"],
        "project_id": project.id,
        "team_id": project.team_id,
    }
    return Known(api.key, project.id, ids)


@pytest.mark.usefixtures("asked_anew")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_whatever_is_asked_the_answer_is_documented_and_no_failure(
    operation: Any, known: Known
) -> None:
    examples = 8 if operation.body else 3

    @bounds(max_examples=examples * THOROUGH, **fuzzing.RELAXED)
    @given(fuzzing.cases(operation), st.booleans())
    def ask(case: Any, aimed: bool) -> None:
        if aimed:
            known.aim(case)
        known.send(case)

    ask()


@contextmanager
def untouched() -> Iterator[None]:
    """Fail if any table has more or fewer rows afterwards."""
    before = _rows()
    yield
    assert _rows() == before


def _rows() -> dict[str, int]:
    tables = [model._meta.db_table for model in apps.get_models()]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(f"SELECT '{t}', count(*) FROM \"{t}\"" for t in tables))
        return dict(cursor.fetchall())


def _sent(api: Api, path: str, content: bytes) -> None:
    """Send it. Fails on a failure, and where what was refused left something."""
    before = _rows()
    answer = api.call("POST", path, content)
    assert answer.status_code in (200, 201, 400, 403, 413), answer.content
    if answer.status_code >= 400:
        assert _rows() == before


def _whole(path: str, project: Project) -> dict[str, Any]:
    """A body that this address takes."""
    return {
        "projectId": project.id,
        "sourceType": "api",
        "eventType": "tool_use",
        "occurredAtEpoch": 1,
        "content": "a",
        "query": "a",
        "session_id": "s",
        "hook_event_name": "PostToolUse",
        "cwd": "/home/ada/a",
    }


def _text(value: Any) -> bytes:
    """JSON as careless writers make it: what is no character is told as it is."""
    return json.dumps(value).encode()


@pytest.mark.parametrize("path", TAKING)
def test_json_at_its_worst_is_taken_or_refused_and_never_half_stored(
    path: str, api: Api, project: Project
) -> None:
    @bounds(max_examples=12 * THOROUGH, **fuzzing.RELAXED)
    @given(st.dictionaries(KEYS, JSON, max_size=4), st.booleans(), JSON)
    def send(odd: dict[str, Any], whole: bool, beside: Any) -> None:
        body: Any = {**_whole(path, project), **odd} if whole else odd
        if path.endswith("batch"):
            body = [_whole(path, project), body, beside]
        _sent(api, path, _text(body))

    send()


@pytest.mark.parametrize("path", TAKING)
def test_bytes_at_their_worst_are_refused_or_cleaned(path: str, api: Api, project: Project) -> None:
    whole = _whole(path, project)
    lead = json.dumps(whole)[:-1].encode()
    deep = b"[" * 5000 + b"]" * 5000
    for odd in [
        b"\xff\xfe", b"null", b"1", b'"a"', b"[]", b"[[]]", b"[null]", b"{}", b"{", b"[1,",
        b"NaN", b"Infinity", b'{"a":1e999}', b"\xef\xbb\xbf{}", b"{} {}", b"1" * 100_000,
        lead + b',"payload":' + deep + b"}", lead + b',"metadata":{"a":' + deep + b"}}",
        lead + b',"payload":"\xed\xa0\x80"}', lead + b',"payload":"\\ud800"}',
        lead + b',"payload":"\\u0000"}', lead + b',"payload":{"\\u0000":1}}',
        lead + b',"occurredAtEpoch":1e400}', lead + b',"occurredAtEpoch":' + b"9" * 5000 + b"}",
        lead + b',"metadata":{"a":' + b"9" * 400 + b"}}", lead + b',"payload":1e-400}',
        lead + b',"projectId":"\\u0000"}', lead + b',"limit":-1}', lead + b',"limit":1e3}',
        lead + b',"metadata":{"\\ud800":"\\udfff"}}', lead + b',"' + b"k" * 100_000 + b'":1}',
    ]:  # fmt: skip
        _sent(api, path, b"[" + odd + b"]" if path.endswith("batch") and odd[:1] == b"{" else odd)


def test_of_a_key_that_is_there_twice_the_last_counts(api: Api, event: dict[str, Any]) -> None:
    twice = json.dumps(event)[:-1].encode() + b',"eventType":"first","eventType":"last"}'
    assert told(api.post("/v1/events", twice), 201)["event"]["eventType"] == "last"
    refused = json.dumps(event)[:-1].encode() + b',"eventType":7}'
    with untouched():
        told(api.post("/v1/events", refused), 400)
