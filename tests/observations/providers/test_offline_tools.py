"""The web, other agents, plans, questions and unknown tools are told by what they said."""

import pytest

from observations.modes import PACKAGED, load, resolve
from observations.providers import provider_named
from tests.contracts.provider_suite import source, worked
from tests.observations.providers.making import bash, event, observe, only, tool

pytestmark = pytest.mark.once


def test_a_page_is_told_by_its_first_sentence() -> None:
    draft = only(
        tool(
            "WebFetch",
            {"url": "https://docs.example.org/x", "prompt": "How?"},
            {"code": 200, "result": "A worker reserves messages. One is enough."},
        )
    )
    assert draft.title == "docs.example.org/x: A worker reserves messages."
    assert "docs.example.org/x: One is enough." in draft.facts


def test_a_web_search_is_told_by_its_answer_and_its_sources() -> None:
    pages = [{"content": [{"title": "WAL", "url": "https://sqlite.org/wal.html"}]}]
    draft = only(
        tool(
            "WebSearch",
            {"query": "wal growth"},
            {"results": [*pages, "Long readers keep the WAL growing."]},
        )
    )
    assert draft.title == "wal growth: Long readers keep the WAL growing."
    assert "WAL: https://sqlite.org/wal.html." in draft.facts


def test_the_report_of_an_agent_is_told_with_its_task() -> None:
    text = "Retries are computed in **retry.py**.\n\n## Files\n- retry.py holds the strategy"
    draft = only(
        tool(
            "Task",
            {"description": "Find the retry code", "prompt": "Look."},
            {"content": [{"type": "text", "text": text}]},
        )
    )
    assert draft.title == "Find the retry code: Retries are computed in retry.py."
    assert "retry.py holds the strategy." in draft.facts


def test_a_subagent_that_stops_is_told_by_its_last_message() -> None:
    payload = {"agent_type": "Explore", "last_assistant_message": "The lock is taken in fetch_job."}
    draft = only(event(payload, "SubagentStop"))
    assert draft.title == "Report of Explore: The lock is taken in fetch_job."


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("I fixed the rounding of totals.", "bugfix"),
        ("We decided to use a lease of 8 s.", "decision"),
        ("The cart now supports discounts.", "feature"),
        ("The tests are slow on Mondays.", "discovery"),
    ],
)
def test_a_message_is_of_the_type_that_its_words_tell(message: str, kind: str) -> None:
    draft = only(event({"last_assistant_message": message}, "assistant_message"))
    assert (draft.type, draft.title) == (kind, message)


def test_a_plan_and_an_answer_are_decisions() -> None:
    plan = only(
        tool("ExitPlanMode", {"plan": "# Move retries\n\n1. Add a column.\n2. Migrate it."})
    )
    answer = only(tool("AskUserQuestion", {"questions": []}, {"answers": {"Which one?": "SQLite"}}))
    assert (plan.type, plan.title) == ("decision", "Plan: Move retries")
    assert "Planned: Add a column." in plan.facts
    assert (answer.type, answer.title) == ("decision", "SQLite, answered to: Which one?")


def test_a_list_of_things_to_do_is_a_plan_until_the_first_is_done() -> None:
    todos = [
        {"content": "Read the code", "status": "in_progress"},
        {"content": "Write the test", "status": "pending"},
    ]
    done = [{**todos[0], "status": "completed"}, todos[1]]
    assert (
        only(tool("TodoWrite", {"todos": todos})).title == "Plan: Read the code and Write the test"
    )
    assert observe(tool("TodoWrite", {"todos": done})) == ()


def test_an_unknown_tool_is_told_by_what_it_was_asked_and_said() -> None:
    text = '{"title": "Crash on empty cart", "state": "open"}'
    draft = only(
        tool(
            "mcp__github__get_issue", {"repo": "y", "number": 12}, [{"type": "text", "text": text}]
        )
    )
    assert draft.title == "github get issue y 12: Crash on empty cart"


def test_an_unknown_tool_that_fails_says_why() -> None:
    draft = only(tool("mcp__jira__search", {"q": "cart"}, error="Error: unauthorised: no token"))
    assert draft.title == "jira search cart fails: Error: unauthorised: no token"


def test_a_tool_of_another_server_that_reads_is_a_reading() -> None:
    draft = only(tool("mcp__files__read_file", {"path": "/home/dev/app/a.txt"}, "The bill is due."))
    assert (draft.title, draft.files_read) == ("a.txt: The bill is due.", ("a.txt",))


def test_a_note_of_no_known_shape_is_kept_in_its_words() -> None:
    assert only(event("Staging is reset nightly.", "note")).title == "Staging is reset nightly."
    fields = {"service": "api", "version": "1.4.2", "session_id": "x"}
    assert only(event(fields, "deployment")).title == "deployment: service api, version 1.4.2"


@pytest.mark.parametrize(
    "event_type",
    ["PreToolUse", "UserPromptSubmit", "SessionStart", "SessionEnd", "Stop", "PreCompact",
     "Notification"],
)  # fmt: skip
def test_events_that_show_no_work_make_no_observation(event_type: str) -> None:
    payload = {"prompt": "Fix it", "tool_name": "Bash", "tool_input": {"command": "pytest"}}
    assert observe(event(payload, event_type)) == ()


def test_a_mode_with_other_words_gets_drafts_in_its_own() -> None:
    text = (PACKAGED / "code.json").read_text(encoding="utf-8")
    for old, new in (("discovery", "finding"), ("change", "deed"), ("bugfix", "cure")):
        text = text.replace(f'"id": "{old}"', f'"id": "{new}"')
    for concept in load("code").concept_ids:
        text = text.replace(f'"id": "{concept}"', f'"id": "x-{concept}"')
    mode = resolve("other", lambda name: text)
    drafts = provider_named("offline").complete(
        source(*worked(), bash("id", "1 2")), mode, timeout=9
    )
    assert drafts.drafts
    for draft in drafts.drafts:
        assert draft.type in mode.type_ids  # type: ignore[union-attr]
        assert set(draft.concepts) <= set(mode.concept_ids)  # type: ignore[union-attr]
