"""What agents are told at their hooks, and what they are not told."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from observations import emptying, tellings
from observations.hook_page import tokens_of
from observations.models import AuditEntry, Observation, Project, Session, Telling
from tests.agents import Agent

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent(project: Project) -> Agent:
    """An agent in the project."""
    return Agent(project)


def add(project: Project, title: str, *, days: float = 1, **fields: Any) -> Observation:
    at: datetime = timezone.now() - timedelta(days=days)
    fields.setdefault("content", title)
    return Observation.objects.create(
        team_id=project.team_id, project=project, title=title, occurred_at=at, created_at=at,
        updated_at=at, **{"kind": "change", **fields},
    )  # fmt: skip


# --- a session's start --------------------------------------------------------------------------


def test_a_project_without_memory_is_told_nothing(agent: Agent) -> None:
    assert agent.start() == ""
    assert agent.prompt("How are retries capped?") == ""
    assert agent.read("/home/dev/shop/a.py") == ""
    assert not Telling.objects.exists()


def test_what_lasts_is_told_however_much_has_come_since(agent: Agent, project: Project) -> None:
    add(project, "Retries are capped at five", days=90, kind="decision")
    add(project, "The staging host is called basil", days=80, kind="manual")
    for number in range(60):
        add(project, f"Changed module {number}", days=1)
    text = agent.start()
    assert "decision, 90 d ago: Retries are capped at five" in text
    assert "manual, 80 d ago: The staging host is called basil" in text


def test_the_last_session_is_the_last_one_of_which_anything_came(
    agent: Agent, project: Project
) -> None:
    worked = {"request": "Cap the retries", "completed": "Capped them at five"}
    add(project, "Cap the retries", kind="summary", days=2, metadata=worked)
    asked = add(project, "What is left?", kind="summary", metadata={"request": "What is left?"})
    text = agent.start()
    assert "Capped them at five" in text[text.index("Last session") :]
    assert asked.title not in text


def test_where_nothing_came_of_any_session_the_last_one_is_told(
    agent: Agent, project: Project
) -> None:
    add(project, "What is left?", kind="summary", metadata={"request": "What is left?"})
    assert "What is left?" in agent.start()


def test_what_the_agent_says_to_itself_is_answered_with_nothing(
    agent: Agent, project: Project
) -> None:
    add(project, "The cart is kept in a cookie")
    question = "Where is the cart kept?"
    assert agent.prompt(f"<task-notification>{question}</task-notification>") == ""
    assert agent.prompt(question)


def test_a_resumed_session_is_told_only_what_others_did_meanwhile(
    agent: Agent, project: Project
) -> None:
    add(project, "Renamed the cart", days=2)
    assert "Renamed the cart" in agent.start()
    assert agent.start() == ""  # it starts but once: this is the same, delivered again
    assert agent.start(source="resume") == ""
    add(project, "Moved the till", days=-0.001)
    text = agent.start(source="resume")
    assert "Moved the till" in text
    assert "Renamed the cart" not in text


def test_after_a_compaction_a_session_is_told_its_own_work_and_what_it_forgot(
    agent: Agent, project: Project
) -> None:
    add(project, "Renamed the cart", kind="decision", days=2)
    agent.start()
    own = add(project, "Moved the till", days=0, session=Session.objects.get())
    assert agent.prompt("Where is the till and the cart?") == ""
    text = agent.start(source="compact")
    assert text.index("This session, before it was compacted") < text.index(f"#{own.number}")
    assert "Renamed the cart" in text
    assert agent.prompt("Where is the till and the cart?") == ""


def test_what_the_agent_forgot_may_be_told_again(agent: Agent, project: Project) -> None:
    add(project, "The cart is kept in a cookie")
    assert agent.prompt("Where is the cart kept?")
    assert agent.prompt("Where is the cart kept?") == ""
    Telling.objects.create(
        session=Session.objects.get(), moment="session", afresh=True, created_at=timezone.now()
    )
    assert agent.prompt("Where is the cart kept?")


# --- a prompt -----------------------------------------------------------------------------------


def test_an_agent_is_not_told_what_it_did_itself_just_now(agent: Agent, project: Project) -> None:
    agent.prompt("Start")
    add(project, "The cart is kept in a cookie", session=Session.objects.get())
    assert agent.prompt("Where is the cart kept?") == ""
    assert agent.prompt("Where is the cart kept?", "another")


def test_what_was_told_is_recorded_with_its_size_and_in_the_audit(
    agent: Agent, project: Project
) -> None:
    row = add(project, "The cart is kept in a cookie")
    text = agent.prompt("Where is the cart kept?")
    telling = Telling.objects.get()
    assert (telling.moment, telling.numbers) == ("prompt", [row.number])
    assert telling.tokens == tokens_of(text)
    entry = AuditEntry.objects.get(action="observation.read")
    assert entry.details["mode"] == "hook_prompt"
    assert entry.details["observationIds"] == [row.id]
    assert "cookie" not in json.dumps(entry.details)


@pytest.mark.django_db(transaction=True)
def test_a_session_that_is_forgotten_while_it_is_told_something_fails_nobody(
    agent: Agent, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(project, "The cart is kept in a cookie")
    said = tellings.said

    def forgotten(*asked: Any) -> tellings.Said:
        found = said(*asked)
        emptying.empty(project.team_id, project.id)
        return found

    monkeypatch.setattr(tellings, "said", forgotten)
    assert "cookie" in agent.prompt("Where is the cart kept?")
    assert not Telling.objects.exists()


# --- a file -------------------------------------------------------------------------------------


def test_what_was_done_to_a_file_comes_before_what_was_seen_in_it(
    agent: Agent, project: Project
) -> None:
    add(project, "Saw the till", kind="discovery", files_read=["src/till.py"])
    add(project, "Mended the till", days=9, files_modified=["src/till.py"])
    add(project, "Another till", files_modified=["lib/src/other/till.py"])
    lines = agent.read("/home/dev/shop/src/till.py").splitlines()
    assert "Mended the till" in lines[2]
    assert "Saw the till" in lines[3]
    assert "Another till" not in "".join(lines)


@pytest.mark.parametrize("path", ["/", "...", "/home/dev/shop/unknown.py", ""])
def test_of_a_file_that_is_not_known_nothing_is_told(agent: Agent, path: str) -> None:
    assert agent.read(path) == ""


# --- a failure ----------------------------------------------------------------------------------

MISSING = "Exit code 1\nE   ModuleNotFoundError: No module named 'django'"


# --- a subagent ---------------------------------------------------------------------------------


# --- what is never answered ---------------------------------------------------------------------


def test_a_budget_of_nothing_is_told_nothing(agent: Agent, project: Project, settings: Any) -> None:
    settings.SESSION_BUDGET_TOKENS = settings.HOOK_BUDGET_TOKENS = 0
    add(project, "The cart is kept in a cookie")
    assert agent.start() == ""
    assert agent.prompt("Where is the cart kept?") == ""
