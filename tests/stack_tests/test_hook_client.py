"""The hook client and a server that is stopped, stands still and comes back: each payload of a
hook is stored, once and in its place.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.hooks import AWAY, CAPTURE, CONTEXT, Hooks, Ran, prompt, tool_call
from tests.stack import DATABASE, Stack, payloads, recording
from tests.waiting import until

pytestmark = pytest.mark.stack

RECORDED = payloads([recording("locks-explained")])
OTHERS = [tool_call(number, f"other-{number}") for number in range(4)]
GARBAGE = b'\n{"agent": "claude-code", "session": "s", "hea'


@dataclass(frozen=True, slots=True)
class Stopped:
    """What hooks did while no server ran, and the server that was started then."""

    stack: Stack
    ran: list[Ran]
    waited: list[dict[str, Any]]
    hooks: Hooks


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stopped]:
    home = tmp_path_factory.mktemp("hook-client")
    running = Stack(home, engine=DATABASE)
    hooks = Hooks(home / "client", running.url)
    ran = [hooks.run(payload) for payload in RECORDED[:-1]]
    ran += hooks.all(OTHERS)
    waited = hooks.waiting()
    try:
        running.start()
        running.make_key()
        yield Stopped(running, ran, waited, hooks)
    finally:
        running.stop()


@pytest.fixture
def stack(stopped: Stopped) -> Stack:
    return stopped.stack


@pytest.fixture
def hooks(stack: Stack, tmp_path: Path) -> Hooks:
    return Hooks(tmp_path / "client", stack.url, stack.key)


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


def send_rest(hooks: Hooks) -> None:
    """Run hooks that bring nothing until nothing waits."""
    hooks.forget_pause()
    until(lambda: hooks.run(b"").code == 0 and not hooks.waiting())


def test_what_happened_while_the_server_was_stopped_is_stored_once_and_in_order(
    stopped: Stopped,
) -> None:
    assert [(each.code, each.printed) for each in stopped.ran] == [(0, "")] * len(stopped.ran)
    assert max(each.seconds for each in stopped.ran) < CAPTURE
    assert stopped.waited[: len(RECORDED) - 1] == RECORDED[:-1]
    assert Counter(map(json.dumps, stopped.waited[len(RECORDED) - 1 :])) == Counter(
        map(json.dumps, OTHERS)
    )

    stack, hooks = stopped.stack, stopped.hooks
    with hooks.spool.open("ab") as file:
        file.write(GARBAGE)
    hooks.run(RECORDED[-1])
    assert "the server answers 403, the key is wrong" in hooks.log
    hooks.configure(stack.url, stack.key)
    send_rest(hooks)

    assert ids(stored(stack, RECORDED[0]["session_id"])) == ids(RECORDED)
    for payload in OTHERS:
        assert ids(stored(stack, payload["session_id"])) == ids([payload])
    late = "occurred_at < received_at"
    assert stack.count("observations_event", late) == len(RECORDED) + len(OTHERS)
    assert f"{len(GARBAGE)} bytes of the spool are no payloads" in hooks.log


def test_a_server_that_stands_still_is_left_and_stores_it_once_when_it_goes_on(
    stack: Stack, hooks: Hooks
) -> None:
    # The first and the last have no id of their own.
    said = [
        {"hook_event_name": "SessionStart", "session_id": "still", "cwd": "/", "source": "resume"},
        tool_call(1, "still"),
        prompt("still"),
        {"hook_event_name": "Notification", "session_id": "still", "cwd": "/", "message": "hm"},
    ]
    with stack.frozen("web"):
        ran = [hooks.run(payload) for payload in said]
        assert hooks.waiting() == said
    send_rest(hooks)

    assert [(each.code, each.printed) for each in ran] == [(0, "")] * 4
    assert max(each.seconds for each in ran) < CONTEXT
    assert ids(stored(stack, "still")) == ids(said)


def test_clients_at_once_send_what_waits_once_and_in_order(stack: Stack, hooks: Hooks) -> None:
    hooks.configure(AWAY)
    for number in range(6):
        hooks.run(tool_call(number, "crowd"))
    hooks.configure(stack.url, stack.key)
    ran = hooks.all([tool_call(number, "crowd") for number in range(6, 10)])
    send_rest(hooks)

    assert {each.code for each in ran} == {0}
    assert max(each.seconds for each in ran) < CAPTURE
    names = ids(stored(stack, "crowd"))
    assert names[:6] == [f"crowd-{number}" for number in range(6)]
    assert sorted(names[6:]) == [f"crowd-{number}" for number in range(6, 10)]


def test_payloads_of_5_mb_and_more_are_stored(stack: Stack, hooks: Hooks) -> None:
    large = tool_call(1, "large", tool_response={"stdout": "line " * 1_000_000, "stderr": "e"})
    larger = tool_call(2, "large", tool_response={"stdout": "line " * 1_400_000, "stderr": "e"})
    ran = [hooks.run(large), hooks.run(larger)]
    hooks.configure(AWAY)
    ran.append(hooks.run(tool_call(3, "large", tool_response={"stdout": "line " * 1_000_000})))
    hooks.configure(stack.url, stack.key)
    send_rest(hooks)

    assert {each.code for each in ran} == {0}
    first, second, third = stored(stack, "large")
    assert first["tool_response"]["stdout"].startswith("line ")
    assert "characters left out" in second["tool_response"]["stdout"]
    assert second["tool_response"]["stderr"] == "e"
    assert third["tool_use_id"] == "large-3"
