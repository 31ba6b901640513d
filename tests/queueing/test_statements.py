"""What a statement of the hot path reads does not grow with the backlog.

A claim that walked through every queued job would be quick in any test of what it does.
"""

import pytest

from queueing import direct, statements

pytestmark = pytest.mark.django_db(transaction=True)

JOBS = "queueing_generationjob"
# Each runs for every job or every lease.
HOT = (
    "claim_head", "claim_next", "followers", "claim_followers", "free_followers", "complete",
    "reschedule", "release", "bury", "bury_exhausted", "lock_lane", "advance", "head_job",
)  # fmt: skip
# Each runs several times a second, for all lanes.
LOOKS = ("wanting", "nudged", "spent", "due", "ready", "heads")
BATCH = 3


def plan(name: str) -> list[str]:
    """How the database would run the statement; a step a line."""
    text = statements.sql(name, items=BATCH)
    pairs = ["1", 1] * BATCH if "VALUES" in text else []
    values = [*["1"] * (text.count("%s") - len(pairs)), *pairs]
    if direct.vendor() == "sqlite":
        return [row[3] for row in direct.fetch(f"EXPLAIN QUERY PLAN {text}", values)]
    return [line for (line,) in direct.fetch(f"EXPLAIN {text}", values)]


@pytest.mark.parametrize("name", [*HOT, *LOOKS])
def test_no_statement_of_the_hot_path_and_no_look_reads_the_backlog(name: str) -> None:
    steps = plan(name)
    assert [step for step in steps if "job_state_kind" in step] == []
    assert [step for step in steps if f"SCAN {JOBS}" in step or f"Seq Scan on {JOBS}" in step] == []
