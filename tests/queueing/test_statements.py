"""What a statement of the hot path reads does not grow with the backlog.

A claim that walked through every queued job would be quick in any test of what it does.
"""

import re
from collections.abc import Sequence
from itertools import chain, count

import pytest
from django.db import connection

from queueing import direct, kinds, outbox, pauses, statements, states
from queueing.outbox import NewJob
from queueing.pauses import Subject

pytestmark = pytest.mark.django_db

JOBS = "queueing_generationjob"
# Each runs for every job or every lease.
HOT = (
    "claim_head", "claim_next", "followers", "claim_followers", "free_followers", "complete",
    "reschedule", "release", "bury", "bury_exhausted", "lock_lane", "renew", "whose", "lock_limits",
)  # fmt: skip
ADVANCE = {"sqlite": ("advance", "head_job"), "postgresql": ("advance_to",)}
# Each runs several times a second, for all lanes.
LOOKS = (
    "wanting", "unheard", "nudged", "spent", "ready", "heads", "lines", "lines_nudged",
    "heads_nudged", "heads_unnudged", "unwoken_of", "unwoken_ready",
)  # fmt: skip
# These are about what is worked just now, for which the index of states is the shortest way.
OF_WHAT_IS_WORKED = ("in_flight", "others_in_flight", "forsaken")
BATCH = 3
LANES, BACKLOG = 50, 3000


def plan(name: str) -> list[str]:
    """How the database would run the statement; a step a line."""
    text = statements.sql(name, items=BATCH)
    values = some_values(text)
    if direct.vendor() == "sqlite":
        return [row[3] for row in direct.fetch(f"EXPLAIN QUERY PLAN {text}", values)]
    return [line for (line,) in direct.fetch(f"EXPLAIN {text}", values)]


def some_values(text: str) -> list[object]:
    """What it is asked with; of the rows of its VALUES the second column is a token."""
    before, _, rows = text.partition("VALUES ")
    row = ["1", 1, "1"][: rows.partition(")")[0].count("%s")]
    rest = rows.count("%s") - BATCH * len(row)
    return ["1"] * before.count("%s") + row * BATCH + ["1"] * rest


def reads_the_backlog(steps: Sequence[str]) -> bool:
    scans = (f"SCAN {JOBS}", "SCAN job", f"Seq Scan on {JOBS}", "job_state_kind")
    return any(scan in step for step in steps for scan in scans)


def readers() -> dict[str, list[str]]:
    """The statements that would read the backlog, each with how."""
    plans = {name: plan(name) for name in chain(HOT, ADVANCE[direct.vendor()], LOOKS)}
    return {name: steps for name, steps in plans.items() if reads_the_backlog(steps)}


def fill(lanes: int = LANES, teams: int = 1) -> None:
    """A backlog in so many lanes, of so many teams."""
    kind = kinds.EVENT
    outbox.enqueue([
        NewJob(kind, f"lane-{n % lanes}", kind.job_id(str(n)), "source",
               f"team{n % teams or ''}", "project")
        for n in range(BACKLOG)
    ])  # fmt: skip


def test_no_statement_of_the_hot_path_and_no_look_reads_the_backlog() -> None:
    """However old the database's statistics of the table are.

    Of an empty table there is nothing to be said: reading all of it is as good a plan as any. So
    there is a backlog before plans are asked for, and ANALYZE keeps a vacuum of the server's own
    away until the end of the transaction.
    """
    fill()
    direct.fetch("ANALYZE")
    assert readers() == {}
    # As it was when the last backlog was done: so few are open that any of them seems soon found.
    direct.fetch(f"UPDATE {JOBS} SET state = %s", [states.COMPLETED])
    direct.fetch("ANALYZE")
    direct.fetch(f"UPDATE {JOBS} SET state = %s", [states.QUEUED])
    assert readers() == {}


@pytest.mark.parametrize("name", ["lines", "lines_nudged"])
def test_a_look_goes_along_its_own_index_though_all_lanes_seem_to_be_of_one_project(
    name: str,
) -> None:
    """And all seem busy: of how few there are no statistics say anything."""
    fill(lanes=BACKLOG)
    direct.fetch("ANALYZE")
    steps = [step for step in plan(name) if "queueing_lane" in step or " lane " in step]
    assert [step for step in steps if "lane_in_line" in step]
    assert not [step for step in steps if "Seq Scan" in step or "project_id_" in step]


@pytest.mark.parametrize("name", ["lines", "lines_nudged"])
def test_a_look_at_many_teams_reads_a_few_pages_for_each(name: str) -> None:
    """With each step the whole table could be read, where a planner takes the walk to be short."""
    fill(lanes=1000, teams=500)
    direct.fetch("ANALYZE")
    assert effort(name) < 500 * 40
    assert not [step for step in plan(name) if "Seq Scan on queueing_lane" in step]


@pytest.mark.parametrize("name", ["lines", "lines_nudged"])
def test_a_look_does_not_walk_along_the_lanes_of_a_team_that_is_paused(name: str) -> None:
    fill(lanes=BACKLOG)
    direct.fetch("ANALYZE")
    before = effort(name)
    for subject in (Subject("team", "team"), Subject("queue", kinds.EVENT.name)):
        pauses.hold(subject, "")
        assert effort(name) < before + 50
        pauses.resume(subject)


def effort(name: str) -> int:
    """How much the database does for the statement: its steps, or the pages that it looks at."""
    text = statements.sql(name)
    if direct.vendor() == "postgresql":
        ((plan,),) = direct.fetch(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}")
        return int(plan[0]["Plan"]["Shared Hit Blocks"])
    steps = count()
    connection.connection.set_progress_handler(lambda: next(steps) < 0, 10)
    direct.fetch(text)
    connection.connection.set_progress_handler(None, 0)
    return next(steps)


@pytest.mark.parametrize("name", OF_WHAT_IS_WORKED)
def test_what_is_worked_is_found_by_its_state(name: str) -> None:
    fill()
    direct.fetch("ANALYZE")
    steps = plan(name)
    assert [step for step in steps if "job_state_kind" in step]
    assert not [step for step in steps if f"SCAN {JOBS}" in step or f"Seq Scan on {JOBS}" in step]


def test_a_statement_that_would_read_the_backlog_is_found() -> None:
    fill()
    direct.fetch("ANALYZE")
    explain = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN"}[direct.vendor()]
    for condition in ("size = 1", "state = 'processing' AND kind = 'event'"):
        rows = direct.fetch(f"{explain} SELECT id FROM {JOBS} WHERE {condition}")
        assert reads_the_backlog([str(row) for row in rows])


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="a file sorts by bytes")
@pytest.mark.parametrize("name", ["enqueue", "lanes_of", "these_unwoken", "all_unwoken",
                                  "unwoken_of"])  # fmt: skip
def test_lanes_are_sorted_alike_whatever_the_language_of_the_database(name: str) -> None:
    """Two who sort them otherwise would wait for each other."""
    _, *orders = statements.sql(name, items=1).split(" ORDER BY ")
    of_keys = [order for order in orders if re.match(r"(lane\.|lane_)?key\b", order)]
    assert of_keys
    assert all('COLLATE "C"' in order[:24] for order in of_keys)
