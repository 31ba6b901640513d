"""What becomes of jobs that were claimed along with a head, and what is published of their lane."""

from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from queueing import kinds, leases, operations, states
from queueing.models import GenerationJob
from tests.queueing.conftest import Enqueue
from tests.queueing.test_leases import ERROR, claimed, history, settled

pytestmark = pytest.mark.django_db


def rows() -> list[tuple[str, int]]:
    return list(GenerationJob.objects.order_by("seq").values_list("state", "attempts"))


def test_a_heartbeat_renews_nothing_that_was_left_behind_when_its_head_was_taken_over(
    enqueue: Enqueue,
) -> None:
    """As it is where somebody has what follows in hand, so that who takes over passes it by."""
    first, *_ = enqueue("lane", 3)
    late = claimed(first.id)
    GenerationJob.objects.filter(pk=first.id).update(token=F("token") + 1)
    assert leases.renew([late]) == set()


def test_what_was_cancelled_is_not_told_to_have_been_given_back(
    enqueue: Enqueue, published: list[str]
) -> None:
    first, second = enqueue("lane", 2)
    lease = claimed(first.id)
    operations.cancel(second.id)
    leases.release(lease)
    assert history(second.id)[-1] == states.CANCELLED
    assert history(first.id)[-1] == states.RELEASED


def test_with_a_stalled_job_all_that_came_along_is_queued_with_its_attempt(
    enqueue: Enqueue, published: list[str]
) -> None:
    first, *_ = enqueue("lane", 3)
    claimed(first.id)
    run_out()
    operations.retry(first.id)
    assert rows() == [(states.QUEUED, 0)] * 3
    assert len(claimed(first.id).jobs) == 3


def test_what_was_along_when_a_worker_died_is_not_along_again_however_often_its_head_is_retried(
    enqueue: Enqueue, published: list[str]
) -> None:
    first, second = enqueue("lane", 2)
    claimed(first.id)
    for _ in range(kinds.EVENT.max_attempts):
        run_out()
        assert len(claimed(first.id).jobs) == 1
        run_out()
        operations.retry(first.id)
        assert len(claimed(first.id).jobs) == 1
    run_out()
    settled(claimed(first.id))
    assert claimed(second.id).head.attempts == 2


def run_out() -> None:
    leased = GenerationJob.objects.filter(state=states.PROCESSING)
    leased.update(lease_until=timezone.now() - timedelta(seconds=1))


def test_a_failed_job_is_cancelled_without_a_word_to_its_lane(
    enqueue: Enqueue, published: list[str]
) -> None:
    first, _second = enqueue("lane", 2, kind=kinds.SUMMARY)
    leases.bury(claimed(first.id), ERROR)
    operations.cancel(first.id)
    assert published == []


def test_a_head_that_is_worked_is_not_published(enqueue: Enqueue, published: list[str]) -> None:
    first, *_ = enqueue("lane", 3)
    claimed(first.id)
    operations.cancel(first.id)
    assert published == []


def test_a_head_that_is_not_due_is_not_published(enqueue: Enqueue, published: list[str]) -> None:
    first, *_ = enqueue("lane", 3)
    leases.release(claimed(first.id), delay=60.0)
    operations.cancel(first.id)
    assert published == []
