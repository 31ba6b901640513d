import json
from pathlib import Path
from typing import Any

import pytest

from observations import agents
from observations.agents import Asks, HookPayload

pytestmark = pytest.mark.once

RECORDINGS = sorted((Path(__file__).parents[2] / "recordings/claude-code").glob("*.jsonl"))
AGENT = agents.BY_NAME["claude-code"]


def understood(name: str, **fields: Any) -> HookPayload:
    return AGENT.understand({"session_id": "s", "hook_event_name": name, **fields})


@pytest.mark.parametrize(
    ("name", "fields", "asks"),
    [
        ("SessionStart", {"source": "startup"}, Asks("session")),
        ("UserPromptSubmit", {"prompt": "why?"}, Asks("prompt", "why?")),
        (
            "PreToolUse",
            {"tool_name": "Read", "tool_input": {"file_path": "/a.py"}},
            Asks("file", paths=("/a.py",)),
        ),
        ("PreToolUse", {"tool_name": "Read", "tool_input": {"file_path": 7}}, None),
        ("PreToolUse", {"tool_name": "Edit", "tool_input": {"file_path": "/a.py"}}, None),
        (
            "PostToolUseFailure",
            {"tool_name": "Bash", "tool_input": {"command": "make"}, "error": "no rule"},
            Asks("failure", "no rule\nmake"),
        ),
        ("PostToolUseFailure", {"tool_name": "mcp__claude-mem__search", "error": "no"}, None),
        ("PostToolUseFailure", {"tool_name": "Bash", "tool_input": 3}, None),
        ("SubagentStart", {"agent_id": "a1", "agent_type": "Explore"}, Asks("subagent")),
        ("SessionStart", {"source": "compact"}, Asks("compact")),
        ("PreCompact", {"trigger": "manual", "custom_instructions": "c"}, None),
        ("PostToolUse", {"tool_name": "Read"}, None),
        ("Stop", {}, None),
    ],
)
def test_what_would_help_is_known_of_each_moment(
    name: str, fields: dict[str, Any], asks: Asks | None
) -> None:
    assert understood(name, **fields).asks == asks


def test_a_subagent_is_told_from_the_agent_itself() -> None:
    own = understood("PostToolUse", agent_id="a1", agent_type="Explore")
    assert (own.agent_id, own.agent_type) == ("a1", "Explore")
    assert understood("PostToolUse").agent_id == ""
    assert understood("PostToolUse").headless is None


@pytest.mark.parametrize(
    "name",
    ["SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUseFailure", "SubagentStart"],
)
def test_what_is_told_is_context_of_the_event(name: str) -> None:
    assert AGENT.reply(understood(name), "seen before") == {
        "hookSpecificOutput": {"hookEventName": name, "additionalContext": "seen before"}
    }


@pytest.mark.parametrize("name", ["Stop", "SessionEnd", "PreCompact", "Notification"])
def test_where_the_model_cannot_be_told_nothing_is_said(name: str) -> None:
    assert AGENT.reply(understood(name), "seen before") == {}


def test_a_note_is_for_the_user_and_nothing_to_say_is_empty() -> None:
    assert AGENT.reply(understood("Stop"), "", "is full") == {"systemMessage": "is full"}
    assert AGENT.reply(understood("SessionStart"), "", "") == {}


@pytest.mark.parametrize("file", RECORDINGS, ids=lambda file: file.stem)
def test_a_recorded_session_asks_where_it_begins_and_where_it_reads(file: Path) -> None:
    hooks = [AGENT.understand(json.loads(line)) for line in file.read_text().splitlines()]
    moments = [hook.asks.moment for hook in hooks if hook.asks]
    assert moments[:2] == ["session", "prompt"]
    assert "file" in moments
    assert {hook.adapter for hook in hooks} == {"claude-code"}
