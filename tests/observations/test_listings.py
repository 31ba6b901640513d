"""Lists in the order of an index: where a row stands, and what comes before and after it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from observations import listings
from observations.listings import EVENTS_OF_PROJECT, OF_PROJECT, PROJECTS, Window
from observations.models import Observation, Project, Team

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def rows(project: Project) -> list[Observation]:
    """Nine rows at three times, newest first."""
    for number in range(9):
        at = NOW + timedelta(microseconds=number // 3)
        Observation.objects.create(
            team=project.team, project=project, content=str(number), occurred_at=at,
            created_at=at, updated_at=at,
        )  # fmt: skip
    return list(Observation.objects.order_by("-occurred_at", "-number"))


def test_a_place_is_told_by_numbers_and_texts(rows: list[Observation]) -> None:
    micros = int((NOW - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000_000
    assert OF_PROJECT.place(rows[0]) == (micros + 2, rows[0].number)
    assert OF_PROJECT.sorts == (int, int)
    assert EVENTS_OF_PROJECT.sorts == (int, str)


@pytest.mark.parametrize("at", range(9))
def test_what_is_beyond_a_place_and_what_is_not_are_all_there_is(
    rows: list[Observation], at: int
) -> None:
    place = OF_PROJECT.place(rows[at])
    everything = OF_PROJECT.sorted(Observation.objects.all())
    assert list(everything.filter(OF_PROJECT.beyond(place))) == rows[at + 1 :]
    assert list(everything.filter(OF_PROJECT.upto(place))) == rows[: at + 1]


def test_a_list_that_ascends_goes_the_other_way(team: Team) -> None:
    for name in "cab":
        Project.objects.create(team=team, name=name)
    page = listings.page(Project.objects.filter(team=team), PROJECTS, Window(2))
    assert ([row.name for row in page.rows], page.goes_on) == (["a", "b"], ("b",))
    rest = listings.page(Project.objects.filter(team=team), PROJECTS, Window(2, page.goes_on))
    assert ([row.name for row in rest.rows], rest.goes_on) == (["c"], None)


@pytest.mark.parametrize("limit", [1, 2, 4, 9, 10])
@pytest.mark.parametrize("through", [1, 3, 8, 9, 10])
@pytest.mark.parametrize("kept", ["", "0", "48", "012345678"])
def test_looking_through_a_list_page_by_page_finds_each_that_fits_once(
    rows: list[Observation], monkeypatch: pytest.MonkeyPatch, limit: int, through: int, kept: str
) -> None:
    monkeypatch.setattr(listings, "MOST_LOOKED_THROUGH", through)
    everything, found = Observation.objects.all(), []
    among = everything.filter(content__in=list(kept))
    after: Any = None
    for _ in range(20):
        page = listings.page(everything, OF_PROJECT, Window(limit, after), among)
        assert len(page.rows) <= limit
        found += page.rows
        after = page.goes_on
        if after is None:
            break
    assert after is None
    assert found == [row for row in rows if row.content in kept]


@pytest.mark.parametrize(("shown", "part"), [(None, "abc"), ((2,), "cde"), ((6,), "g"), ((9,), "")])
def test_of_a_short_list_a_part_is_taken_by_counting(shown: Any, part: str) -> None:
    rows: Any = "abcdefg"
    listed = listings.part(rows, Window(3, shown))
    assert "".join(map(str, listed.rows)) == part
    assert (listed.goes_on is None) == (part in ("g", ""))
