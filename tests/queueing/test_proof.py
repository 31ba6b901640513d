"""What is wrong with a history is seen, and what is right is not."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queueing import proof
from queueing.proof import Line

pytestmark = pytest.mark.once

CLAIMED, DONE, RELEASED = "processing", "completed", "released"


def told(*story: tuple[str, int, str], batch: int = 1) -> list[list[Line]]:
    """A lane's history: (job, its place, event) in order."""
    return [[Line(job, seq, event, batch if event == CLAIMED else 0) for job, seq, event in story]]


def faults(history: list[list[Line]]) -> tuple[list[str], list[str], list[str]]:
    return proof.twice(history), proof.out_of_order(history), proof.overlaps(history)


FIRST = [("first", 1, CLAIMED), ("first", 1, DONE)]
SECOND = [("second", 2, CLAIMED), ("second", 2, DONE)]


def test_one_after_the_other_is_right() -> None:
    assert faults(told(*FIRST, *SECOND)) == ([], [], [])


def test_a_job_that_was_done_twice_is_seen() -> None:
    assert proof.twice(told(*FIRST, *FIRST)) == ["first completed 2 times"]


def test_a_job_that_overtook_another_is_seen() -> None:
    assert proof.out_of_order(told(*SECOND, *FIRST)) == [
        "first completed after second, which stood behind it"
    ]


def test_a_claim_beside_another_is_seen() -> None:
    both = told(("first", 1, CLAIMED), ("second", 2, CLAIMED))
    assert proof.overlaps(both) == ["second was claimed while ['first'] were in flight"]


def test_a_claim_that_was_given_back_is_in_nobodys_way() -> None:
    story = [("first", 1, CLAIMED), ("first", 1, RELEASED), *SECOND]
    assert proof.overlaps(told(*story)) == []


def test_lanes_do_not_concern_each_other() -> None:
    rows = [
        (lane, f"{job} of {lane}", seq, event, 1)
        for lane in ("a", "b")
        for job, seq, event in (*FIRST, *SECOND)
    ]
    history = proof.lanes(rows)
    assert [len(lane) for lane in history] == [4, 4]
    assert faults(history) == ([], [], [])


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_batches_that_follow_each_other_are_right(sizes: list[int]) -> None:
    history: list[Line] = []
    place = 0
    for size in sizes:
        jobs = range(place, place := place + size)
        history += [Line(str(job), job, CLAIMED, size) for job in jobs]
        history += [Line(str(job), job, DONE) for job in jobs]
    assert faults([history]) == ([], [], [])
