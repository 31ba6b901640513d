"""Whether a hook call is stored and answered, by what it says and what is set."""

from typing import Any

import pytest

from observations import hook_calls
from observations.globs import Globs
from observations.hook_calls import HookCall
from observations.hook_facts import HookFacts
from observations.hook_policies import Policies, Switches, Verdict, paths_of, verdict

pytestmark = pytest.mark.once


def call(facts: HookFacts = HookFacts(), **payload: Any) -> HookCall:  # noqa: B008 - frozen
    said = {"session_id": "s", "cwd": "/home/ada/shop", "hook_event_name": "PreToolUse", **payload}
    return hook_calls.understood(said, facts=facts)


def reading(path: str, **payload: Any) -> HookCall:
    return call(tool_name="Read", tool_input={"file_path": path}, **payload)


def test_usually_all_is_stored_and_told() -> None:
    assert verdict(call(), Policies()) == Verdict(store=True, tell=True)


def test_nothing_is_stored_or_told_where_the_client_says_so() -> None:
    assert verdict(call(HookFacts(off=True)), Policies()) == Verdict(False, False, "asked")


def test_nothing_is_stored_or_told_in_an_excluded_project() -> None:
    policies = Policies(projects=Globs(("~/private/**", "sho?")))
    assert verdict(call(), policies) == Verdict(False, False, "project")
    assert verdict(call(cwd="/home/ada/private/diary"), policies).why == "project"
    assert verdict(call(cwd="/home/ada/web"), policies) == Verdict()


@pytest.mark.parametrize(
    "given",
    [
        {"file_path": "/home/ada/shop/secrets/key.txt"},
        {"path": "secrets"},
        {"command": "cat 'secrets/key.txt' | head"},
        {"command": "A=secrets/key.txt; less $A"},
        {"paths": ["README.md", "/home/ada/shop/secrets/a"]},
    ],
)
def test_a_use_of_a_tool_on_an_excluded_path_is_not_stored(given: dict[str, Any]) -> None:
    one = call(tool_name="Any", tool_input=given)
    assert verdict(one, Policies(paths=Globs(("secrets",)))) == Verdict(False, False, "path")


def test_a_use_of_a_tool_that_is_skipped_is_neither_stored_nor_told() -> None:
    policies = Policies(tools=frozenset({"TodoWrite", "mcp__db__query"}))
    assert verdict(call(tool_name="TodoWrite"), policies) == Verdict(False, False, "tool")
    assert verdict(call(tool_name="todowrite"), policies) == Verdict()
    assert verdict(call(), policies) == Verdict()


def test_what_only_mentions_such_a_path_in_its_text_is_stored() -> None:
    one = call(tool_name="Write", tool_input={"file_path": "a.md", "content": "see secrets/key"})
    assert verdict(one, Policies(paths=Globs(("secrets",)))) == Verdict()
    assert list(paths_of(one.hook.body)) == ["a.md"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("on", Verdict()),
        ("capture", Verdict(True, False, "headless")),
        ("off", Verdict(False, False, "headless")),
    ],
)
def test_agents_before_which_nobody_sits_have_a_policy(policy: str, expected: Verdict) -> None:
    alone = call(HookFacts(entrypoint="sdk-cli"))
    assert verdict(alone, Policies(headless=policy)) == expected
    assert verdict(call(HookFacts(entrypoint="cli")), Policies(headless=policy)) == Verdict()
    assert verdict(call(), Policies(headless=policy)) == Verdict()


@pytest.mark.parametrize(
    ("policy", "at_start", "later"),
    [
        ("start", Verdict(), Verdict(True, False, "subagent")),
        ("on", Verdict(), Verdict()),
        ("capture", Verdict(True, False, "subagent"), Verdict(True, False, "subagent")),
        ("off", Verdict(False, False, "subagent"), Verdict(False, False, "subagent")),
    ],
)
def test_subagents_have_a_policy(policy: str, at_start: Verdict, later: Verdict) -> None:
    policies = Policies(subagents=policy)
    begins = call(hook_event_name="SubagentStart", agent_id="a", agent_type="Explore")
    assert verdict(begins, policies) == at_start
    assert verdict(reading("/x/a.py", agent_id="a"), policies) == later
    assert verdict(reading("/x/a.py"), policies) == Verdict()


def test_a_project_s_switches_count() -> None:
    assert verdict(call(), Policies(), Switches(capture=False)).store is False
    assert verdict(call(), Policies(), Switches(context=False)) == Verdict(
        True, False, "switched off"
    )
