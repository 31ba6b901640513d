"""The hook client and a server that is stopped, stands still and comes back: each payload of a
hook is stored, once and in its place.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.contracts.conftest import Wire
from tests.hooks import AWAY, CAPTURE, CONTEXT, Hooks, prompt, tool_call
from tests.stack import Stack, free_port, payloads, recording

pytestmark = pytest.mark.stack

GARBAGE = b'\n{"agent": "claude-code", "session": "s", "hea'


@pytest.fixture
def stack(wire: Wire) -> Stack:
    return wire.stack


@pytest.fixture
def key(wire: Wire) -> str:
    return wire.world.keys["one"]


@pytest.fixture
def hooks(stack: Stack, key: str, tmp_path: Path) -> Hooks:
    return Hooks(tmp_path / "client", stack.url, key)


@pytest.fixture
def own() -> str:
    """A session of one's own."""
    return uuid4().hex


def stored(stack: Stack, session: str) -> list[dict[str, Any]]:
    """The payloads that are stored of a session, in its order."""
    rows = stack.sql(
        "SELECT e.payload FROM observations_event e JOIN observations_session s "
        "ON s.id = e.session_id WHERE s.content_session_id = ? ORDER BY e.number",
        session,
    )
    return [json.loads(row) if isinstance(row, str) else row for (row,) in rows]


def ids(events: list[dict[str, Any]]) -> list[str]:
    return [event.get("tool_use_id") or event["hook_event_name"] for event in events]


def test_what_happened_while_the_server_was_stopped_is_stored_once_and_in_order(
    wire: Wire, stack: Stack, key: str, hooks: Hooks, own: str
) -> None:
    recorded = [{**each, "session_id": own} for each in payloads([recording("locks-explained")])]
    others = [tool_call(number, f"{own}-{number}") for number in range(4)]
    port = free_port()
    hooks.configure(f"http://127.0.0.1:{port}", "cmem_wrong")
    ran = [hooks.run(payload) for payload in recorded[:-1]]
    ran += hooks.all(others)
    waited = hooks.waiting()

    assert [(each.code, each.printed) for each in ran] == [(0, "")] * len(ran)
    assert max(each.seconds for each in ran) < CAPTURE
    assert waited[: len(recorded) - 1] == recorded[:-1]
    assert Counter(map(json.dumps, waited[len(recorded) - 1 :])) == Counter(map(json.dumps, others))

    url = wire.beside(CLAUDE_MEM_SERVER_PORT=str(port))
    with hooks.spool.open("ab") as file:
        file.write(GARBAGE)
    hooks.run(recorded[-1])
    assert "the server answers 403, the key is wrong" in hooks.log
    hooks.configure(url, key)
    hooks.send_rest()

    assert ids(stored(stack, own)) == ids(recorded)
    for payload in others:
        assert ids(stored(stack, payload["session_id"])) == ids([payload])
    rows = "SELECT count(*) FROM observations_event e JOIN observations_session s "
    rows += "ON s.id = e.session_id WHERE s.content_session_id = ? AND occurred_at < received_at"
    assert stack.sql(rows, own) == [(len(recorded),)]
    assert f"{len(GARBAGE)} bytes of the spool cannot be sent" in hooks.log


def test_a_server_that_stands_still_is_left_and_stores_it_once_when_it_goes_on(
    stack: Stack, hooks: Hooks, own: str
) -> None:
    # The first and the last have no id of their own.
    said = [
        {"hook_event_name": "SessionStart", "session_id": own, "cwd": "/", "source": "resume"},
        tool_call(1, own),
        prompt(own),
        {"hook_event_name": "Notification", "session_id": own, "cwd": "/", "message": "hm"},
    ]
    hooks.hurried = True
    with stack.frozen("web"):
        ran = [hooks.run(payload) for payload in said]
        assert hooks.waiting() == said
    hooks.send_rest()

    assert [(each.code, each.printed) for each in ran] == [(0, "")] * 4
    assert max(each.seconds for each in ran) < CONTEXT
    assert ids(stored(stack, own)) == ids(said)


def test_clients_at_once_send_what_waits_once_and_in_order(
    stack: Stack, key: str, hooks: Hooks, own: str
) -> None:
    hooks.configure(AWAY)
    for number in range(6):
        hooks.run(tool_call(number, own))
    hooks.configure(stack.url, key)
    hooks.hurried = True
    ran = hooks.all([tool_call(number, own) for number in range(6, 10)])
    hooks.send_rest()

    assert {each.code for each in ran} == {0}
    assert max(each.seconds for each in ran) < CAPTURE
    names = ids(stored(stack, own))
    assert names[:6] == [f"{own}-{number}" for number in range(6)]
    assert sorted(names[6:]) == [f"{own}-{number}" for number in range(6, 10)]


def test_payloads_of_5_mb_and_more_are_stored(
    stack: Stack, key: str, hooks: Hooks, own: str
) -> None:
    def large(number: int, words: int) -> dict[str, Any]:
        return tool_call(number, own, tool_response={"stdout": "line " * words, "stderr": "e"})

    ran = [hooks.run(large(1, 1_000_000)), hooks.run(large(2, 1_400_000))]
    hooks.configure(AWAY)
    ran.append(hooks.run(large(3, 1_000_000)))
    hooks.configure(stack.url, key)
    hooks.send_rest()

    assert {each.code for each in ran} == {0}
    first, second, third = stored(stack, own)
    assert first["tool_response"]["stdout"].startswith("line ")
    assert "characters left out" in second["tool_response"]["stdout"]
    assert second["tool_response"]["stderr"] == "e"
    assert third["tool_use_id"] == f"{own}-3"
