"""Every agent's documented payloads, and whatever else may be posted in their place."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observations import agents
from observations.agents import Asks, HookPayload
from observations.errors import InvalidInput

pytestmark = pytest.mark.once

DOCUMENTED = Path(__file__).parents[2] / "documented"
OTHERS = ("codex", "cursor", "gemini", "opencode", "windsurf")
PROMPT = "Cap the wait between retries with max_wait, and test it."
RETRY = "/home/dev/shop/retry.py"


def payloads(agent: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DOCUMENTED / f"{agent}.jsonl").read_text().splitlines()]


def hooks(agent: str) -> list[HookPayload]:
    return [agents.BY_NAME[agent].understand(payload) for payload in payloads(agent)]


def only(agent: str, event_type: str, **body: Any) -> HookPayload:
    (hook,) = (
        hook
        for hook in hooks(agent)
        if hook.event_type == event_type and body.items() <= hook.body.items()
    )
    return hook


@pytest.mark.parametrize("agent", OTHERS)
def test_a_documented_session_is_one_session_that_is_asked_for_edits_and_tells(agent: str) -> None:
    said = hooks(agent)
    assert len({hook.session_id for hook in said}) == 1
    assert {(hook.adapter, hook.platform) for hook in said} == {(agent, agent)}
    prompt = only(agent, "UserPromptSubmit")
    assert (prompt.body["prompt"], prompt.is_news) == (PROMPT, True)
    told = [str(hook.body.get("last_assistant_message", "")) for hook in said if hook.is_news]
    assert any("max_wait" in each for each in told)
    ending = [hook.event_type for hook in said if hook.makes == "summary"]
    assert ending[-1] in ("Stop", "SessionEnd")


@pytest.mark.parametrize("agent", OTHERS)
def test_an_edit_names_its_file_or_holds_its_patch_where_they_are_looked_for(agent: str) -> None:
    edits = [json.dumps(hook.body["tool_input"]) for hook in hooks(agent)
             if hook.makes == "observation" and "tool_input" in hook.body]  # fmt: skip
    assert any("retry.py" in edit and "max_wait" in edit for edit in edits)


@pytest.mark.parametrize("agent", OTHERS)
def test_nothing_is_made_of_what_memory_itself_was_asked(agent: str) -> None:
    (asked,) = (hook for hook in hooks(agent) if "claude-mem" in str(hook.body.get("tool_name")))
    assert asked.body["tool_name"] == "mcp__claude-mem__search"
    assert (asked.makes, asked.is_news) == ("nothing", False)


@pytest.mark.parametrize("agent", OTHERS)
def test_events_of_a_session_are_told_apart(agent: str) -> None:
    own = [(hook.event_type, hook.own_id) for hook in hooks(agent) if hook.own_id]
    assert len(own) == len(set(own))
    again = [(hook.event_type, hook.own_id) for hook in hooks(agent) if hook.own_id]
    assert again == own


@pytest.mark.parametrize(
    ("agent", "moments"),
    [
        ("codex", ["session", "prompt", "subagent"]),
        ("cursor", ["session", "file"]),
        ("gemini", ["session", "prompt", "file", "failure"]),
        ("opencode", ["session", "prompt", "compact"]),
        ("windsurf", []),
    ],
)
def test_an_agent_is_told_at_the_moments_at_which_it_listens(
    agent: str, moments: list[str]
) -> None:
    asking = [hook for hook in hooks(agent) if hook.asks]
    assert [hook.asks.moment for hook in asking if hook.asks] == moments
    for hook in asking:
        assert "seen before" in json.dumps(agents.BY_NAME[agent].reply(hook, "seen before"))
    for hook in hooks(agent):
        assert agents.BY_NAME[agent].reply(hook, "") == {}


def test_context_is_put_where_each_agent_reads_it() -> None:
    def told(agent: str, event_type: str) -> Any:
        return agents.BY_NAME[agent].reply(only(agent, event_type), "seen before", "is full")

    assert told("codex", "SessionStart") == {
        "systemMessage": "is full",
        "hookSpecificOutput": {
            "hookEventName": "SessionStart",
            "additionalContext": "seen before",
        },
    }
    assert told("cursor", "SessionStart") == {"additional_context": "seen before"}
    assert told("cursor", "PreCompact") == {"user_message": "is full"}
    assert told("cursor", "UserPromptSubmit") == {}
    assert told("gemini", "UserPromptSubmit") == {
        "systemMessage": "is full",
        "hookSpecificOutput": {"hookEventName": "BeforeAgent", "additionalContext": "seen before"},
    }
    assert told("gemini", "PreCompact") == {"systemMessage": "is full"}
    assert told("opencode", "UserPromptSubmit") == {"context": "seen before", "note": "is full"}
    assert told("windsurf", "UserPromptSubmit") == {}


def test_codex_is_never_told_what_it_would_refuse() -> None:
    for hook in hooks("codex"):
        told = agents.BY_NAME["codex"].reply(hook, "seen before")
        assert bool(told) == (hook.event_type not in ("SubagentStop", "PreCompact", "Stop"))


def test_a_file_that_was_read_is_asked_about_with_its_result() -> None:
    for agent in ("cursor", "gemini"):
        assert Asks("file", paths=(RETRY,)) in [hook.asks for hook in hooks(agent)]


def test_a_failure_is_one_whatever_it_is_called() -> None:
    assert only("cursor", "PostToolUseFailure").body["error"] == "ruff: command not found"
    failed = only("gemini", "PostToolUseFailure")
    assert failed.asks == Asks("failure", "ruff: command not found\nruff check")
    assert only("opencode", "PostToolUseFailure").body["error"] == "ruff: command not found"


def test_where_nothing_is_numbered_the_moment_tells_two_alike_events_apart() -> None:
    for agent, moment in (("gemini", "timestamp"), ("windsurf", "timestamp")):
        first = payloads(agent)[4]
        understand = agents.BY_NAME[agent].understand
        own, later = (understand({**first, moment: f"2026-11-22T10:00:0{n}Z"}).own_id
                      for n in (1, 2))  # fmt: skip
        assert own
        assert later
        assert own != later


def test_cursor_s_results_are_read_and_its_user_is_not_named() -> None:
    ran = only("cursor", "PostToolUse", tool_use_id="toolu_3")
    assert ran.body["tool_response"] == {"output": "1 passed in 0.02s\n", "exitCode": 0}
    edited = only("cursor", "PostToolUse", tool_name="Edit")
    assert edited.cwd == "/home/dev/shop"
    assert "user_email" not in edited.body
    assert only("cursor", "SessionStart").headless is False
    assert only("cursor", "SubagentStop").agent_type == "explore"


def test_what_is_escaped_within_a_text_is_scrubbed_when_the_text_is_read() -> None:
    told = {"output": "before <private>it</private> after"}
    written = json.dumps(told).replace("<", "\\u003c")
    hook = agents.BY_NAME["cursor"].understand(
        {"hook_event_name": "postToolUse", "conversation_id": "s", "tool_output": written}
    )
    assert hook.body["tool_response"] == {"output": "before  after"}


def test_windsurf_s_events_say_what_was_done_in_the_fields_that_all_know() -> None:
    ran = only("windsurf", "PostToolUse", tool_name="Bash")
    assert (ran.body["tool_input"], ran.cwd) == (
        {"command": "pytest -q", "cwd": "/home/dev/shop"},
        "/home/dev/shop",
    )
    assert only("windsurf", "PostToolUse", tool_name="Read").makes == "nothing"
    assert ran.occurred_at is not None


def test_an_opencode_subagent_names_the_session_that_it_works_for() -> None:
    understand = agents.BY_NAME["opencode"].understand
    own = understand({"type": "session.created", "sessionID": "s2", "parentID": "s1"})
    assert (own.agent_id, own.agent_type) == ("s1", "subagent")


NAMED = {
    "claude-code": "hook_event_name", "codex": "hook_event_name", "cursor": "hook_event_name",
    "gemini": "hook_event_name", "opencode": "type", "windsurf": "agent_action_name",
}  # fmt: skip
SESSION = {"cursor": "conversation_id", "opencode": "sessionID", "windsurf": "trajectory_id"}


@pytest.mark.parametrize("agent", NAMED)
def test_what_has_no_name_or_no_session_is_refused_by_the_field(agent: str) -> None:
    understand = agents.BY_NAME[agent].understand
    for payload in ([], "text", None):
        with pytest.raises(InvalidInput):
            understand(payload)
    with pytest.raises(InvalidInput) as refused:
        understand({})
    assert refused.value.path == (NAMED[agent],)
    with pytest.raises(InvalidInput) as refused:
        understand({NAMED[agent]: "anything"})
    session = "session_id" if agent == "cursor" else SESSION.get(agent, "session_id")
    assert refused.value.path == (session,)


FIELDS = sorted({
    field
    for agent in OTHERS
    for payload in payloads(agent)
    for field in (*payload, *payload.get("tool_info", {}), *payload.get("part", {}))
})  # fmt: skip
DOCUMENTED_ALL = [(agent, payload) for agent in OTHERS for payload in payloads(agent)]
WORDS = ("", "s", "{", '{"a": 1}', "MCP:x", "mcp_a_b", "apply_patch", "2026-11-22T10:00:00Z")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS)
NESTED = st.dictionaries(st.sampled_from(FIELDS), SCALARS, max_size=3)
ANY = SCALARS | st.lists(SCALARS, max_size=2) | NESTED


def understood_or_refused(agent: str, payload: dict[str, Any]) -> HookPayload | InvalidInput:
    try:
        return agents.BY_NAME[agent].understand(payload)
    except InvalidInput as refused:
        return refused


@given(
    known=st.sampled_from([({}, agent) for agent in NAMED] + [(p, a) for a, p in DOCUMENTED_ALL]),
    fields=st.dictionaries(st.sampled_from(FIELDS), ANY, max_size=4),
    part=NESTED,
)
def test_any_object_is_understood_or_refused_naming_the_field(
    known: tuple[dict[str, Any], str], fields: dict[str, Any], part: dict[str, Any]
) -> None:
    payload, agent = {**known[0], **fields}, known[1]
    for holder in ("tool_info", "part", "tool_input", "tool_response"):
        if isinstance(payload.get(holder), dict):
            payload[holder] = {**payload[holder], **part}
    hook = understood_or_refused(agent, payload)
    if isinstance(hook, InvalidInput):
        # What is too long or too deep anywhere is no one field's fault.
        assert hook.path or "cannot be stored" in str(hook)
        return
    assert hook.session_id.strip()
    json.dumps(agents.BY_NAME[agent].reply(hook, "seen before", "is full"))
    assert isinstance(hook.body, dict)
    for text in (hook.agent_id, hook.agent_type, hook.cwd, hook.end_reason, hook.event_type):
        assert isinstance(text, str)
