"""What each operation answers and makes of the rows, against a model of the lane protocol.

The machine makes random moves on real rows, one after the other: workers claim, renew, settle, fail
and give back, or are not heard of and come too late; operators cancel, retry and forget. The model
says what each must answer, what is then published, and what each row is. What several do at once,
and whether all comes to its end, is seen to by `test_interleavings`.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import timedelta

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
from queueing.direct import fetch
from queueing.errors import JobConflict, JobNotFound, LeaseLost
from queueing.kinds import Kind
from queueing.leases import Lease, Settled
from queueing.models import GenerationJob, GenerationJobEvent, Lane
from queueing.outbox import NewJob

LANES = ("a", "b", "c")
ERROR = {"reason": "no answer", "classification": "transient"}
LONG = timedelta(hours=1)
# How a worker's turn ends: it goes on holding the lease, settles, fails for now or for good, ...
ENDS = (
    "keep", "settle", "settle", "go on", "wait", "bury", "be cancelled", "die", "die", "renew",
    "be buried", "be retried",
)  # fmt: skip

ROWS = """
    SELECT job.id, lane.key, seq, state, token, attempts
    FROM queueing_generationjob job JOIN queueing_lane lane ON lane.id = lane_id"""
HEADS = "SELECT key, head, tail FROM queueing_lane"

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


@dataclass(slots=True)
class Known:
    """What the model knows of a job. `expired` says that its lease ran out."""

    id: str
    lane: str
    seq: int
    kind: Kind
    size: int
    state: str = states.QUEUED
    token: int = 0
    attempts: int = 0
    due: bool = True
    expired: bool = False

    @property
    def is_open(self) -> bool:
        return self.state in states.OPEN

    @property
    def spent(self) -> bool:
        return self.attempts >= self.kind.max_attempts

    @property
    def passable(self) -> bool:
        """Whether a lane may go on with it: not if it was tried, and has one start left."""
        return self.claimable and (not self.attempts or self.attempts < self.kind.max_attempts - 1)

    @property
    def claimable(self) -> bool:
        waits = self.state == states.QUEUED and self.due
        return (waits or (self.state == states.PROCESSING and self.expired)) and not self.spent

    def go(self, state: str) -> None:
        self.state, self.due, self.expired = state, True, False

    def give_back(self) -> None:
        self.go(states.QUEUED)
        self.attempts -= 1


class LaneProtocol(RuleBasedStateMachine):
    """Any order of moves of workers, operators and the broker."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, Known] = {}
        self.tails: Counter[str] = Counter()
        self.leases: list[Lease] = []
        self.published: list[str] = []
        self.numbers = 0
        self.patches = pytest.MonkeyPatch()
        self.patches.setattr(broker, "publish", lambda job_id, kind: self.published.append(job_id))
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

    # --- what always holds ----------------------------------------------------------------------

    def _look(self) -> None:
        self.the_rows_are_what_the_model_says()
        self.a_lanes_head_is_its_first_open_job()
        self.no_lane_has_two_live_claims()

    @invariant()
    def the_rows_are_what_the_model_says(self) -> None:
        known = self.jobs.values()
        assert set(fetch(ROWS)) == {
            (j.id, j.lane, j.seq, j.state, j.token, j.attempts) for j in known
        }
        assert all(0 <= j.attempts <= min(j.token, j.kind.max_attempts) for j in known)
        assert not any(j.spent for j in known if j.state == states.QUEUED)

    @invariant()
    def a_lanes_head_is_its_first_open_job(self) -> None:
        for lane, first, last in fetch(HEADS):
            head = self._head(lane)
            assert last == self.tails[lane]
            assert first == (head.seq if head else last + 1)

    @invariant()
    def no_lane_has_two_live_claims(self) -> None:
        live = Counter(
            self.jobs[at_work[0].id].lane
            for lease in self.leases
            if (at_work := [j for j in lease.jobs if self._holds(j) and self._is_live(j)])
        )
        assert not live or max(live.values()) == 1

    def _prove_the_history(self) -> None:
        rows = GenerationJobEvent.objects.order_by("id")
        last = {row.job_id: row.state_after for row in rows}
        now = dict(GenerationJob.objects.values_list("id", "state"))
        assert last == now
        done: dict[int, list[int]] = defaultdict(list)
        completed = rows.filter(event=states.COMPLETED)
        for lane_id, seq in completed.values_list("job__lane_id", "job__seq"):
            done[lane_id].append(seq)
        assert all(seqs == sorted(set(seqs)) for seqs in done.values())
        assert completed.count() == GenerationJob.objects.filter(state=states.COMPLETED).count()

    # --- the model ------------------------------------------------------------------------------

    def _has_published(self, jobs: list[str]) -> None:
        assert self.published == jobs
        self.published.clear()

    def _job(self, pick: int) -> Known:
        return list(self.jobs.values())[pick % len(self.jobs)]

    def _lease(self, pick: int) -> Lease:
        """Nobody uses a lease again that was settled, failed or given back."""
        return self.leases.pop(pick % len(self.leases))

    def _lane(self, lane: str) -> list[Known]:
        return sorted((j for j in self.jobs.values() if j.lane == lane), key=lambda job: job.seq)

    def _head(self, lane: str | int) -> Known | None:
        if isinstance(lane, int):
            found = Lane.objects.filter(pk=lane).first()
            lane = found.key if found else ""
        return next((job for job in self._lane(lane) if job.is_open), None)

    def _ready(self, head: Known | None) -> leases.Head | None:
        if head and head.state == states.QUEUED and head.due:
            return leases.Head(head.id, head.kind.name)
        return None

    def _holds(self, job: leases.Job) -> bool:
        known = self.jobs.get(job.id)
        return bool(known) and (known.state, known.token) == (states.PROCESSING, job.token)

    def _is_live(self, job: leases.Job) -> bool:
        return not self.jobs[job.id].expired

    def _claim(self, job_id: str) -> bool:
        job = self.jobs.get(job_id)
        may = job is not None and job.claimable and job is self._head(job.lane)
        lease = leases.claim(job_id, "w")
        assert (lease is not None) is may
        if lease:
            assert lease.head.id == job_id
            self._adopt(lease)
        return may

    def _adopt(self, lease: Lease) -> None:
        """A lease of the lane's head, and of an unbroken run of what may come along."""
        head = self.jobs[lease.head.id]
        assert head is self._head(head.lane)
        assert head.claimable
        behind = [job for job in self._lane(head.lane) if job.seq > head.seq and job.is_open]
        alone = head.attempts > 0
        company = [] if alone else self._company(head, behind)
        assert [job.id for job in lease.jobs[1:]] == [
            job.id for job in company[: len(lease.jobs) - 1]
        ]
        for job in lease.jobs:
            known = self.jobs[job.id]
            known.go(states.PROCESSING)
            known.token += 1
            known.attempts += 1
            assert (job.token, job.attempts) == (known.token, known.attempts)
        for job in behind if alone else ():
            if job.state == states.PROCESSING and job.expired:
                job.go(states.QUEUED)
        self.leases.append(lease)

    def _company(self, head: Known, behind: list[Known]) -> list[Known]:
        company: list[Known] = []
        tokens = head.kind.batch_tokens - head.size
        for job in behind:
            tokens -= job.size
            waits = job.state == states.QUEUED and job.due
            if job.kind is not head.kind or not waits or tokens < 0:
                break
            company.append(job)
        return company[: head.kind.batch_jobs - 1]

    def _release(self, lease: Lease) -> None:
        held = [job for job in lease.jobs if self._holds(job)]
        leases.release(lease)
        for job in held:
            self.jobs[job.id].give_back()

    def _expire(self, lease: Lease) -> None:
        for job in lease.jobs:
            if self._holds(job):
                row = GenerationJob.objects.filter(pk=job.id)
                row.update(lease_until=F("created_at") - LONG)
                self.jobs[job.id].expired = True


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
