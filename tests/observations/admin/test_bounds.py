"""No page costs more when there is more: its queries are counted, and what they read."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client

from observations.admin import overview, said
from observations.models import Project, Team
from queueing import browsing
from queueing.admin import jobs
from tests.admin_pages import addresses, of_all
from tests.fill import fill
from tests.observations.admin.conftest import member
from tests.observations.admin.effort import Effort, effort
from tests.postgres import on_postgresql

FEW = 200
MANY = 800
# The queries of each page, as a member sees it. Superusers need one less: they have no teams.
QUERIES = {
    "overview": 15,
    "sessions": 8,
    "sessions, ended": 6,
    "sessions by prompt": 11,
    "session": 9,
    "events": 8,
    "events, page 3": 8,
    "events of a type": 7,
    "events, past hour": 8,
    "events of a session": 9,
    "events by prompt": 12,
    "event": 6,
    "observations": 6,
    "observations of a kind": 7,
    "observations, past hour": 6,
    # PostgreSQL learns in one query how common the words are, SQLite in three.
    "observations by words": 12 if connection.vendor == "sqlite" else 10,
    "observation": 6,
    "jobs": 7,
    "jobs, failed": 7,
    "jobs, completed": 8,
    "jobs of a kind": 7,
    "job by id": 9,
    "jobs by event": 9,
    "jobs by session": 9,
    "jobs of a lane": 9,
    "job": 11,
    "lanes": 8,
    "lanes, busy": 8,
    "lanes, idle": 6,
    "lane": 6,
    "pauses": 5,
    "teams": 5,
    "members": 6,
    "projects": 6,
    "audit": 7,
    "keys": 6,
    "usage": 9,
    "usage of a kind": 10,
}
# They read what they find: all failed jobs, all rows that hold a word.
BY_MATCHES = {"jobs, failed", "observations by words"}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that are reached by a few hundred rows, as the real ones are by many thousands."""
    monkeypatch.setattr(browsing, "MOST_FILTERED", 100)
    monkeypatch.setattr(jobs, "MOST_FILTERED", 100)
    monkeypatch.setattr(browsing, "PAGES_AHEAD", 1)
    monkeypatch.setattr(browsing.Browsed, "list_per_page", 3)
    monkeypatch.setattr(overview, "MOST_COUNTED", 100)
    monkeypatch.setattr(overview, "MOST_LOOKED_THROUGH", 10)
    monkeypatch.setattr(said, "MOST_PROMPTS", 20)
    monkeypatch.setattr(said, "MOST_FOUND", 5)


@pytest.mark.usefixtures("small", "planned")
def test_a_members_pages_cost_no_more_in_a_database_four_times_as_large(
    client: Client, project: Project
) -> None:
    member(client, project.team)
    few = _efforts(client, _filled(project, FEW), addresses)
    many = _efforts(client, _filled(project, MANY - FEW), addresses)
    if on_postgresql() and _grown(few, many):
        # What the planner knows is a random sample, which misleads it now and then.
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        many = _efforts(client, project, addresses)
    assert {name: each.queries for name, each in many.items()} == QUERIES
    assert _grown(few, many) == {}


@pytest.mark.usefixtures("small", "planned")
def test_a_superusers_lists_of_all_projects_cost_no_more_either(
    browser: Client, project: Project
) -> None:
    few = _efforts(browser, _filled(project, FEW), of_all)
    many = _efforts(browser, _filled(project, MANY - FEW), of_all)
    # One query less for the teams that a superuser is not asked for.
    assert {name: each.queries for name, each in many.items()} == {
        name: QUERIES[name] - 1 for name in many
    }
    assert _grown(few, many) == {}


def _filled(project: Project, more: int) -> Project:
    other, _ = Project.objects.get_or_create(
        name="elsewhere", team=Team.objects.get_or_create(name="others")[0]
    )
    fill(other, more // 2)
    fill(project, more)
    return project


def _efforts(
    client: Client, project: Project, pages: Callable[[Project], dict[str, str]]
) -> dict[str, Effort]:
    return {name: effort(client, address) for name, address in pages(project).items()}


def _grown(few: dict[str, Effort], many: dict[str, Effort]) -> dict[str, tuple[int, int]]:
    """The pages that read more than before, and how much; a row more or less is none."""
    return {
        name: (few[name].work, each.work)
        for name, each in many.items()
        if name not in BY_MATCHES and each.work > 1.5 * few[name].work + 500
    }
