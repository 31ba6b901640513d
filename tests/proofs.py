"""What must be true of the rows of delivery, whatever went wrong: read from the jobs' history.

Nothing in the tables of jobs and history forbids what is looked for here, so a fault would show.
A lane's history has its ids in the order of its commits: each is written under a lock of the lane
or of the job.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

_ENDS = {"completed", "failed", "released", "retry_scheduled", "cancelled"}

_HISTORY = """
    SELECT job.lane_id, job.id, job.seq, history.event, history.details
    FROM queueing_generationjobevent history JOIN queueing_generationjob job
        ON job.id = history.job_id
    ORDER BY job.lane_id, history.id"""

_NOT_COMPLETED = "SELECT id, state FROM queueing_generationjob WHERE state <> 'completed'"

# What a settlement says that it stored, and what is there; both are of one transaction.
_COUNTED = """
    SELECT job.id, history.details,
        (SELECT count(*) FROM observations_observation WHERE created_by_job_id = job.id),
        (SELECT count(DISTINCT created_at) FROM observations_observation
         WHERE created_by_job_id = job.id)
    FROM queueing_generationjob job JOIN queueing_generationjobevent history
        ON history.job_id = job.id AND history.event = 'completed'"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a lane's history."""

    job: str
    seq: int
    event: str
    batch: int


def violations(database: Any) -> list[str]:
    """Everything that is wrong once all jobs are settled; empty where delivery kept its promise."""
    return [*lost(database), *twice(database), *out_of_order(database), *overlaps(database)]


def lost(database: Any) -> list[str]:
    """Jobs that were not completed, and jobs whose observations are not all there, or too many."""
    unfinished = database.execute(_NOT_COMPLETED).fetchall()
    counted = [(job, details_of(told).get("observationCount"), there, moments)
               for job, told, there, moments in database.execute(_COUNTED).fetchall()]  # fmt: skip
    return [f"{job} is {state}" for job, state in unfinished] + [
        f"{job} stored {said} observations, {there} are there, of {moments} moments"
        for job, said, there, moments in counted
        if said not in (None, there) or moments > 1
    ]


def details_of(value: Any) -> dict[str, Any]:
    """The details of a line as the driver returned them: SQLite's are text."""
    details: dict[str, Any] = json.loads(value) if isinstance(value, str) else value
    return details


def twice(database: Any) -> list[str]:
    """Jobs that were completed more than once."""
    done = Counter(
        line.job for lane in lanes(database) for line in lane if line.event == "completed"
    )
    return [f"{job} completed {times} times" for job, times in done.items() if times > 1]


def out_of_order(database: Any) -> list[str]:
    """Jobs that were completed before another that stood before them in their lane."""
    found = []
    for lane in lanes(database):
        done = [line for line in lane if line.event == "completed"]
        found += [f"{after.job} completed after {before.job}, which stood behind it"
                  for before, after in pairwise(done)
                  if after.seq < before.seq]  # fmt: skip
    return found


def overlaps(database: Any) -> list[str]:
    """Claims of a lane that were made while another was in flight and not taken over."""
    return [fault for lane in lanes(database) for fault in _overlaps(lane)]


def lanes(database: Any) -> Iterator[Sequence[Line]]:
    """Each lane's history, in order."""
    rows = database.execute(_HISTORY).fetchall()
    for _, lane in groupby(rows, key=lambda row: row[0]):
        yield [Line(job, seq, event, details_of(details).get("batch", 0))
               for _, job, seq, event, details in lane]  # fmt: skip


def _overlaps(lane: Iterable[Line]) -> Iterator[str]:
    in_flight: set[str] = set()
    expected = 0
    for line in lane:
        if line.event == "processing":
            if expected == 0:
                # The head of a new claim. Its own claim may have run out; no other job's may last.
                expected = line.batch
                if in_flight - {line.job}:
                    yield f"{line.job} was claimed while {sorted(in_flight)} were in flight"
            in_flight.add(line.job)
            expected -= 1
        elif line.event in _ENDS:
            in_flight.discard(line.job)
