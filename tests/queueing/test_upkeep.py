"""Upkeep: each task again and again, whatever becomes of it."""

import threading

import pytest
from django.conf import settings

from queueing.upkeep import Entry, Upkeep, entries
from tests.waiting import until

pytestmark = pytest.mark.once


def test_each_task_runs_at_its_own_interval() -> None:
    runs: list[str] = []
    upkeep = Upkeep([Entry("often", 0.01), Entry("seldom", 600.0)], runs.append)
    upkeep.start()
    until(lambda: len(runs) > 5)
    upkeep.stop(30)
    assert set(runs) == {"often"}


def test_a_task_that_fails_is_told_and_runs_again(caplog: pytest.LogCaptureFixture) -> None:
    runs: list[str] = []

    def fail(task: str) -> None:
        runs.append(task)
        raise ValueError("a defect")

    upkeep = Upkeep([Entry("failing", 0.01)], fail)
    upkeep.start()
    until(lambda: len(runs) > 2)
    upkeep.stop(30)
    assert "failing failed; it runs again" in caplog.text


def test_with_nothing_to_do_it_ends() -> None:
    before = threading.active_count()
    upkeep = Upkeep([], print)
    upkeep.start()
    upkeep.stop(30)
    assert threading.active_count() == before


def test_the_schedule_of_beat_is_that_of_upkeep() -> None:
    due = entries(settings.CELERY_BEAT_SCHEDULE)
    assert {entry.task for entry in due} >= {
        "queueing.reconcile", "observations.close_idle_sessions",
    }  # fmt: skip
    assert all(entry.every > 0 for entry in due)
