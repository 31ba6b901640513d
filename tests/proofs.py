"""What must be true of the rows of delivery, whatever went wrong: read from a database as it is.

What is looked for in the jobs' history is the product's own (`queueing/proof.py`); here it is read
by the driver's own connection, and compared with what was stored.
"""

import json
from typing import Any

from queueing import proof
from queueing.proof import Line

_HISTORY = """
    SELECT job.lane_id, job.id, job.seq, history.event, history.details
    FROM queueing_generationjobevent history JOIN queueing_generationjob job
        ON job.id = history.job_id
    ORDER BY job.lane_id, history.id"""

_NOT_COMPLETED = "SELECT id, state FROM queueing_generationjob WHERE state <> 'completed'"

_GIVEN_UP = """
    SELECT id, last_error FROM queueing_generationjob WHERE state = 'failed' ORDER BY id LIMIT 3"""

# What a settlement says that it stored, and what is there; both are of one transaction.
_COUNTED = """
    SELECT job.id, history.details,
        (SELECT count(*) FROM observations_observation WHERE created_by_job_id = job.id),
        (SELECT count(DISTINCT created_at) FROM observations_observation
         WHERE created_by_job_id = job.id)
    FROM queueing_generationjob job JOIN queueing_generationjobevent history
        ON history.job_id = job.id AND history.event = 'completed'"""


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


def none_given_up(database: Any) -> None:
    """Fail as soon as a job failed for good: nothing is to be measured, or waited for, any more."""
    failed = database.execute(_GIVEN_UP).fetchall()
    told = "; ".join(f"job {job}: {details_of(error)['reason']}" for job, error in failed)
    assert not failed, f"jobs failed for good ({told})"


def details_of(value: Any) -> dict[str, Any]:
    """The details of a line as the driver returned them: SQLite's are text."""
    details: dict[str, Any] = json.loads(value) if isinstance(value, str) else value
    return details


def twice(database: Any) -> list[str]:
    """Jobs that were completed more than once."""
    return proof.twice(lanes(database))


def out_of_order(database: Any) -> list[str]:
    """Jobs that were completed before another that stood before them in their lane."""
    return proof.out_of_order(lanes(database))


def overlaps(database: Any) -> list[str]:
    """Claims of a lane that were made while another was in flight and not taken over."""
    return proof.overlaps(lanes(database))


def lanes(database: Any) -> list[list[Line]]:
    """Each lane's history, in order."""
    return proof.lanes(
        (lane, job, seq, event, details_of(details).get("batch", 0))
        for lane, job, seq, event, details in database.execute(_HISTORY).fetchall()
    )
