"""Reading memory back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from observations import recall
from observations.errors import NotFound
from observations.models import Event, Observation, ObservationSource, Project, Session, Team
from observations.rendering import estimate_tokens
from observations.search import Filters

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def add(project: Project, title: str, minutes: float = 0, **fields: Any) -> Observation:
    return Observation.objects.create(
        team=project.team,
        project=project,
        title=title,
        occurred_at=NOON + timedelta(minutes=minutes),
        created_at=NOON,
        updated_at=NOON,
        **{"content": title, "narrative": title, **fields},
    )


def session(project: Project, platform: str | None = None) -> Session:
    return Session.objects.create(
        team=project.team,
        project=project,
        platform_source=platform,
        started_at=NOON,
        last_event_at=NOON,
        created_at=NOON,
        updated_at=NOON,
    )


def event(project: Project) -> Event:
    return Event.objects.create(
        team=project.team,
        project=project,
        dedupe_key=f"event {Event.objects.count()}",
        event_type="tool_use",
        payload={},
        occurred_at=NOON,
        received_at=NOON,
        created_at=NOON,
    )


def link(row: Observation, made_of: Event) -> ObservationSource:
    return ObservationSource.objects.create(
        observation=row,
        event=made_of,
        source_type="agent_event",
        source_id=made_of.id,
        created_at=NOON,
    )


@pytest.fixture
def other(team: Team) -> Project:
    return Project.objects.create(team=team, name="other")


# --- search and context ---


def test_a_page_tells_what_was_found_how_well_and_how(project: Project) -> None:
    rows = [add(project, "A lock"), add(project, "The lock of a lock")]
    page = recall.search(project.id, "locks")
    assert set(page.observations) == set(rows)
    assert page.arms == ("keyword",)
    assert len(page.scores) == 2
    assert page.scores[0] >= page.scores[1]


def test_a_query_without_words_runs_no_search(
    project: Project, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    add(project, "What is the lock")
    with django_assert_num_queries(0):
        assert recall.search(project.id, "what is the") == recall.Page()


def test_a_search_costs_no_more_queries_the_more_it_finds(project: Project) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as ran:
            page = recall.search(project.id, "lock")
            assert all(row.project_id and row.session_id for row in page.observations)
        return len(ran)

    add(project, "lock", session=session(project))
    one = queries()
    for n in range(5):
        add(project, f"lock {n}", session=session(project))
    assert queries() == one


def test_a_search_stays_in_its_project(project: Project, other: Project) -> None:
    add(other, "lock")
    assert recall.search(project.id, "lock").observations == ()


def test_the_platform_may_be_named_as_clients_do(project: Project) -> None:
    row = add(project, "lock", session=session(project, "codex"))
    add(project, "lock", session=session(project, "claude"))
    assert recall.search(project.id, "lock", platform_source=" Codex CLI").observations == (row,)


def test_filters_and_platform_add_up(project: Project) -> None:
    ours = session(project, "codex")
    row = add(project, "lock", session=ours, kind="bugfix")
    add(project, "lock", session=ours)
    add(project, "lock", session=session(project, "claude"), kind="bugfix")
    page = recall.search(
        project.id, "lock", platform_source="codex", filters=Filters(kinds=("bugfix",))
    )
    assert page.observations == (row,)


def test_context_is_the_contents_with_a_blank_line_between(project: Project) -> None:
    add(project, "lock lock lock", content="First\n\nof all")
    add(project, "lock and so on", content="")
    add(project, "lock and much more besides", content="Second")
    page = recall.context(project.id, "lock")
    assert page.text == "First\n\nof all\n\nSecond"
    assert recall.context(project.id, "queue").text == ""


def test_context_takes_ten_unless_told_otherwise(project: Project) -> None:
    for n in range(12):
        add(project, f"lock {n}")
    assert len(recall.context(project.id, "lock").observations) == 10
    assert len(recall.context(project.id, "lock", limit=3).observations) == 3


# --- in the order of time ---


def test_recent_is_newest_first(project: Project, other: Project) -> None:
    rows = [add(project, str(n), minutes=n) for n in range(4)]
    add(other, "newest", minutes=9)
    assert recall.recent(project.id, 3) == (rows[3], rows[2], rows[1])


def test_a_timeline_is_the_last_ones_oldest_first(project: Project) -> None:
    rows = [add(project, str(n), minutes=n) for n in range(5)]
    assert recall.timeline(project.id, limit=3) == tuple(rows[2:])


def test_a_timeline_of_a_session_holds_only_its_rows(project: Project) -> None:
    ours = session(project)
    rows = [add(project, str(n), minutes=n, session=ours) for n in range(2)]
    add(project, "loose", minutes=1)
    assert recall.timeline(project.id, session_id=ours.id) == tuple(rows)


def test_a_timeline_around_a_row_has_half_before_it(project: Project) -> None:
    rows = [add(project, str(n), minutes=n // 3) for n in range(9)]
    assert recall.timeline(project.id, around=rows[4].id, limit=5) == tuple(rows[2:7])
    assert recall.timeline(project.id, around=rows[4].id, limit=4) == tuple(rows[3:7])
    assert recall.timeline(project.id, around=rows[0].id, limit=5) == tuple(rows[:3])
    assert recall.timeline(project.id, around=rows[8].id, limit=1) == (rows[8],)


def test_a_timeline_around_a_row_of_elsewhere_is_not_found(
    project: Project, other: Project
) -> None:
    row = add(other, "theirs")
    with pytest.raises(NotFound):
        recall.timeline(project.id, around=row.id)


# --- one ---


def test_of_an_event_come_the_links_with_their_observations(
    project: Project, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    ours, another = event(project), event(project)
    rows = [add(project, "second", minutes=1), add(project, "first")]
    links = [link(row, ours) for row in reversed(rows)]
    link(add(project, "of another"), another)
    with django_assert_num_queries(1):
        found = recall.of_event(project.team_id, ours.id)
        assert [each.observation for each in found] == rows
    assert set(found) == set(links)
    assert recall.of_event("another team", ours.id) == ()


def test_one_observation_is_had_by_its_id_within_its_team(project: Project) -> None:
    row = add(project, "lock")
    assert recall.get(project.team_id, row.id) == row
    with pytest.raises(NotFound):
        recall.get("another team", row.id)
    with pytest.raises(NotFound):
        recall.get(project.team_id, "nothing")


# --- what the next session gets ---


def test_the_next_session_is_told_the_summary_then_what_lasts_then_what_is_new(
    project: Project,
) -> None:
    decision = add(project, "Use lanes", kind="decision")
    gotcha = add(project, "Beware of the snapshot", minutes=1, concepts=["pattern", "gotcha"])
    manual = add(project, "", minutes=2, kind="manual", content="Never on Fridays", narrative="")
    old = add(project, "Summary before", minutes=3, kind="summary")
    plain = [add(project, f"Change {n}", minutes=4 + n, kind="change") for n in range(3)]
    last = add(project, "Summary last", minutes=9, kind="summary")
    block = recall.session_context(project.id)
    expected = [last, old, manual, gotcha, decision, *reversed(plain)]
    assert block.ids == tuple(row.id for row in expected)
    assert "Never on Fridays" in block.text


def test_what_lasts_is_told_although_much_has_come_since(project: Project) -> None:
    decision = add(project, "Use lanes", kind="decision")
    for n in range(recall.RECENT + 10):
        add(project, f"Change {n}", minutes=1 + n, kind="change")
    assert decision.id in recall.session_context(project.id).ids


@pytest.mark.parametrize("budget", [0, 50, 200, 800])
def test_the_budget_is_never_exceeded(project: Project, budget: int) -> None:
    for n in range(60):
        add(project, f"Changed the thing number {n} in a way worth a line", minutes=n)
    block = recall.session_context(project.id, budget_tokens=budget)
    assert estimate_tokens(block.text) == block.tokens <= budget


def test_the_context_of_an_empty_project_is_empty_and_of_none_not_found(project: Project) -> None:
    assert recall.session_context(project.id).text == ""
    with pytest.raises(NotFound):
        recall.session_context("nothing")


def test_the_next_session_costs_four_queries(
    project: Project, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for n in range(20):
        add(project, str(n), minutes=n, session=session(project), kind="decision")
    with django_assert_num_queries(4):
        recall.session_context(project.id)
