"""What PostgreSQL does where a project is too large for each word to be counted in all rows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from observations.models import Observation, Project
from observations.search import Filters, postgresql
from observations.search.terms import query_terms

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROWS = 400
FIRST = 10_000_000

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="the database in use is another"),
]


@pytest.fixture(autouse=True)
def _large(monkeypatch: pytest.MonkeyPatch) -> None:
    """The measures of a project of a hundred thousand rows, for one of 400."""
    for name, value in {"ENOUGH": 10, "NEWEST": 100, "SAMPLE": 32, "TELLING": 4}.items():
        monkeypatch.setattr(postgresql, name, value)


def explained(statement: str) -> dict[str, Any]:
    """What PostgreSQL does for a statement, and with how many rows."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
        (((plan,),),) = cursor.fetchall()
    return dict(plan["Plan"])


def add(project: Project, titles: list[str]) -> list[int]:
    rows = Observation.objects.bulk_create(
        # Which rows are looked at is decided by their numbers: the same ones each time.
        Observation(
            number=FIRST + n, team=project.team, project=project, title=title, content=title,
            occurred_at=NOON + timedelta(minutes=n), created_at=NOON, updated_at=NOON,
        )
        for n, title in enumerate(titles)
    )  # fmt: skip
    return [row.number for row in rows]


def find(project: Project, question: str, limit: int = 5, **filters: Any) -> list[int]:
    hits = postgresql.PostgresqlIndex().find(
        query_terms(question), Filters(**filters), project_ids=(project.id,), limit=limit
    )
    return [hit.number for hit in hits]


def title(n: int) -> str:
    """Every row holds worker, a quarter lock, the others queue, ten both, one neither."""
    if n == 7:
        return "worker sextant"
    if n % 40 == 20:
        return f"worker queue lock {n}"
    return f"worker lock {n}" if n % 4 == 0 else f"worker queue {n}"


@pytest.fixture
def numbers(project: Project) -> list[int]:
    return add(project, [title(n) for n in range(ROWS)])


def test_a_rare_word_is_found_wherever_it_stands(project: Project, numbers: list[int]) -> None:
    assert find(project, "worker of the queue with sextant")[0] == numbers[7]
    assert find(project, "sextant") == [numbers[7]]


def test_of_words_that_are_all_common_the_newest_rows_with_all_of_them_come_first(
    project: Project, numbers: list[int]
) -> None:
    assert find(project, "queue lock", limit=3) == [numbers[380], numbers[340], numbers[300]]


def test_where_too_few_rows_hold_all_common_words_newest_ones_with_some_of_them_follow(
    project: Project, numbers: list[int]
) -> None:
    found = [numbers.index(number) for number in find(project, "queue lock", limit=20)]
    both = [n for n in found if n % 40 == 20]
    assert found[:3] == both[:3] == [380, 340, 300]
    some = found[len(both) :]
    assert len(found) == 20
    assert min(some) >= 300
    assert {n % 4 for n in some} == {0}


def test_a_filter_that_leaves_none_of_the_newest_finds_older_rows_by_common_words(
    project: Project, numbers: list[int]
) -> None:
    early = find(project, "queue", until=NOON + timedelta(minutes=7))
    assert early == [numbers[n] for n in (6, 5, 3, 2, 1)]


def test_where_most_rows_hold_a_word_only_the_newest_of_them_are_scored(
    project: Project, numbers: list[int]
) -> None:
    with CaptureQueriesContext(connection) as asked:
        find(project, "worker")
    plans = [explained(each["sql"]) for each in asked if "ts_rank_cd" in each["sql"]]
    scored = [plan["Plans"][0]["Plans"][0]["Actual Rows"] for plan in plans]
    assert scored == [100]
