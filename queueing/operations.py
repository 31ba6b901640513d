"""What an operator does to jobs: retry one, cancel one, clear a session's queue."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from django.db import transaction
from django.db.models import QuerySet

from queueing import leases, outbox, states, witness
from queueing.errors import JobConflict, JobNotFound
from queueing.models import GenerationJob, Lane
from queueing.outbox import ENQUEUED, QUEUED_ONLY, Head
from queueing.statements import execute_many, fetch

Origin = Mapping[str, Any]
OPERATOR: Origin = {"source": "operator"}
# So many jobs are cancelled by one statement.
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Retried:
    """The job after a retry. `already_queued`: it waited already; it was nudged again."""

    job: GenerationJob
    already_queued: bool
    transport: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job after a cancel."""

    job: GenerationJob
    already_cancelled: bool


def retry(job_id: str, by: Origin = OPERATOR) -> Retried:
    """Queue a failed or cancelled job again, at the tail of its lane, with a fresh budget.

    One whose worker fell silent, so that its lease has run out, is queued where it stands. A queued
    job is left as it is, but nudged. `by` says who asks, for the job's history. Raises JobNotFound;
    JobConflict for a job that a worker has in hand, or that is completed.
    """
    with transaction.atomic():
        job = _locked(job_id)
        if job.state == states.COMPLETED:
            raise JobConflict(
                "Generation job already completed; retrying would duplicate observations"
            )
        already_queued = job.state == states.QUEUED
        if job.state == states.PROCESSING:
            _free(job, by)
        stays = job.state in states.OPEN
        head = _head_if_first(job) if stays else _requeue(job, by)
        _tell(states.RETRIED, job, states.QUEUED, by)
        now = _reloaded(job_id)  # which the next moment may have forgotten
    published = outbox.publish([head]) if head else 1
    return Retried(now, already_queued, ENQUEUED if published else QUEUED_ONLY)


def cancel(job_id: str, by: Origin = OPERATOR) -> Cancelled:
    """Cancel a job that is not completed; a worker that has it loses its lease.

    `by` says who asks, for the job's history. Raises JobNotFound; JobConflict for a completed job.
    """
    with transaction.atomic():
        job = _locked(job_id)
        if job.state == states.COMPLETED:
            raise JobConflict("Generation job already completed; cannot cancel")
        already = job.state == states.CANCELLED
        head = None if already else _cancel(job, by)
        _tell(states.CANCELLED, job, states.CANCELLED, by)
        now = _reloaded(job_id)
    if head:
        outbox.publish([head])
    return Cancelled(now, already)


def clear(lane_key: str, session_id: str, by: Origin = OPERATOR) -> int:
    """Cancel all jobs of a session that wait or are worked; returns how many there were.

    Workers that have one lose their lease. Jobs of other sessions are left as they are, and so are
    those that come later. `by` says who asks, for the jobs' histories.
    """
    with transaction.atomic():
        gone = _all_cancelled(_open_in(lane_key).filter(session_id=session_id), by)
        head = leases.advance(gone[0].lane_id) if gone else None
    if head:
        outbox.publish([head])
    return len(gone)


def take_out(lane_id: int, job_ids: Sequence[str]) -> int:
    """Delete jobs of one lane for good, whatever their state; how many were there still.

    Workers that have one lose their lease. What stays goes on with the next reconcile. Must be
    called inside a transaction.
    """
    gone = [row[0] for row in fetch("lock_these", job_ids, items=len(job_ids))]
    outbox.drop_jobs(gone)
    if gone:
        leases.advance(lane_id)
        fetch("unwoken", [lane_id], items=1)
    return len(gone)


def _open_in(lane_key: str) -> "QuerySet[GenerationJob]":
    """The lane's open jobs, to be locked in its order."""
    lane = Lane.objects.filter(key=lane_key).values_list("pk", flat=True).first()
    open_jobs = GenerationJob.objects.filter(state__in=states.OPEN, lane=lane)
    return open_jobs.order_by("seq").select_for_update(no_key=True)


