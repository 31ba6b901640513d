"""When a failed job is tried again: arithmetic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueing.errors import JobFailed
from queueing.retry import (
    LONGEST_BACKOFF,
    LONGEST_RETRY_AFTER,
    GiveUp,
    Retry,
    backoff,
    decide,
    respite,
)

pytestmark = pytest.mark.once

ATTEMPTS = st.integers(1, 50)
JITTER = st.floats(-1, 1)


def failed(*, transient: bool = True, retry_after: float | None = None) -> JobFailed:
    return JobFailed("x", classification="x", transient=transient, retry_after=retry_after)


def test_the_wait_grows_fivefold_from_its_base() -> None:
    assert [backoff(n, 5.0, 0.0) for n in (1, 2, 3, 4)] == [5.0, 25.0, 125.0, 600.0]


def test_a_job_over_which_the_database_was_lost_is_soon_tried_again() -> None:
    assert [respite(n, 0.0) for n in (1, 2, 3, 4)] == [1.0, 2.0, 4.0, 8.0]
    assert respite(50, 0.0) == LONGEST_BACKOFF


@given(ATTEMPTS, JITTER)
def test_no_wait_is_longer_than_ten_minutes_and_a_fifth(attempts: int, jitter: float) -> None:
    assert 0 < backoff(attempts, 5.0, jitter) <= LONGEST_BACKOFF * 1.2


@given(ATTEMPTS, JITTER, st.floats(0, 1e6))
def test_a_named_moment_is_always_waited_for(n: int, jitter: float, after: float) -> None:
    verdict = decide(failed(retry_after=after), n, n + 1, base=5.0, jitter=jitter)
    assert isinstance(verdict, Retry)
    assert verdict.delay >= min(after, LONGEST_RETRY_AFTER)


@pytest.mark.parametrize("after", [1e9, float("inf"), float("nan")])
def test_no_provider_can_park_a_lane_for_longer_than_an_hour(after: float) -> None:
    verdict = decide(failed(retry_after=after), 1, 3, base=5.0, jitter=0.0)
    assert isinstance(verdict, Retry)
    assert 0 < verdict.delay <= LONGEST_RETRY_AFTER


@given(ATTEMPTS, JITTER)
def test_what_cannot_succeed_is_never_tried_again(attempts: int, jitter: float) -> None:
    assert decide(failed(transient=False), attempts, 99, base=5.0, jitter=jitter) == GiveUp()


@given(ATTEMPTS, JITTER)
def test_the_last_attempt_is_the_last(attempts: int, jitter: float) -> None:
    assert decide(failed(), attempts, attempts, base=5.0, jitter=jitter) == GiveUp()
