"""Claim, renew, settle, fail, release: each one a guarded statement whose row count is the answer.

A lease is the right to work some jobs of one lane until a moment. Everything that a worker writes
about a job carries the job's fencing token; if another worker took the job over since, no row
matches and LeaseLost drops the late result.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from django.conf import settings
from django.db import transaction

from queueing import direct, identity, kinds, limits, lulls, states, witness
from queueing.errors import LeaseLost
from queueing.outbox import Head
from queueing.statements import execute_many, fetch, seconds

log = logging.getLogger(__name__)

Details = Mapping[str, Mapping[str, Any]]
# So long ago (s) a lease ended that is ended now: whoever looks next must find it in the past.
_AGO = -0.001


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job, as its row said when it was claimed. `origin` is JSON: who asked for it."""

    id: str
    queue_job_id: str
    lane_id: int
    seq: int
    kind: str
    token: int
    attempts: int
    max_attempts: int
    size: int
    team_id: str
    project_id: str
    session_id: str | None
    source_type: str
    source_id: str
    covers: int
    origin: str = "{}"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work `jobs`, the head of their lane first.

    `taken_over`: from a worker that fell silent.
    """

    jobs: tuple[Job, ...]
    taken_over: bool = False

    @property
    def head(self) -> Job:
        return self.jobs[0]

    @property
    def followers(self) -> "Lease | None":
        return Lease(self.jobs[1:]) if len(self.jobs) > 1 else None

    @property
    def alone(self) -> "Lease":
        return Lease(self.jobs[:1])

    @property
    def last_chance(self) -> bool:
        """Whether its job took a worker along, perhaps, and has no other start left."""
        return self.taken_over and self.head.attempts >= self.head.max_attempts

    @property
    def pairs(self) -> list[tuple[str, int]]:
        return [(job.id, job.token) for job in self.jobs]


@dataclass(frozen=True, slots=True)
class Settled:
    """What follows a settlement: the lane's next lease, or else the head to be published."""

    lease: Lease | None = None
    head: Head | None = None


def claim(
    job_id: str,
    worker: str,
    *,
    task: str = "",
    limited: bool = True,
    at_last: Callable[[], bool] = lambda: True,
) -> Lease | None:
    """Take the job if it is due, unleased and at the head of its lane; None if it is not.

    Queued jobs of the same kind behind it come along, up to the kind's limits. None is the normal
    answer to a duplicate or late message, and to one for a team or project of which as many lanes
    are worked as may be; who knows that there are no such limits says that it is not `limited`.
    `task` is the id of that message, for the history. A job at its last chance is taken only if
    `at_last` says so, and one whose holder could not renew its lease because the database took
    nothing is left to that for a while; else it is as if nobody had come.
    """
    with transaction.atomic():
        if limited and not limits.admit(job_id):
            return None
        lease = _claim(job_id, worker, task)
        if lease and not _may_have(lease, at_last):
            transaction.set_rollback(True)
            return None
        return lease


def _may_have(lease: Lease, at_last: Callable[[], bool]) -> bool:
    if lulls.lull.is_just_over() and lease.taken_over:
        return False
    return not lease.last_chance or at_last()


def _claim(job_id: str, worker: str, task: str, how: str = "claim_head") -> Lease | None:
    rows = fetch(how, [seconds(settings.LEASE_SECONDS), worker, job_id])
    if not rows:
        return None
    head = Job(*rows[0])
    taken_over = False
    if head.attempts > 1:
        # It failed or took its worker down before: whatever came along must not share its fate.
        taken_over = _take_over(head)
        followers: list[Job] = []
    else:
        followers = _claim_followers(head, worker)
    jobs = (head, *followers)
    details = {"worker": worker, "batch": len(jobs), **({"task": task} if task else {})}
    _record(states.CLAIMED, states.PROCESSING, {j.id: (j.attempts, details) for j in jobs})
    witness.tell(states.CLAIMED, jobs, {"batch": len(jobs)})
    return Lease(jobs, taken_over)


def _take_over(head: Job) -> bool:
    """Free what a worker that is gone left leased behind the head, and tell what had stalled.

    Returns whether the head had: whether the worker that had it last fell silent.
    """
    freed = free_behind(head.lane_id, head.seq, forgiven=False)
    # Whoever fails a job says so; a claim that nothing followed is one whose worker fell silent.
    held = fetch("last_event", [head.id]) == [(states.CLAIMED,)]
    if stalled := [*([head] if held else []), *freed]:
        witness.tell(states.STALLED, stalled, {})
    return held


