"""What is over is deleted after its time: jobs that ended, their history, their lanes.

In small transactions with pauses between them, so that no capture waits long for one. Nothing that
is open, or that somebody has locked, is touched. A job that is gone must not be made again when its
event is delivered once more: a row keeps how far jobs were pruned, and only ever grows.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from django.conf import settings
from django.db import transaction

from queueing import direct, kinds, states
from queueing.direct import moment, stored
from queueing.statements import now

JOBS = "jobs"
# So many jobs go in one transaction: some ten milliseconds.
PORTION = 100
# One pass ends after so many seconds; the next goes on.
PASS_SECONDS = 120.0
# Between two transactions others have their turn, for as long as one took and at least so long.
BREATH = 0.01
# Hosts' clocks differ by less.
SKEW = timedelta(days=1)

# Jobs are locked before lanes, as everywhere (`statements`), and in any order: what another has is
# passed over, so that nobody is waited for.
_LOCKED = {"sqlite": "", "postgresql": "FOR UPDATE SKIP LOCKED"}

# A summary is the mark up to which its session is told; the next begins behind it.
_SUPERSEDED = f"""
    (kind <> '{kinds.SUMMARY.name}' OR EXISTS (
        SELECT 1 FROM queueing_generationjob later
        WHERE later.kind = '{kinds.SUMMARY.name}' AND later.source_id = job.source_id
            AND later.covers > job.covers AND later.state = '{states.COMPLETED}'))"""  # noqa: S608
# What ended, long enough ago, behind its lane's head. A time that is NULL is never past.
_OVER = f"""
    ((state = '{states.COMPLETED}' AND completed_at < %s)
     OR (state = '{states.FAILED}' AND failed_at < %s)
     OR (state = '{states.CANCELLED}' AND cancelled_at < %s))
    AND seq < (SELECT head FROM queueing_lane WHERE id = job.lane_id)
    AND {_SUPERSEDED}"""  # noqa: S608
# Ids are in the order of time: what is kept is walked over once a pass.
_FIND = f"""
    SELECT id FROM queueing_generationjob job
    WHERE id > %s AND id < %s AND {_OVER} ORDER BY id LIMIT %s"""  # noqa: S608
_COUNT = f"SELECT count(*) FROM queueing_generationjob job WHERE id < %s AND {_OVER}"  # noqa: S608
_LOCK = f"""
    SELECT id, lane_id FROM queueing_generationjob job
    WHERE id IN ({{list}}) AND {_OVER} {{locked}}"""  # noqa: S608
_EMPTY = (
    "head > tail AND NOT EXISTS "
    "(SELECT 1 FROM queueing_generationjob WHERE lane_id = queueing_lane.id)"
)
_LOCK_LANES = f"SELECT id FROM queueing_lane WHERE id IN ({{list}}) AND {_EMPTY} {{locked}}"  # noqa: S608
# Asked again, with the lanes locked: a job may have come and been done since.
_DROP_LANES = f"DELETE FROM queueing_lane WHERE id IN ({{list}}) AND {_EMPTY} RETURNING id"  # noqa: S608
_MARK = """
    INSERT INTO queueing_pruning (subject, before, removed) VALUES (%s, %s, 0)
    ON CONFLICT (subject) DO UPDATE SET before = CASE
        WHEN queueing_pruning.before > excluded.before THEN queueing_pruning.before
        ELSE excluded.before END"""
# Whoever moves the time is the one that prunes: the others find it moved. One far in the future was
# noted by a clock that was put back since.
_TURN = """
    INSERT INTO queueing_pruning (subject, ran_at, removed) VALUES (%s, %s, 0)
    ON CONFLICT (subject) DO UPDATE SET ran_at = excluded.ran_at
    WHERE queueing_pruning.ran_at IS NULL OR queueing_pruning.ran_at < %s
        OR queueing_pruning.ran_at > %s
    RETURNING subject"""
_DONE = """
    INSERT INTO queueing_pruning (subject, ran_at, removed) VALUES (%s, %s, %s)
    ON CONFLICT (subject) DO UPDATE SET ran_at = excluded.ran_at, removed = excluded.removed"""
_MARKED = "SELECT before FROM queueing_pruning WHERE subject = %s"
_LAST = "SELECT ran_at FROM queueing_pruning WHERE subject = %s"


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """Jobs that ended before these moments are over; None: never."""

    completed: datetime | None
    failed: datetime | None

    @property
    def latest(self) -> datetime | None:
        """What ended before this may be gone; None where nothing goes."""
        return max((each for each in (self.completed, self.failed) if each), default=None)

    @property
    def values(self) -> list[object]:
        """As `_OVER` takes them."""
        failed = _or_never(self.failed)
        return [_or_never(self.completed), failed, failed]


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a pass may go on: until a moment of the monotonic clock, or until `stop` says so."""

    until: float
    stop: Callable[[], bool]

    @property
    def is_spent(self) -> bool:
        """Whether it is time to end."""
        return self.stop() or time.monotonic() > self.until


