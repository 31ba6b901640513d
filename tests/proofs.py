"""What must be true of the rows of delivery, whatever went wrong: read from the jobs' history.

Nothing in the tables of jobs and history forbids what is looked for here, so a fault would show.
In SQLite the history's ids are in the order of the commits.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

_ENDS = {"completed", "failed", "released", "retry_scheduled", "cancelled"}

_HISTORY = """
    SELECT job.lane_id, job.id, job.seq, history.event, history.details
    FROM queueing_generationjobevent history JOIN queueing_generationjob job
        ON job.id = history.job_id
    ORDER BY job.lane_id, history.id"""

_NOT_COMPLETED = "SELECT id, state FROM queueing_generationjob WHERE state <> 'completed'"

# What a settlement says that it stored, and what is there; both are of one transaction.
_MISCOUNTED = """
    SELECT job.id, json_extract(history.details, '$.observationCount'),
        (SELECT count(*) FROM observations_observation WHERE created_by_job_id = job.id) AS stored,
        (SELECT count(DISTINCT created_at) FROM observations_observation
         WHERE created_by_job_id = job.id) AS moments
    FROM queueing_generationjob job JOIN queueing_generationjobevent history
        ON history.job_id = job.id AND history.event = 'completed'
    WHERE stored <> json_extract(history.details, '$.observationCount') OR moments > 1"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a lane's history."""

    job: str
    seq: int
    event: str
    batch: int


def violations(database: sqlite3.Connection) -> list[str]:
    """Everything that is wrong once all jobs are settled; empty where delivery kept its promise."""
    return [*lost(database), *twice(database), *out_of_order(database), *overlaps(database)]


def lost(database: sqlite3.Connection) -> list[str]:
    """Jobs that were not completed, and jobs whose observations are not all there, or too many."""
    unfinished = database.execute(_NOT_COMPLETED).fetchall()
    miscounted = database.execute(_MISCOUNTED).fetchall()
    return [f"{job} is {state}" for job, state in unfinished] + [
        f"{job} stored {said} observations, {there} are there, of {moments} moments"
        for job, said, there, moments in miscounted
    ]


def twice(database: sqlite3.Connection) -> list[str]:
    """Jobs that were completed more than once."""
    done = Counter(
        line.job for lane in lanes(database) for line in lane if line.event == "completed"
    )
    return [f"{job} completed {times} times" for job, times in done.items() if times > 1]


def out_of_order(database: sqlite3.Connection) -> list[str]:
    """Jobs that were completed before another that stood before them in their lane."""
    found = []
    for lane in lanes(database):
        done = [line for line in lane if line.event == "completed"]
        found += [f"{after.job} completed after {before.job}, which stood behind it"
                  for before, after in pairwise(done)
                  if after.seq < before.seq]  # fmt: skip
    return found


def overlaps(database: sqlite3.Connection) -> list[str]:
    """Claims of a lane that were made while another was in flight and not taken over."""
    return [fault for lane in lanes(database) for fault in _overlaps(lane)]


def lanes(database: sqlite3.Connection) -> Iterator[Sequence[Line]]:
    """Each lane's history, in order."""
    rows = database.execute(_HISTORY).fetchall()
    for _, lane in groupby(rows, key=lambda row: row[0]):
        yield [Line(job, seq, event, json.loads(details).get("batch", 0))
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
