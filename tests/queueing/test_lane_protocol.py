"""What each operation answers and makes of the rows, against a model of the lane protocol.

The machine makes random moves on real rows, one after the other: workers claim, renew, settle, fail
and give back, or are not heard of and come too late; operators cancel, retry and forget. The model
says what each must answer, what is then published, and what each row is. What several do at once,
and whether all comes to its end, is seen to by `test_interleavings`.
"""

import pytest
from django.conf import settings as configured
from django.db import transaction
from django.db.models import F
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from queueing import broker, kinds, leases, operations, outbox, states
from queueing.errors import JobConflict, JobNotFound, LeaseLost
from queueing.kinds import Kind
from queueing.leases import Lease, Settled
from queueing.models import GenerationJob, Lane
from queueing.outbox import NewJob
from tests.queueing.model import LONG, Known, Model

LANES = ("a", "b", "c")
ERROR = {"reason": "no answer", "classification": "transient"}
# How a worker's turn ends: it goes on holding the lease, settles, fails for now or for good, ...
ENDS = (
    "keep", "settle", "settle", "go on", "wait", "bury", "be cancelled", "die", "die", "renew",
    "be buried", "be retried",
)  # fmt: skip

Order = tuple[str, Kind, int, int]

lanes = st.sampled_from(LANES)
orders = st.lists(
    st.tuples(
        lanes,
        st.sampled_from([kinds.EVENT, kinds.EVENT, kinds.EVENT_BATCH, kinds.SUMMARY]),
        st.sampled_from([0, kinds.EVENT.batch_tokens // 3, kinds.EVENT.batch_tokens * 2]),
        st.sampled_from([1, 1, 1, 2, kinds.EVENT.batch_jobs + 2]),
    ),
    min_size=1,
    max_size=8,
)
ends = st.sampled_from(ENDS)
picks = st.integers(0, 99)


class LaneProtocol(Model, RuleBasedStateMachine):
    """Any order of moves of workers, operators and the broker."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0
        self.patches = pytest.MonkeyPatch()
        for publish in ("publish", "publish_first"):
            self.patches.setattr(broker, publish, lambda job, kind: self.published.append(job))
        self.patches.setattr(configured, "LEASE_SECONDS", LONG.total_seconds())
        self.example = transaction.atomic()
        self.example.__enter__()

    def teardown(self) -> None:
        try:
            self._prove_the_history()
        finally:
            transaction.set_rollback(True)
            self.example.__exit__(None, None, None)
            self.patches.undo()

    # --- producers ------------------------------------------------------------------------------

    @initialize(orders=orders)
    def something_is_there(self, orders: list[Order]) -> None:
        self._enqueue(orders)

    @rule(orders=orders)
    def enqueue(self, orders: list[Order]) -> None:
        self._enqueue(orders)

    def _enqueue(self, orders: list[Order]) -> None:
        idle = {lane: self._head(lane) is None for lane in LANES}
        new = []
        for lane, kind, size, count in orders:
            for _ in range(count):
                self.numbers += 1
                new.append(NewJob(kind, lane, kind.job_id(str(self.numbers)), "source", "team",
                                  "project", size=size))  # fmt: skip
        with transaction.atomic():
            rows = outbox.enqueue(new)
        outbox.publish_enqueued(rows)
        self._has_published([row.id for row in rows if row.is_head])
        for job, row in zip(new, rows, strict=True):
            lane = job.lane_key
            self.tails[lane] += 1
            assert row.seq == self.tails[lane]
            assert row.is_head is idle[lane]
            idle[lane] = False
            self.jobs[row.id] = Known(row.id, lane, row.seq, job.kind, job.size)

    # --- workers --------------------------------------------------------------------------------

    @precondition(lambda self: self.jobs)
    @rule(pick=picks)
    def a_message_comes_out_of_nowhere(self, pick: int) -> None:
        self._claim(self._job(pick).id)

    @rule(turns=st.lists(st.tuples(lanes, ends, ends), min_size=4, max_size=12))
    def workers_take_heads(self, turns: list[tuple[str, str, str]]) -> None:
        """The usual way, many in one move. Whoever had a head comes back when it is too late."""
        for lane, end, late in turns:
            self._take_head(lane, end, late)
            self._look()

    def _take_head(self, lane: str, end: str, late: str) -> None:
        head = self._head(lane)
        before = [each for each in self.leases if head and head.id in [j.id for j in each.jobs]]
        for lease in before:
            self._expire(lease)
        if head and late == "be buried":
            self._bury_exhausted(head)
        if head is None or not self._claim(head.id):
            return
        taken = self.leases[-1]
        for lease in before:
            self._end(lease, late)
            self._look()
        self._end(taken, end)

    def _end(self, lease: Lease, how: str) -> None:
        pick = self.leases.index(lease)
        if how in ("settle", "go on"):
            self.settle(pick, how == "go on")
        elif how in ("wait", "bury"):
            self.fail(pick, how == "wait")
        elif how == "be cancelled":
            self._cancel(self.jobs[lease.jobs[-1].id])
            self.settle(pick, True)
        elif how == "be buried":
            self._bury_exhausted(self.jobs[lease.head.id])
        elif how == "be retried":
            self._expire(lease)
            self._retry(self.jobs[lease.head.id])
        elif how == "renew":
            self.renew(pick)
        elif how == "die":
            self._expire(lease)

    @precondition(lambda self: self.leases)
    @rule(pick=picks, go_on=st.booleans())
    def settle(self, pick: int, go_on: bool) -> None:
        lease = self._lease(pick)
        if not all(self._holds(job) for job in lease.jobs):
            with pytest.raises(LeaseLost):
                leases.settle(lease, dict, worker="w", go_on=go_on)
            self._release(lease)
            return
        for job in lease.jobs:
            self.jobs[job.id].go(states.COMPLETED)
        head = self._head(lease.head.lane_id)
        goes_on = go_on and head and head.passable and head.kind.name == lease.head.kind
        after = leases.settle(lease, dict, worker="w", go_on=go_on)
        if goes_on:
            assert after.lease is not None
            self._adopt(after.lease)
        else:
            assert after == Settled(head=self._ready(head))

    @precondition(lambda self: self.leases)
    @rule(pick=picks, transient=st.booleans())
    def fail(self, pick: int, transient: bool) -> None:
        lease = self._lease(pick)
        if lease.followers:
            self._release(lease.followers)
        head, alone = self.jobs.get(lease.head.id), lease.alone
        if head is None or not self._holds(lease.head):
            with pytest.raises(LeaseLost):
                leases.reschedule(alone, 1.0, ERROR) if transient else leases.bury(alone, ERROR)
        elif transient and not head.spent:
            leases.reschedule(alone, LONG.total_seconds(), ERROR)
            head.go(states.QUEUED)
            head.due = False
        else:
            head.go(states.FAILED)
            assert leases.bury(alone, ERROR) == self._ready(self._head(head.lane))

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def give_back(self, pick: int) -> None:
        self._release(self._lease(pick))

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def renew(self, pick: int) -> None:
        lease = self.leases[pick % len(self.leases)]
        head = self.jobs.get(lease.head.id)
        leads = head is not None and head.token == lease.head.token
        held = [job for job in lease.jobs if leads and self._holds(job)]
        assert leases.renew([lease]) == {(job.id, job.token) for job in held}
        for job in held:
            self.jobs[job.id].expired = False

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def a_worker_is_not_heard_of(self, pick: int) -> None:
        """It may be dead; or it comes back later, and settles what it had."""
        self._expire(self.leases[pick % len(self.leases)])

    # --- operators ------------------------------------------------------------------------------

    @precondition(lambda self: self.jobs)
    @rule(orders=st.lists(st.tuples(picks, st.booleans()), min_size=1, max_size=4))
    def operate(self, orders: list[tuple[int, bool]]) -> None:
        """Cancel or retry jobs, in whatever state they are."""
        for pick, cancels in orders:
            job = self._job(pick)
            if cancels:
                self._cancel(job)
            else:
                self._retry(job)
            self._look()

    def _cancel(self, job: Known) -> None:
        if job.state == states.COMPLETED:
            with pytest.raises(JobConflict):
                operations.cancel(job.id)
            return
        was_open, already = job.is_open, job.state == states.CANCELLED
        assert operations.cancel(job.id).already_cancelled is already
        job.go(states.CANCELLED)
        head = self._ready(self._head(job.lane)) if was_open else None
        self._has_published([head.job_id] if head else [])

    def _retry(self, job: Known) -> None:
        at_work = job.state == states.PROCESSING and not job.expired
        if at_work or job.state == states.COMPLETED:
            with pytest.raises(JobConflict):
                operations.retry(job.id)
            return
        assert operations.retry(job.id).already_queued is (job.state == states.QUEUED)
        if job.state == states.PROCESSING:
            self._is_freed(job)
        elif job.state != states.QUEUED:
            self.tails[job.lane] += 1
            job.seq, job.attempts = self.tails[job.lane], 0
            job.go(states.QUEUED)
        self._has_published([job.id] if job is self._head(job.lane) else [])

    def _is_freed(self, job: Known) -> None:
        """In its place, with all its attempts; what came along behind it is given back."""
        for other in self._lane(job.lane):
            if other.seq > job.seq and other.state == states.PROCESSING:
                other.give_back()
        job.attempts = 0
        job.go(states.QUEUED)

    @precondition(lambda self: len(self.jobs) > 10)
    @rule(which=st.sets(lanes, min_size=1))
    def forget(self, which: set[str]) -> None:
        with transaction.atomic():
            outbox.forget(list(which))
        gone = [job for job in self.jobs.values() if job.lane in which]
        for job in gone:
            del self.jobs[job.id]
        for lane in which:
            del self.tails[lane]
        if gone:
            with pytest.raises(JobNotFound):
                operations.cancel(gone[0].id)

    # --- upkeep ---------------------------------------------------------------------------------

    @precondition(lambda self: self.jobs)
    @rule(pick=picks)
    def bury_exhausted(self, pick: int) -> None:
        self._bury_exhausted(self._job(pick))

    def _bury_exhausted(self, job: Known) -> None:
        dead = job.state == states.PROCESSING and job.expired and job.spent
        dead = dead and job is self._head(job.lane)
        if dead:
            job.go(states.FAILED)
        found = leases.bury_exhausted(job.id)
        assert found == (self._ready(self._head(job.lane)) if dead else None)

    @rule()
    def time_passes(self) -> None:
        """Whatever waits is due; nudges are long ago; but every lease is renewed meanwhile."""
        Lane.objects.update(woken_at=F("woken_at") - 2 * LONG)
        GenerationJob.objects.update(due_at=F("due_at") - 2 * LONG)
        for job in self.jobs.values():
            job.due = True

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        self._look()


@pytest.mark.django_db
def test_whatever_happens_lanes_keep_their_order_and_lose_nothing() -> None:
    run_state_machine_as_test(
        LaneProtocol,
        settings=settings(
            max_examples=40,
            # Without making a failure shorter, which takes minutes: its moves tell what it is.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
