"""A session's queue is cleared: what waits or is worked is cancelled, and nothing else."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pytest
from django.db import transaction

from queueing import kinds, leases, operations, outbox, states
from queueing.errors import JobConflict, LeaseLost
from queueing.models import GenerationJob, GenerationJobEvent, Lane
from queueing.outbox import NewJob

pytestmark = pytest.mark.django_db

BY = {"source": "test"}
Enqueue = Callable[..., list[str]]


@pytest.fixture
def enqueue(db: None) -> Enqueue:
    """enqueue(n, session, lane): n events' jobs of a session; their ids."""
    numbers = count()

    def _enqueue(n: int, session: str = "s", lane: str = "lane") -> list[str]:
        new = [
            NewJob(kinds.EVENT, lane, kinds.EVENT.job_id(str(next(numbers))), f"source-{k}",
                   "team", "project", session_id=session)
            for k in range(n)
        ]  # fmt: skip
        with transaction.atomic():
            return [row.id for row in outbox.enqueue(new)]

    return _enqueue


def state_of(ids: list[str]) -> set[str]:
    return set(GenerationJob.objects.filter(pk__in=ids).values_list("state", flat=True))


def is_idle(lane: str = "lane") -> bool:
    row = Lane.objects.get(key=lane)
    return row.head == row.tail + 1


def test_all_that_waits_is_cancelled_and_the_lane_is_idle(
    enqueue: Enqueue, published: list[str]
) -> None:
    ids = enqueue(5)
    assert operations.clear("lane", "s", BY) == 5
    assert state_of(ids) == {states.CANCELLED}
    assert is_idle()
    lines = GenerationJobEvent.objects.filter(event="cancelled")
    assert sorted(lines.values_list("job_id", flat=True)) == sorted(ids)
    assert [line.details for line in lines] == [BY] * 5
    assert operations.clear("lane", "s", BY) == 0
    assert lines.count() == 5


def test_a_worker_that_has_some_in_hand_loses_its_lease(
    enqueue: Enqueue, published: list[str]
) -> None:
    ids = enqueue(3)
    lease = leases.claim(ids[0], "worker")
    assert lease is not None
    assert operations.clear("lane", "s", BY) == 3
    with pytest.raises(LeaseLost):
        leases.settle(lease, dict, worker="worker", go_on=True)
    assert state_of(ids) == {states.CANCELLED}
    assert is_idle()


def test_what_is_over_stays_as_it_was(enqueue: Enqueue, published: list[str]) -> None:
    done, failed, waiting = enqueue(3)
    GenerationJob.objects.filter(pk=done).update(state=states.COMPLETED)
    GenerationJob.objects.filter(pk=failed).update(state=states.FAILED)
    Lane.objects.update(head=3)
    assert operations.clear("lane", "s", BY) == 1
    assert [state_of([job]) for job in (done, failed, waiting)] == [
        {states.COMPLETED}, {states.FAILED}, {states.CANCELLED},
    ]  # fmt: skip


def test_other_sessions_are_left_alone_even_in_the_same_lane(
    enqueue: Enqueue, published: list[str]
) -> None:
    ours, theirs = enqueue(2, "s"), enqueue(2, "other")
    elsewhere = enqueue(2, "third", "another lane")
    assert operations.clear("lane", "s", BY) == 2
    assert state_of(ours) == {states.CANCELLED}
    assert state_of([*theirs, *elsewhere]) == {states.QUEUED}
    # What stood behind the cleared ones may run now.
    assert published == [theirs[0]]
    assert operations.clear("no such lane", "other", BY) == 0


def test_events_that_come_later_are_worked(enqueue: Enqueue, published: list[str]) -> None:
    enqueue(2)
    operations.clear("lane", "s", BY)
    (later,) = enqueue(1)
    lease = leases.claim(later, "worker")
    assert lease is not None
    leases.settle(lease, dict, worker="worker", go_on=True)
    assert state_of([later]) == {states.COMPLETED}
    assert is_idle()


def test_a_long_queue_is_cleared_in_portions(
    enqueue: Enqueue, published: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "AT_ONCE", 3)
    ids = enqueue(8)
    assert operations.clear("lane", "s", BY) == 8
    assert state_of(ids) == {states.CANCELLED}
    assert is_idle()


@pytest.mark.parametrize("act", [outbox.forget, lambda lanes: outbox.hand_over(lanes, "other")])
def test_lanes_that_are_worked_faster_than_they_can_be_held_are_left_as_they_are(
    enqueue: Enqueue, act: Callable[[list[str]], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each look another job has come, and was taken before it could be held."""
    enqueue(2)
    usual = outbox.fetch

    def too_late(name: str, params: Sequence[Any], *, items: int = 0) -> list[tuple[Any, ...]]:
        rows = usual(name, params, items=items)
        return rows[1:] if name == "jobs_to_be_had" else rows

    monkeypatch.setattr(outbox, "fetch", too_late)
    with pytest.raises(JobConflict, match="pause the team"), transaction.atomic():
        act(["lane"])
    monkeypatch.undo()
    assert Lane.objects.get().project_id == "project"
    assert GenerationJob.objects.count() == 2
