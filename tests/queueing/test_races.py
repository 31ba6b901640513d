"""What happens at once: threads with connections of their own, on committed rows.

Each race is run until it had many chances to go wrong; whoever wins, the outcome is one of those
that are right.
"""

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.test import override_settings

from queueing import broker, kinds, leases, operations, outbox, reconcile, runner, states
from queueing.errors import JobConflict, LeaseLost
from queueing.heartbeat import Heartbeat
from queueing.leases import Details, Job, Lease, Settled
from queueing.models import GenerationJob, GenerationJobEvent, Lane
from queueing.outbox import Enqueued, NewJob
from tests.queueing.conftest import Enqueue
from tests.queueing.test_leases import claimed, expire, settled, state
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 15


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What each of `acts` returned or raised, after all began at the same moment."""
    start = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        try:
            start.wait(60)
            return act()
        except (LeaseLost, JobConflict) as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def new_jobs(lanes: Sequence[str], stem: str) -> list[NewJob]:
    return [
        NewJob(kinds.SUMMARY, lane, kinds.SUMMARY.job_id(stem, str(n)), stem, "team", "project")
        for n, lane in enumerate(lanes)
    ]


def enqueued(new: Sequence[NewJob]) -> tuple[Enqueued, ...]:
    with transaction.atomic():
        return outbox.enqueue(new)


def test_of_many_messages_for_one_job_one_claims_it(enqueue: Enqueue) -> None:
    for n in range(ROUNDS):
        (job,) = enqueue(str(n))
        got = at_once(*[partial(leases.claim, job.id, "worker")] * 6)
        assert [lease is not None for lease in got].count(True) == 1
        assert GenerationJob.objects.get(pk=job.id).token == 1


def test_an_expired_lease_is_settled_late_or_taken_over_but_not_both(enqueue: Enqueue) -> None:
    for n in range(ROUNDS):
        jobs = enqueue(str(n), 3)
        late = claimed(jobs[0].id)
        for job in jobs:
            expire(job.id)
        outcome, lease = at_once(
            partial(settled, late), partial(leases.claim, jobs[0].id, "another")
        )
        if lease:
            assert isinstance(outcome, LeaseLost)
            settled(lease)
        assert (
            GenerationJobEvent.objects.filter(job_id=jobs[0].id, event=states.COMPLETED).count()
            == 1
        )


def test_what_is_enqueued_while_the_lane_runs_dry_is_woken_by_exactly_one(
    enqueue: Enqueue,
) -> None:
    for n in range(ROUNDS):
        (job,) = enqueue(str(n))
        lease = claimed(job.id)
        new = new_jobs([str(n)], f"late-{n}")
        after, rows = at_once(partial(settled, lease), partial(enqueued, new))
        woken = [after.head.job_id] if after.head else []
        woken += [row.id for row in rows if row.is_head]
        assert woken == [rows[0].id]


def test_many_who_enqueue_get_numbers_without_gap_or_deadlock(db: None) -> None:
    def producer(number: int) -> list[tuple[Enqueued, ...]]:
        lanes = ["x", "y", "z", "x"] if number % 2 else ["z", "y", "x", "x"]
        return [enqueued(new_jobs(lanes, f"{number}-{n}")) for n in range(ROUNDS)]

    at_once(*[partial(producer, number) for number in range(4)])
    for lane in Lane.objects.all():
        seqs = GenerationJob.objects.filter(lane=lane).order_by("seq").values_list("seq", flat=True)
        assert list(seqs) == list(range(1, lane.tail + 1))
    assert sum(Lane.objects.values_list("tail", flat=True)) == 4 * 4 * ROUNDS


def test_a_job_is_cancelled_or_completed_but_not_both(
    enqueue: Enqueue, published: list[str]
) -> None:
    for n in range(ROUNDS):
        first, second = enqueue(str(n), 2, kind=kinds.SUMMARY)
        lease = claimed(first.id)
        outcome, cancelled = at_once(partial(settled, lease), partial(operations.cancel, first.id))
        won = isinstance(outcome, Settled)
        assert isinstance(cancelled, JobConflict) is won
        assert state(first.id) == (states.COMPLETED if won else states.CANCELLED)
        assert claimed(second.id).head.id == second.id


def test_a_queue_is_cleared_by_two_while_a_worker_settles_and_another_job_comes(
    db: None, published: list[str]
) -> None:
    def in_session(lane: str, stem: str, count: int) -> list[NewJob]:
        return [replace(job, session_id="s") for job in new_jobs([lane] * count, stem)]

    for n in range(ROUNDS):
        lane = str(n)
        rows = enqueued(in_session(lane, f"first-{n}", 3))
        lease = claimed(rows[0].id)
        clear = partial(operations.clear, lane, "s")
        outcome, one, other, late = at_once(
            partial(settled, lease), clear, clear, partial(enqueued, in_session(lane, f"l-{n}", 1))
        )
        won = isinstance(outcome, Settled)
        ends = [state(row.id) for row in rows]
        assert ends == [states.COMPLETED if won else states.CANCELLED, *[states.CANCELLED] * 2]
        is_left = state(late[0].id) == states.QUEUED
        assert one + other + won + is_left == 4
        told = GenerationJobEvent.objects.filter(job__lane__key=lane, event=states.CANCELLED)
        assert told.count() == one + other
        if is_left:
            settled(claimed(late[0].id))
        lane_now = Lane.objects.get(key=lane)
        assert lane_now.head == lane_now.tail + 1


def test_the_job_that_a_worker_goes_on_with_may_be_cancelled_meanwhile(
    enqueue: Enqueue, published: list[str]
) -> None:
    for n in range(ROUNDS):
        first, second, third = enqueue(str(n), 3, kind=kinds.SUMMARY)
        lease = claimed(first.id)
        after, _ = at_once(
            partial(settled, lease, go_on=True), partial(operations.cancel, second.id)
        )
        assert state(first.id) == states.COMPLETED
        assert state(second.id) == states.CANCELLED
        if after.lease and after.lease.head.id == third.id:
            settled(after.lease)
        else:
            settled(claimed(third.id))


def test_a_failed_job_is_retried_once_by_many(enqueue: Enqueue, published: list[str]) -> None:
    for n in range(ROUNDS):
        (job,) = enqueue(str(n), kind=kinds.SUMMARY)
        leases.bury(claimed(job.id), {"reason": "no", "classification": "unrecoverable"})
        retried = at_once(*[partial(operations.retry, job.id)] * 4)
        assert [one.already_queued for one in retried].count(False) == 1
        assert Lane.objects.get(key=str(n)).tail == 2


def test_several_who_reconcile_nudge_each_head_once(
    enqueue: Enqueue, published: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "send_canary", lambda queue, number: None)
    monkeypatch.setattr(broker, "depths", lambda: dict.fromkeys(kinds.BY_NAME, 0))
    heads = [enqueue(str(n), 2)[0].id for n in range(50)]
    Lane.objects.update(woken_at=F("woken_at") - timedelta(hours=1))
    Lane.objects.filter(jobs__in=heads[::2]).update(woken_at=None)
    assert sum(at_once(*[reconcile.reconcile] * 4)) == 50
    assert sorted(published) == sorted(heads)


def test_a_forgotten_lane_takes_its_jobs_from_whoever_works_them(enqueue: Enqueue) -> None:
    def forget(lane: str) -> int:
        with transaction.atomic():
            return outbox.forget([lane])

    for n in range(ROUNDS):
        first, *_ = enqueue(str(n), 3)
        lease = claimed(first.id)
        at_once(partial(forget, str(n)), partial(settled, lease, go_on=True))
        assert not GenerationJob.objects.exists()
        assert not GenerationJobEvent.objects.exists()


class Done:
    """A handler to which everything succeeds."""

    def prepare(self, jobs: Sequence[Job]) -> None: ...

    def perform(self, work: None, timeout: float) -> None: ...

    def store(self, jobs: Sequence[Job], result: None) -> Details:
        return {}


def test_many_workers_producers_and_doubled_messages_keep_every_lanes_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    messages: list[str] = []
    monkeypatch.setattr(broker, "publish", lambda job, kind: messages.extend([job, job]))
    producing = {"a", "b"}

    def produce(name: str) -> None:
        chance = random.Random(name)
        for n in range(ROUNDS):
            lanes = chance.choices("pqr", k=chance.randint(1, 4))
            outbox.publish_enqueued(enqueued(new_jobs(lanes, f"{name}-{n}")))
        producing.remove(name)

    def work() -> None:
        chance = random.Random()
        while until(lambda: messages or not producing) and messages:
            try:
                job_id = messages.pop(chance.randrange(len(messages)))
            except (IndexError, ValueError):
                continue  # Another was faster.
            runner.run(job_id, Done())

    with override_settings(QUANTUM_JOBS=3):
        at_once(partial(produce, "a"), partial(produce, "b"), work, work, work)
        work()
    for lane in Lane.objects.all():
        assert lane.head == lane.tail + 1
        seen = GenerationJobEvent.objects.filter(job__lane=lane, attempt=1).order_by("id")
        assert list(seen.values_list("job__seq", "event")) == [
            (seq, event)
            for seq in range(1, lane.tail + 1)
            for event in (states.CLAIMED, states.COMPLETED)
        ]
    assert set(GenerationJob.objects.values_list("state", "attempts")) == {(states.COMPLETED, 1)}


def lease_ends(lease: Lease) -> Any:
    return GenerationJob.objects.values_list("lease_until", flat=True).get(pk=lease.head.id)


def test_a_lease_is_kept_while_it_is_worked_and_let_go_at_its_deadline(enqueue: Enqueue) -> None:
    beat = Heartbeat(0.02)
    lease = claimed(enqueue()[0].id)
    first = lease_ends(lease)
    with beat.keeping(lease, timeout=60.0):
        until(lambda: lease_ends(lease) > first)
        with beat.keeping(Lease(()), timeout=60.0):
            second = lease_ends(lease)
            until(lambda: lease_ends(lease) > second)
    with beat.keeping(lease, timeout=0.0):
        expire(lease.head.id)
        last = lease_ends(lease)
        beat.beat()
        assert lease_ends(lease) == last


def test_the_heartbeat_rests_and_begins_again(enqueue: Enqueue) -> None:
    beat = Heartbeat(0.01)
    lease = claimed(enqueue()[0].id)

    def work() -> None:
        first = lease_ends(lease)
        with beat.keeping(lease, timeout=60.0):
            until(lambda: lease_ends(lease) > first)
        until(lambda: beat._thread is None)

    work()
    work()