def free_behind(lane_id: int, seq: int, *, forgiven: bool) -> list[Job]:
    """Queue what was leased along with the job at this place, which its worker lost; those jobs.

    Their attempt is `forgiven`, or it counts. Must be called inside the transaction that takes that
    job away.
    """
    freed = [Job(*row) for row in fetch("free_followers", [int(forgiven), lane_id, seq])]
    _record(states.RELEASED, states.QUEUED, {job.id: (job.attempts, {}) for job in freed})
    return freed


def _claim_followers(head: Job, worker: str) -> list[Job]:
    kind = kinds.BY_NAME[head.kind]
    if kind.batch_jobs == 1:
        return []
    behind = fetch("followers", [head.lane_id, head.seq, kind.batch_jobs - 1])
    # Where a number is missing another has that job in hand: nothing may overtake it.
    run = [row for place, row in enumerate(behind, head.seq + 1) if row[0] == place]
    last = reach(run, head.kind, kind.batch_tokens - head.size)
    if not last:
        return []
    places = [head.lane_id, head.seq + 1, last]
    rows = fetch("claim_followers", [seconds(settings.LEASE_SECONDS), worker, *places])
    return sorted((Job(*row) for row in rows), key=lambda job: job.seq)


def reach(behind: Iterable[Sequence[Any]], kind: str, tokens: int) -> int:
    """The place up to which jobs may come along: those alike, fresh and affordable; 0 for none.

    `behind` has rows (place, kind, state, size, is fresh) in lane order: what is not due yet is not
    fresh, nor what was tried before, which is tried alone. Final rows are stepped over.
    """
    last = 0
    for place, its_kind, state, size, is_fresh in behind:
        if state in states.FINAL:
            continue
        tokens -= size
        if its_kind != kind or state != states.QUEUED or not is_fresh or tokens < 0:
            break
        last = place
    return last


def renew(leases: Iterable[Lease]) -> set[tuple[str, int]]:
    """Extend `leases`; the (job id, token) of all that is still held.

    Of a lease whose head another has taken, or is about to, nothing is: it can settle nothing.
    """
    asked = [(job.id, job.token, lease.head.id) for lease in leases for job in lease.jobs]
    params = [*_flat(asked), seconds(settings.LEASE_SECONDS)]
    with transaction.atomic():
        return {(row[0], row[1]) for row in fetch("renew", params, items=len(asked))}


def end_those_of_the_dead() -> int:
    """End the leases of processes of this very host that are gone; how many jobs that were.

    Their jobs need not wait for the leases to run out. A process that lives, or of which nothing
    can be told from here, keeps its own.
    """
    holders = {text: identity.read(text) for (text,) in fetch("holders", [])}
    gone = sorted(text for text, known in holders.items() if known and known.is_gone())
    if not gone:
        return 0
    with transaction.atomic():
        ended = fetch("end_leases", [seconds(_AGO), *gone], items=len(gone))
        if lanes := sorted({lane for (lane,) in ended}):
            fetch("these_unwoken", lanes, items=len(lanes))
    names = ", ".join(map(identity.shown, gone))
    log.info("jobs in the hands of workers that are gone (%s): %d", names, len(ended))
    return len(ended)


def settle(
    lease: Lease, store: Callable[[], Details], *, worker: str, task: str = "", go_on: bool
) -> Settled:
    """Complete the lease's jobs, in one transaction with what `store` writes.

    `store` returns details for each job's history. With `go_on` the lane's next job is claimed in
    the same transaction, under the same `task`. Raises LeaseLost, with nothing written, if any job
    is no longer held.
    """
    with transaction.atomic():
        _guarded("complete", [], lease)
        details = store()
        record = {job.id: (job.attempts, details.get(job.id, {})) for job in lease.jobs}
        _record(states.COMPLETED, states.COMPLETED, record)
        head = advance(lease.head.lane_id)
        goes_on = go_on and head and head.kind == lease.head.kind
        following = _claim(head.job_id, worker, task, "claim_next") if goes_on and head else None
        return Settled(lease=following) if following else Settled(head=head)


def settled_before(lease: Lease, worker: str) -> Settled | None:
    """What followed, if `lease` was settled in a commit whose answer was lost; None if it was not.

    For who finds it gone: under its tokens nobody else completes anything. The lane's next lease,
    claimed in the same commit, is the `worker`'s still unless it ran out and another has it.
    """
    if direct.vendor() != "postgresql":
        return None  # a file answers whoever lives
    head = lease.head
    for (settling,) in fetch("completed_in", [head.id, head.token]):
        claimed = fetch("claimed_in", [head.lane_id, head.seq, worker, settling])
        following = Lease(tuple(Job(*row) for row in claimed))
        is_held = claimed and renew([following]) == set(following.pairs)
        return Settled(lease=following if is_held else None)
    return None


