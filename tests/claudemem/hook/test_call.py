"""What the client understands of a payload, agent by agent."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from claudemem.hook import manners
from claudemem.hook.call import Call, NoCall, understood
from claudemem.install import BY_NAME
from observations import agents

pytestmark = pytest.mark.once


def made(agent: str, **said: Any) -> Call:
    return understood(agent, json.dumps(said).encode())


def test_a_call_knows_what_the_agent_waits_for() -> None:
    start = made("claude-code", hook_event_name="SessionStart", session_id="s", cwd="/x")
    assert (start.event, start.session, start.cwd) == ("SessionStart", "s", "/x")
    assert (start.asks, start.starts, start.ends) == (True, True, False)
    end = made("claude-code", hook_event_name="SessionEnd", session_id="s")
    assert (end.asks, end.starts, end.ends) == (False, False, True)
    assert start.delivery != end.delivery


@pytest.mark.parametrize(
    ("said", "cwd"),
    [
        ({"cwd": "/a", "workspace_roots": ["/b"]}, "/a"),
        ({"workspace_roots": ["/b", "/c"]}, "/b"),
        ({"tool_info": {"cwd": "/d"}}, "/d"),
        ({"cwd": 7, "workspace_roots": [], "tool_info": "x"}, ""),
        ({}, ""),
    ],
)
def test_the_directory_is_where_an_agent_says_it(said: dict[str, Any], cwd: str) -> None:
    assert made("cursor", **said).cwd == cwd


def test_what_is_not_understood_is_a_capture() -> None:
    call = made("some-agent", hook_event_name=["SessionStart"], session_id=None)
    assert (call.event, call.session, call.asks) == ("", "", False)


def test_what_is_no_object_is_no_call() -> None:
    for text in (b"", b"7", b"[]", b"{", b'{"a": "\n"}'):
        with pytest.raises(NoCall):
            understood("claude-code", text)


def test_where_a_place_cannot_be_read_the_call_goes_without(tmp_path: Path) -> None:
    call = made("claude-code", hook_event_name="Stop", cwd=str(tmp_path / "gone"))
    call.locate()
    assert set(call.headers) == {"X-Claude-Mem-Delivery"}


def test_a_directory_whose_name_cannot_be_sent_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / os.fsdecode(b"\xff\nx")
    odd.mkdir()
    monkeypatch.chdir(odd)
    call = made("windsurf", agent_action_name="pre_user_prompt")
    call.locate()
    assert set(call.headers) == {"X-Claude-Mem-Delivery"}


@pytest.mark.parametrize("agent", sorted(manners.BY_AGENT))
def test_each_agent_in_the_table_has_a_route_and_hooks_of_ours(agent: str) -> None:
    assert agent in agents.BY_NAME
    assert agent in BY_NAME


@pytest.mark.parametrize("agent", sorted(set(manners.BY_AGENT) - {"claude-code"}))
def test_the_table_names_fields_that_the_server_requires(agent: str) -> None:
    manner = manners.BY_AGENT[agent]
    event = next(iter(manner.starts))
    hook = agents.BY_NAME[agent].understand({manner.names: event, manner.session: "s-1"})
    assert hook.session_id == "s-1"
    assert made(agent, **{manner.names: event, manner.session: "s-1"}).starts
