"""The proofs see what they are there to see: each fault is put into a history by hand."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest

from tests import proofs

pytestmark = pytest.mark.once

TABLES = """
    CREATE TABLE queueing_generationjob (id, lane_id, seq, state, last_error);
    CREATE TABLE queueing_generationjobevent (id INTEGER PRIMARY KEY, job_id, event, details);
    CREATE TABLE observations_observation (created_by_job_id, created_at);
"""


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as made:
        made.executescript(TABLES)
        made.executemany(
            "INSERT INTO queueing_generationjob VALUES (?, 1, ?, 'completed', NULL)",
            [("first", 1), ("second", 2)],
        )
        yield made


def tell(database: sqlite3.Connection, story: Sequence[tuple[str, str]], batch: int = 1) -> None:
    """Write the history: (job, event) in order; each completion says that it stored nothing."""
    for job, event in story:
        details = {"processing": {"batch": batch}, "completed": {"observationCount": 0}}.get(event)
        database.execute(
            "INSERT INTO queueing_generationjobevent (job_id, event, details) VALUES (?, ?, ?)",
            [job, event, json.dumps(details or {})],
        )


IN_TURN = [("first", "processing"), ("first", "completed"),
           ("second", "processing"), ("second", "completed")]  # fmt: skip


def test_jobs_that_were_done_in_turn_are_right(database: sqlite3.Connection) -> None:
    tell(database, IN_TURN)
    assert proofs.violations(database) == []


def test_jobs_that_were_done_together_are_right(database: sqlite3.Connection) -> None:
    tell(database, [("first", "processing"), ("second", "processing"),
                    ("first", "completed"), ("second", "completed")], batch=2)  # fmt: skip
    assert proofs.violations(database) == []


def test_a_claim_that_was_taken_over_is_right(database: sqlite3.Connection) -> None:
    tell(database, [("first", "processing"), *IN_TURN])
    assert proofs.violations(database) == []


def test_a_job_that_was_not_done_is_lost(database: sqlite3.Connection) -> None:
    tell(database, IN_TURN)
    database.execute("UPDATE queueing_generationjob SET state = 'queued' WHERE seq = 2")
    assert proofs.lost(database) == ["second is queued"]


def test_an_observation_too_many_is_seen(database: sqlite3.Connection) -> None:
    tell(database, IN_TURN)
    database.execute("INSERT INTO observations_observation VALUES ('first', 'now')")
    assert proofs.lost(database) == ["first stored 0 observations, 1 are there, of 1 moments"]


def test_a_job_that_was_done_twice_is_seen(database: sqlite3.Connection) -> None:
    tell(database, [*IN_TURN, ("first", "processing"), ("first", "completed")])
    assert proofs.twice(database) == ["first completed 2 times"]


def test_a_job_that_overtook_another_is_seen(database: sqlite3.Connection) -> None:
    tell(database, [*IN_TURN[2:], *IN_TURN[:2]])
    assert proofs.out_of_order(database) == ["first completed after second, which stood behind it"]


def test_a_claim_beside_another_is_seen(database: sqlite3.Connection) -> None:
    tell(database, [("first", "processing"), ("second", "processing"),
                    ("first", "completed"), ("second", "completed")])  # fmt: skip
    assert proofs.overlaps(database) == ["second was claimed while ['first'] were in flight"]


def test_a_job_that_failed_for_good_is_told_at_once(database: sqlite3.Connection) -> None:
    proofs.none_given_up(database)
    database.execute(
        "UPDATE queueing_generationjob SET state = 'failed', last_error = ? WHERE id = 'second'",
        [json.dumps({"reason": "it cannot be done"})],
    )
    with pytest.raises(AssertionError, match="job second: it cannot be done"):
        proofs.none_given_up(database)
