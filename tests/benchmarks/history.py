"""What the jobs' history tells of time: when a job went on, and how long a lane stood still."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from operator import attrgetter

from queueing.direct import moment
from tests.benchmarks.rows import Rows
from tests.proofs import details_of

_OPENS = {"queued", "retried"}
_ENDS = {"completed", "failed", "cancelled"}
_LINES = """
    SELECT job.lane_id, job.id, history.event, history.created_at, history.attempt, history.details
    FROM queueing_generationjobevent history JOIN queueing_generationjob job
        ON job.id = history.job_id
    ORDER BY job.lane_id, history.id"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a job's history."""

    lane: int
    job: str
    event: str
    at: datetime
    attempt: int = 0
    worker: str = ""
    says: str = ""


@dataclass(frozen=True, slots=True)
class Stand:
    """A lane had open work, and nothing was written of it between two moments."""

    lane: int
    job: str
    since: datetime
    until: datetime

    @property
    def seconds(self) -> float:
        return (self.until - self.since).total_seconds()


def lines(rows: Rows) -> list[Line]:
    """The history of all jobs, lane by lane, each in the order of its commits."""
    return [_line(*row) for row in rows.query(_LINES)]


def _line(lane: int, job: str, event: str, at: object, attempt: int, told: object) -> Line:
    assert isinstance(at, str | datetime)
    details = details_of(told) or {}
    says = str(details.get("reason", ""))
    return Line(lane, job, event, moment(at), attempt, str(details.get("worker", "")), says)


def stands(told: Sequence[Line]) -> list[Stand]:
    """How long each lane stood still, each time, while it had work. Pure.

    That something is enqueued behind what waits is no going on.
    """
    return [stand for _, lane in groupby(told, attrgetter("lane")) for stand in _stands(lane)]


def _stands(lane: Iterable[Line]) -> Iterator[Stand]:
    waiting = 0
    since: datetime | None = None
    for line in lane:
        if line.event in _OPENS:
            since = since if waiting and since else line.at
            waiting += 1
            continue
        if waiting and since:
            yield Stand(line.lane, line.job, since, max(since, line.at))
        since = line.at
        waiting -= line.event in _ENDS


def nobody_worked(told: Iterable[Line], stand: Stand) -> float:
    """The longest time (seconds) within which no job of any lane was claimed meanwhile. Pure."""
    claims = sorted(line.at for line in told if line.event == "processing")
    within = [at for at in claims if stand.since < at < stand.until]
    moments = [stand.since, *within, stand.until]
    return max((after - before).total_seconds() for before, after in pairwise(moments))


def went_on(told: Iterable[Line], job: str, struck: datetime) -> datetime | None:
    """When the first line of the job's history was written after it was struck. Pure."""
    # SQLite writes milliseconds, which end before the moment that they are of.
    since = struck - timedelta(milliseconds=1)
    return next((line.at for line in told if line.job == job and line.at > since), None)
