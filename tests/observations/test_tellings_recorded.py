"""What is told of sessions that were recorded, once what happened in them was worked."""

from datetime import UTC, datetime

import pytest

from observations import ingest
from observations.hook_facts import HookFacts
from observations.hook_page import tokens_of
from observations.models import Project
from queueing import broker
from tests.agents import Agent, recorded, work

pytestmark = pytest.mark.django_db(transaction=True)

MISSING = "Exit code 1\nE   ModuleNotFoundError: No module named 'django'"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The messages that were published and not yet worked."""
    waiting: list[tuple[str, str]] = []
    monkeypatch.setattr(broker, "publish", lambda job_id, kind: waiting.append((job_id, kind)))
    return waiting


@pytest.fixture
def agent(project: Project, sent: list[tuple[str, str]]) -> Agent:
    """An agent in the project of the recorded sessions."""
    for payload in recorded():
        ingest.capture_hook(project.team_id, project.id, payload, origin={})
    work(sent)
    return Agent(project)


def test_the_next_session_is_told_what_was_done_and_left_open(agent: Agent) -> None:
    text = agent.start()
    lines = text.splitlines()
    assert lines[2] == "Last session"
    assert "Add a max_wait cap to RetryStrategy" in lines[3]
    assert lines[4].startswith("  still open: pytest is not installed in this environment")
    assert any(each.startswith("  done: RetryStrategy gains max_wait") for each in lines)
    assert "Document max_wait in the retry how-to." in text
    assert "How do lock and queueing_lock keep jobs in order?" in text
    assert 200 < tokens_of(text) <= 800
    assert len(lines) == len(set(lines))
    assert "Friday" not in text
    assert "AKIA" not in text
    # What the start has said, no question brings again.
    assert agent.prompt("what did I do last time?") == ""
    # One who was not there at the start is answered, once.
    answer = agent.prompt("what did I do last time?", "another")
    assert "RetryStrategy gains max_wait" in answer
    assert tokens_of(answer) <= 800
    assert agent.prompt("what did I do last time?", "another") == ""


def test_a_prompt_is_told_what_bears_on_it_and_nothing_else(agent: Agent) -> None:
    for number, (text, told) in enumerate([
        ("How is the exponential backoff capped?", "max_wait"),
        ("Rename max_wait to maximum_wait everywhere", "RetryStrategy gains max_wait"),
        ("why do jobs with the same lock wait?", "two jobs with the same lock string"),
        ("/review the queueing_lock in schema.sql", "procrastinate_fetch_job_v2"),
    ]):  # fmt: skip
        found = agent.prompt(text, f"session {number}")
        assert told in found, text
        assert tokens_of(found) <= 300
    for text in (
        "go on",
        "yes",
        "/compact",
        "fix the failing test",
        "Write a haiku about the sea",
        "Set up a Kubernetes ingress with TLS certificates for our staging cluster",
        "Please write a README section on how to install the package",
        "Upgrade the GitHub Actions workflow to Node 22",
        "<task-notification>retry max_wait lock</task-notification>",
    ):
        assert agent.prompt(text, text) == "", text


def test_files_failures_and_subagents_are_told_of_and_other_hooks_are_not(agent: Agent) -> None:
    path = "/home/dev/procrastinate/procrastinate/retry.py"
    text = agent.read(path)
    assert "RetryStrategy gains max_wait" in text.splitlines()[2]
    assert tokens_of(text) <= 300
    assert agent.read(path) == ""
    assert agent.read(path, "another")

    failed = agent.run("python3 -m pytest tests/unit/test_retry.py -q", error=MISSING)
    assert "No module named 'django'" in failed
    assert "No later success of the same command is recorded." in failed
    assert agent.run("npm run build", error="Exit code 1\nerror TS2304: Cannot find foo") == ""

    for kind, task in (("Explore", "Find how queueing_lock works in schema.sql"), ("Plan", "Tea")):
        given = {"subagent_type": kind, "description": "", "prompt": task}
        agent.say("boss", "PreToolUse", tool_name="Task", tool_use_id=kind, tool_input=given)
    explorer = agent.say("boss", "SubagentStart", agent_id="a1", agent_type="Explore")
    assert "procrastinate_fetch_job_v2" in explorer
    assert agent.say("boss", "SubagentStart", agent_id="a2", agent_type="Plan") == ""

    asked = {"prompt": "How is max_wait capped in RetryStrategy?", "prompt_id": "p"}
    for event in ("Stop", "SessionEnd", "PreCompact", "PostToolUse"):
        assert agent.say("other", event, tool_use_id="t", **asked) == ""
    late = HookFacts(occurred_at=datetime(2026, 3, 4, tzinfo=UTC))
    assert agent.say("late", "UserPromptSubmit", late, **asked) == ""
    assert agent.say("once", "UserPromptSubmit", **asked)
    assert agent.say("once", "UserPromptSubmit", **asked) == ""


def test_a_failure_is_told_what_mended_it_last_time(
    project: Project, sent: list[tuple[str, str]]
) -> None:
    agent = Agent(project)
    assert agent.run("pytest -q  tests", "then", MISSING) == ""
    agent.run("pip install django", "then")
    agent.run("pytest -q tests", "then")
    work(sent)
    text = agent.run("pytest -q tests", error=MISSING)
    failed, mended = text.split("The same worked again after")
    assert "No module named 'django'" in failed
    assert "pip" in mended
    assert "django" in mended
    assert tokens_of(text) <= 300
