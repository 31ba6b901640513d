"""Enqueue inside the caller's transaction; publish after it.

The row is written with the business data, so an accepted event cannot lose its job. Publishing is
only a nudge: where it fails the row stays queued, and reconcile publishes it.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import Any

import orjson
from django.db import InterfaceError, OperationalError, transaction

from queueing import broker, direct, states
from queueing.direct import moment
from queueing.errors import JobConflict, QueueStoreAway
from queueing.kinds import Kind
from queueing.models import new_id
from queueing.statements import execute, execute_many, fetch

log = logging.getLogger(__name__)

# A try takes as long as the jobs in hand that it waits for, or a few milliseconds.
_LOCK_TRIES = 100
ENQUEUED, QUEUED_ONLY, SKIPPED = "enqueued", "queued_only", "skipped"


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be written.

    `size` estimates its input in tokens; `origin` says who asked for it and by what route;
    `asked_by` is for the caller alone, to tell which of its requests made which job.
    """

    kind: Kind
    lane_key: str
    queue_job_id: str
    source_id: str
    team_id: str
    project_id: str
    session_id: str | None = None
    size: int = 0
    covers: int = 0
    origin: dict[str, Any] = field(default_factory=dict)
    asked_by: str = ""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A job that was written. `is_head`: its lane was idle, so it is to be published."""

    id: str
    new: NewJob
    seq: int
    is_head: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Head:
    """A job that may run now: what a message names."""

    job_id: str
    kind: str


def enqueue(jobs: Sequence[NewJob]) -> tuple[Enqueued, ...]:
    """Write `jobs` into their lanes, in order. Must be called inside a transaction.

    Lanes are taken in the order of their keys, so that two callers cannot wait for each other.
    The result is in the order of `jobs`.
    """
    if len(jobs) == 1:
        return (append(jobs[0]),)
    if direct.vendor() == "postgresql":
        return _enqueued_at_once(jobs) if jobs else ()
    by_lane = sorted(enumerate(jobs), key=lambda pair: pair[1].lane_key)
    written: dict[int, Enqueued] = {}
    for lane_key, group in groupby(by_lane, key=lambda pair: pair[1].lane_key):
        numbered = list(group)
        for (position, _), row in zip(
            numbered, _append(lane_key, [job for _, job in numbered]), strict=True
        ):
            written[position] = row
    return tuple(written[position] for position in range(len(jobs)))


def _enqueued_at_once(jobs: Sequence[NewJob]) -> tuple[Enqueued, ...]:
    ids = [new_id() for _ in jobs]
    asked = [
        {**described(job, id), "place": place}
        for place, (job, id) in enumerate(zip(jobs, ids, strict=True))
    ]
    rows = fetch("enqueue", [orjson.dumps(asked).decode()])
    return tuple(
        Enqueued(id, job, seq, is_head, moment(at))
        for id, job, (seq, is_head, at) in zip(ids, jobs, rows, strict=True)
    )


def described(job: NewJob, id: str) -> dict[str, object]:
    """The job as a row of the relation that `entering.ENQUEUE` reads, but for its place."""
    return {
        "job_id": id,
        "queue_job_id": job.queue_job_id,
        "lane_key": job.lane_key,
        "kind": job.kind.name,
        "max_attempts": job.kind.max_attempts,
        "size": job.size,
        "team_id": job.team_id,
        "project_id": job.project_id,
        "session_id": job.session_id,
        "source_type": job.kind.source_type,
        "source_id": job.source_id,
        "covers": job.covers,
        "origin": job.origin,
    }


def placed(job: NewJob, session_id: str | None, covers: int, lane_key: str) -> NewJob:
    """The job with what it got from the session in which its event was found to be."""
    return replace(job, session_id=session_id, covers=covers, lane_key=lane_key)


def append(job: NewJob) -> Enqueued:
    """The same for one job: on PostgreSQL a statement, which may be its own transaction."""
    if direct.vendor() == "postgresql":
        return _appended_at_once(job)
    ((lane_id, head, seq, now),) = fetch(
        "take_numbers", (job.lane_key, job.kind.name, job.team_id, job.project_id, 1)
    )
    row = Enqueued(new_id(), job, seq, seq == head, moment(now))
    origin = orjson.dumps(job.origin).decode()
    execute("insert_job", _columns(row, lane_id, now, origin))
    execute("history", (row.id, *_first_history(origin)))
    return row


def _appended_at_once(job: NewJob) -> Enqueued:
    id = new_id()
    ((seq, is_head, at),) = fetch("append", [orjson.dumps(described(job, id)).decode()])
    return Enqueued(id, job, seq, is_head, moment(at))


def _append(lane_key: str, jobs: list[NewJob]) -> list[Enqueued]:
    of_first = [jobs[0].kind.name, jobs[0].team_id, jobs[0].project_id]
    ((lane_id, head, tail, now),) = fetch("take_numbers", [lane_key, *of_first, len(jobs)])
    first = tail - len(jobs) + 1
    rows = [
        Enqueued(new_id(), job, first + index, first + index == head, moment(now))
        for index, job in enumerate(jobs)
    ]
    origins = [orjson.dumps(job.origin).decode() for job in jobs]
    told = list(zip(rows, origins, strict=True))
    execute_many("insert_job", (_columns(row, lane_id, now, origin) for row, origin in told))
    execute_many("history", ((row.id, *_first_history(origin)) for row, origin in told))
    return rows


def _columns(row: Enqueued, lane_id: int, now: object, origin: str) -> tuple[object, ...]:
    job = row.new
    return (
        row.id, job.queue_job_id, lane_id, row.seq, job.kind.name, job.kind.max_attempts,
        now, job.size, job.team_id, job.project_id, job.session_id, job.kind.source_type,
        job.source_id, job.covers, origin, now, now,
    )  # fmt: skip


def _first_history(origin: str) -> tuple[object, ...]:
    return states.ENQUEUED, states.QUEUED, 0, origin


def publish(heads: Iterable[Head], *, first: bool = False) -> int:
    """Nudge the broker for each of `heads`; call it after the commit. Returns how many it took.

    Their messages wait behind all others, or before them if they are to be `first`. A store that is
    away is logged once a call and costs nobody anything: the rows are durable.
    """
    published = 0
    send = broker.publish_first if first else broker.publish
    for head in heads:
        try:
            send(head.job_id, head.kind)
        except QueueStoreAway as error:
            log.warning("job %s stays queued: %s", head.job_id, error)
            break
        published += 1
    return published


def nudge(heads: Sequence[Head], *, first: bool = False) -> int:
    """As `publish`; and those that the broker did not take are nudged by the next reconcile.

    Among many that wait, nudges that were noted and not sent would seem to be on their way.
    """
    published = publish(heads, first=first)
    if unsent := [head.job_id for head in heads[published:]]:
        try:
            with transaction.atomic():
                fetch("unsent", unsent, items=len(unsent))
        except (OperationalError, InterfaceError) as error:
            log.warning("%d nudges were lost: %s", len(unsent), error)
    return published


def publish_enqueued(rows: Sequence[Enqueued]) -> str:
    """Publish those of `rows` that are heads; the `transport` of all of them."""
    heads = [Head(row.id, row.new.kind.name) for row in rows if row.is_head]
    return ENQUEUED if publish(heads) == len(heads) else QUEUED_ONLY


def forget(lane_keys: Sequence[str]) -> int:
    """Delete the lanes and their jobs; workers that hold one lose their lease. Returns the lanes.

    Must be called inside a transaction. Raises JobConflict where they cannot be had.
    """
    lanes = hold(lane_keys)
    drop(lanes)
    return len(lanes)


def drop(lanes: Sequence[int]) -> None:
    """The same for lanes that the caller holds: those of their ids."""
    for name in ("forget_history", "forget_jobs", "forget_lanes") if lanes else ():
        fetch(name, lanes, items=len(lanes))


def drop_jobs(ids: Sequence[str]) -> None:
    """Delete jobs that the caller has locked, with their history."""
    for name in ("drop_history", "drop_jobs") if ids else ():
        fetch(name, ids, items=len(ids))


def hand_over(lane_keys: Sequence[str], project_id: str) -> int:
    """Let the lanes with all their jobs be another project's. Returns the lanes.

    Nothing else of them changes: what waits stays in its place, and who has a job keeps it. Must be
    called inside a transaction. Raises JobConflict where they cannot be had.
    """
    lanes = hold(lane_keys)
    for name in ("hand_over_jobs", "hand_over_lanes") if lanes else ():
        fetch(name, [project_id, *lanes], items=len(lanes))
    return len(lanes)


def hold(lane_keys: Sequence[str]) -> list[int]:
    """Lock the lanes with all their jobs; the ids of those that are there.

    Until the transaction ends nothing is added to them, and nobody works them. Raises JobConflict
    where they cannot be had.
    """
    keys = sorted(lane_keys)
    # Each try waits for the jobs that are there; only what comes meanwhile and is taken at once can
    # spoil it.
    for _ in range(_LOCK_TRIES):
        if (lanes := _held(keys)) is not None:
            return lanes
    raise JobConflict(
        "its sessions are worked faster than their jobs can be held: stop who sends their events, "
        "or pause the team (`claudemem jobs pause`), and try again"
    )


def _held(lane_keys: list[str]) -> list[int] | None:
    """The lanes, locked with all their jobs; None if a worker took one of those in between.

    Jobs before lanes, as everywhere: a worker that settles one has it and wants the lane. One that
    came when the others were locked already may be such a worker's: waiting for it here, with the
    lanes held, would never end. With the savepoint all locks go back, and the next try waits.
    """
    savepoint = transaction.savepoint()
    fetch("lock_jobs", lane_keys, items=len(lane_keys))
    lanes = [row[0] for row in fetch("lanes_of", lane_keys, items=len(lane_keys))]
    if lanes:
        there = fetch("jobs_in", lanes, items=len(lanes))
        if len(fetch("jobs_to_be_had", lanes, items=len(lanes))) < len(there):
            transaction.savepoint_rollback(savepoint)
            return None
    transaction.savepoint_commit(savepoint)
    return lanes