def _all_cancelled(open_jobs: "QuerySet[GenerationJob]", by: Origin) -> list[GenerationJob]:
    """Cancel them, and tell of it; those that were open still, as they were."""
    jobs = list(open_jobs)
    cancelled = {job for some in _portions(jobs) for job in _cancelled(some, by)}
    gone = [job for job in jobs if job.pk in cancelled]
    for state in states.OPEN:
        if those := [job for job in gone if job.state == state]:
            details = {"previousStatus": state, "currentStatus": states.CANCELLED}
            witness.tell(states.CANCELLED, those, details, by=by)
    return gone


def _portions(jobs: Sequence[GenerationJob]) -> Iterator[Sequence[GenerationJob]]:
    """The jobs in portions that a statement takes."""
    for start in range(0, len(jobs), AT_ONCE):
        yield jobs[start : start + AT_ONCE]


def _cancelled(jobs: Sequence[GenerationJob], by: Origin) -> list[str]:
    """Cancel them; the ids of those that were open still."""
    rows = fetch("cancel_open", [job.pk for job in jobs], items=len(jobs))
    origin = orjson.dumps(dict(by)).decode()
    told = (states.CANCELLED, states.CANCELLED)
    execute_many("history", [(job_id, *told, attempts, origin) for job_id, attempts in rows])
    return [job_id for job_id, _ in rows]


def _locked(job_id: str) -> GenerationJob:
    job = GenerationJob.objects.select_for_update(no_key=True).filter(pk=job_id).first()
    if job is None:
        raise JobNotFound("Generation job not found")
    return job


def _reloaded(job_id: str) -> GenerationJob:
    return GenerationJob.objects.get(pk=job_id)


def _head_if_first(job: GenerationJob) -> Head | None:
    for head, _ in fetch("lock_lane", [job.lane_id]):
        return Head(job.id, job.kind) if head == job.seq else None
    return None


def _requeue(job: GenerationJob, by: Origin) -> Head | None:
    whose = [job.kind, job.team_id, job.project_id]
    ((_, head, tail, _),) = fetch("take_numbers", [job.lane.key, *whose, 1])
    for (count,) in fetch("requeue", [tail, job.id]):
        _record(job.id, states.RETRIED, states.QUEUED, count, by)
    return Head(job.id, job.kind) if head == tail else None


def _free(job: GenerationJob, by: Origin) -> None:
    """Queue a stalled job in its place, and what its worker had along with it.

    The worker, should it wake, finds that it has no lease.
    """
    rows = fetch("requeue_stalled", [job.id])
    if not rows:
        raise JobConflict(
            "Generation job is currently processing; cancel or wait for completion before retrying"
        )
    for (count,) in rows:
        _record(job.id, states.RETRIED, states.QUEUED, count, by)
    leases.free_behind(job.lane_id, job.seq, forgiven=True)


def _cancel(job: GenerationJob, by: Origin) -> Head | None:
    for lane_id, attempts in fetch("cancel", [job.id]):
        _record(job.id, states.CANCELLED, states.CANCELLED, attempts, by)
        # A failed job lies behind its lane's head, which it must not move.
        return leases.advance(lane_id) if job.state in states.OPEN else None
    return None


def _record(job_id: str, event: str, state: str, attempt: int, by: Origin) -> None:
    execute_many("history", [(job_id, event, state, attempt, orjson.dumps(dict(by)).decode())])


def _tell(deed: str, job: GenerationJob, state: str, by: Origin) -> None:
    """`job` as it was before."""
    changed = job.state != state
    details: dict[str, Any] = {"previousStatus": job.state, "currentStatus": state}
    if deed == states.RETRIED:
        details["retriedCount"] = job.retried_count + changed
    if not changed:
        details["outcome"] = f"noop_already_{state}"
    witness.tell(deed, [job], details, by=by)
