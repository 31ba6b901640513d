"""Reads that take no longer than they may."""

import time

import pytest
from django.db import OperationalError, connection

from observations import bounded
from observations.models import Project

pytestmark = pytest.mark.django_db

ENDLESS = {
    "postgresql": "SELECT pg_sleep(60)",
    "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
    " SELECT count(*) FROM n WHERE x < 0",
}


def run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def test_what_takes_too_long_is_ended_and_the_next_is_not(project: Project) -> None:
    begun = time.monotonic()
    with pytest.raises(bounded.TooSlow, match=r"longer than 0.05 s"), bounded.within(0.05):
        run(ENDLESS[connection.vendor])
    assert time.monotonic() - begun < 30
    assert Project.objects.get().name == project.name


def test_what_fails_by_itself_is_told_as_that() -> None:
    with pytest.raises(OperationalError) as failed, bounded.within(60):
        raise OperationalError("the disk is gone")
    assert not isinstance(failed.value, bounded.TooSlow)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="a limit of PostgreSQL's")
def test_the_limit_ends_with_the_block() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        before = cursor.fetchone()
        with bounded.within(0.5):
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == ("500ms",)
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == before