def reschedule(lease: Lease, delay: float, error: Mapping[str, Any]) -> None:
    """Put the lease's job back in the queue, due after `delay` seconds. Raises LeaseLost."""
    with transaction.atomic():
        _guarded("reschedule", [seconds(delay), _json(error)], lease)
        details = {**error, "delaySeconds": round(delay, 1)}
        _record(states.RETRY_SCHEDULED, states.QUEUED, _alike(lease, details))
        # No nudge until it is due: reconcile gives the first.
        fetch("unwoken", [lease.head.lane_id], items=1)


def bury(lease: Lease, error: Mapping[str, Any]) -> Head | None:
    """Dead-letter the lease's job and let the lane go on; its next head. Raises LeaseLost."""
    with transaction.atomic():
        _guarded("bury", [_json(error)], lease)
        _record(states.FAILED, states.FAILED, _alike(lease, error))
        witness.tell(states.FAILED, lease.jobs, error)
        return advance(lease.head.lane_id)


def release(
    lease: Lease,
    *,
    delay: float = 0.0,
    note: Mapping[str, Any] | None = None,
    nudged: bool = False,
) -> bool:
    """Give the jobs back with their attempt, unfailed, due after `delay` seconds.

    `note` tells the jobs' histories why. With `nudged` the caller publishes the first of them at
    once if it was given back, which is the answer; otherwise reconcile does when it is due.
    Jobs that were lost meanwhile are passed over: there is nothing of them to give back.
    """
    with transaction.atomic():
        params = [seconds(delay), *_held(lease)]
        freed = {row[0] for row in fetch("release", params, items=len(lease.jobs))}
        given_back: dict[str, tuple[int, Mapping[str, Any]]] = {
            j.id: (j.attempts - 1, note or {}) for j in lease.jobs if j.id in freed
        }
        _record(states.RELEASED, states.QUEUED, given_back)
        fetch("woken" if nudged else "unwoken", [lease.head.lane_id], items=1)
        return lease.head.id in freed


def bury_exhausted(job_id: str) -> Head | None:
    """Dead-letter a head whose last permitted start ended with its worker; the next head.

    Not for a while after the database took nothing: its worker may be alive.
    """
    error = {
        "reason": "its worker died or hung in each of its attempts",
        "classification": "worker_lost",
    }
    with transaction.atomic():
        for row in fetch("bury_exhausted", [_json(error), job_id]):
            if lulls.lull.is_just_over():
                transaction.set_rollback(True)
                return None
            job = Job(*row)
            _record(states.FAILED, states.FAILED, {job.id: (job.attempts, error)})
            witness.tell(states.STALLED, [job], {})
            witness.tell(states.FAILED, [job], error)
            return advance(job.lane_id)
    return None


def advance(lane_id: int) -> Head | None:
    """Move the lane's head past every final job; the new head if it may run now.

    Must be called inside a transaction.
    """
    for head, _ in fetch("lock_lane", [lane_id]):
        for job_id, kind, ready in _advanced(lane_id, head):
            return Head(job_id, kind) if ready else None
    return None


def _advanced(lane_id: int, head: int) -> list[tuple[Any, ...]]:
    """The lane's new head, if it has one."""
    if direct.vendor() == "postgresql":
        return fetch("advance_to", [lane_id, head, lane_id])
    ((head, tail),) = fetch("advance", [lane_id, head, lane_id, head, lane_id])
    return fetch("head_job", [lane_id, head]) if head <= tail else []


def _guarded(name: str, params: list[object], lease: Lease) -> None:
    rows = fetch(name, [*params, *_held(lease)], items=len(lease.jobs))
    if len(rows) != len(lease.jobs):
        held = {row[0] for row in rows}
        raise LeaseLost(tuple(job.id for job in lease.jobs if job.id not in held))


def _record(event: str, state: str, jobs: Mapping[str, tuple[int, Mapping[str, Any]]]) -> None:
    if jobs:
        execute_many(
            "history",
            ((job, event, state, attempt, _json(note)) for job, (attempt, note) in jobs.items()),
        )


def _alike(lease: Lease, note: Mapping[str, Any]) -> dict[str, tuple[int, Mapping[str, Any]]]:
    return {job.id: (job.attempts, note) for job in lease.jobs}


def _held(lease: Lease) -> list[object]:
    """The jobs of the lease as statements name them: their places, and what makes them its own."""
    first, last = lease.jobs[0], lease.jobs[-1]
    return [first.lane_id, first.seq, last.seq, *_flat(lease.pairs)]


def _flat(rows: Iterable[tuple[object, ...]]) -> list[object]:
    return [value for row in rows for value in row]


def _json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value).decode()