def budget(seconds: float = PASS_SECONDS, stop: Callable[[], bool] = lambda: False) -> Budget:
    """So many seconds from now, unless `stop` says earlier that it is enough."""
    return Budget(time.monotonic() + seconds, stop)


def before(days: int, at: datetime) -> datetime | None:
    """What is older than this was kept for so many days; None where it is kept for ever."""
    return at - timedelta(days=days) if days else None


def cutoffs(at: datetime) -> Cutoffs:
    """Those that the settings ask for."""
    return Cutoffs(
        before(settings.RETAIN_JOBS_DAYS, at), before(settings.RETAIN_FAILED_JOBS_DAYS, at)
    )


def over(limits: Cutoffs) -> int:
    """How many jobs `prune` would delete."""
    return int(direct.fetch(_COUNT, [_id_at(limits), *limits.values])[0][0]) if limits.latest else 0


def prune(limits: Cutoffs, allowed: Budget) -> int:
    """Delete jobs that are over with their history, and lanes that end empty; how many jobs.

    Ends when what is `allowed` is spent, done or not. Must not be called inside a transaction.
    """
    if limits.latest is None:
        return 0
    with transaction.atomic():
        # Before the first is gone: who looks for one and finds none must find this.
        direct.fetch(_MARK, [JOBS, stored(limits.latest)])
    removed = 0
    for ids in _portions(limits):
        with turn():
            removed += _delete(ids, limits)
        if allowed.is_spent:
            break
    return removed


def may_be_pruned(made_at: datetime) -> bool:
    """Whether the job of what was made at that time may be gone because it was done long ago."""
    for (mark,) in direct.fetch(_MARKED, [JOBS]):
        return bool(mark) and made_at < moment(mark) + SKEW
    return False


def take_turn(subject: str, every: float) -> bool:
    """Whether the caller is the one to see to `subject`, which is due every so many seconds."""
    at, period = now(), timedelta(seconds=every)
    last = ran_at(subject)
    if last is not None and at - period <= last <= at + period:
        return False
    due = [stored(at - period), stored(at + period)]
    with transaction.atomic():
        return bool(direct.fetch(_TURN, [subject, stored(at), *due]))


def note(subject: str, removed: int) -> None:
    """Write down that `subject` was seen to just now, and how much went; in a transaction."""
    direct.fetch(_DONE, [subject, stored(now()), removed])


def ran_at(subject: str) -> datetime | None:
    """When `subject` was last seen to."""
    for (at,) in direct.fetch(_LAST, [subject]):
        return moment(at) if at else None
    return None


@contextmanager
def turn() -> Iterator[None]:
    """A transaction, and then a pause as long as it was, in which others write."""
    with transaction.atomic():
        started = time.monotonic()
        yield
    time.sleep(max(BREATH, time.monotonic() - started))


def _portions(limits: Cutoffs) -> Iterator[list[str]]:
    last, end = "", _id_at(limits)
    while True:
        rows = direct.fetch(_FIND, [last, end, *limits.values, PORTION])
        ids = [row[0] for row in rows]
        if ids:
            yield ids
        if len(ids) < PORTION:
            return
        last = ids[-1]


def _delete(ids: Sequence[str], limits: Cutoffs) -> int:
    """Delete those of the jobs that are over still; how many. A retry may have come between."""
    rows = direct.fetch(_text(_LOCK, len(ids)), [*ids, *limits.values])
    gone, lanes = [row[0] for row in rows], sorted({row[1] for row in rows})
    if gone:
        _delete_jobs(gone)
        if empty := [row[0] for row in _run(_LOCK_LANES, lanes)]:
            _run(_DROP_LANES, empty)
    return len(gone)


def _delete_jobs(ids: Sequence[object]) -> None:
    if ids:
        _run("DELETE FROM queueing_generationjobevent WHERE job_id IN ({list})", ids)
        _run("DELETE FROM queueing_generationjob WHERE id IN ({list})", ids)


def _run(text: str, values: Sequence[object]) -> list[tuple[object, ...]]:
    return direct.fetch(_text(text, len(values)), values)


@cache
def _text(text: str, items: int) -> str:
    vendor = direct.vendor()
    for mark, value in (
        ("{list}", ", ".join(["%s"] * items)),
        ("{locked}", _LOCKED[vendor]),
    ):
        text = text.replace(mark, value)
    return text


def _or_never(at: datetime | None) -> object:
    return None if at is None else stored(at)


def _id_at(limits: Cutoffs) -> str:
    """What ids that are made at the latest cutoff begin with, a day of grace for clocks added."""
    assert limits.latest is not None
    milliseconds = f"{int((limits.latest + SKEW).timestamp() * 1000):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}"
