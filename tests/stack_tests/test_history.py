"""What the programs that make faults read from the jobs' history."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.benchmarks.history import Line, nobody_worked, stands, went_on

pytestmark = pytest.mark.once

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def lines(*told: tuple[float, str, str], lane: int = 1) -> list[Line]:
    return [Line(lane, job, event, at(seconds)) for seconds, job, event in told]


def lengths(told: list[Line]) -> list[float]:
    return [stand.seconds for stand in stands(told)]


def test_a_lane_stands_still_from_its_first_job_to_the_claim_and_on_to_the_end() -> None:
    told = lines((0, "a", "queued"), (1, "a", "processing"), (4, "a", "completed"))
    assert lengths(told) == [1, 3]


def test_what_is_enqueued_behind_a_job_that_waits_is_no_going_on() -> None:
    told = lines((0, "a", "queued"), (5, "b", "queued"), (9, "a", "processing"))
    assert lengths(told) == [9]


def test_a_lane_without_work_does_not_stand_still() -> None:
    told = lines((0, "a", "queued"), (1, "a", "completed"), (90, "b", "queued"),
                 (92, "b", "completed"))  # fmt: skip
    assert lengths(told) == [1, 2]


def test_lanes_are_looked_at_one_by_one() -> None:
    told = lines((0, "a", "queued"), (1, "a", "completed"))
    told += lines((0, "b", "queued"), (7, "b", "completed"), lane=2)
    assert [(stand.lane, stand.seconds) for stand in stands(told)] == [(1, 1), (2, 7)]


def test_it_is_told_for_how_long_no_worker_began_anything() -> None:
    told = lines((0, "a", "queued"), (20, "a", "processing"))
    told += lines((3, "b", "processing"), (4, "c", "processing"), (4, "d", "queued"), lane=2)
    (stand,) = stands(told[:2])
    assert nobody_worked(told, stand) == 16


def test_a_job_went_on_with_the_first_line_after_it_was_struck() -> None:
    told = lines((0, "a", "queued"), (1, "a", "processing"), (6, "a", "processing"))
    assert went_on(told, "a", at(2)) == at(6)
    assert went_on(told, "a", at(7)) is None
    assert went_on(told, "b", at(0)) is None
