"""The hot path's SQL, PostgreSQL and SQLite side by side.

One text serves both databases; only the clock differs, and row locks, which SQLite's immediate
transactions make needless. Times are the database's, so that hosts need not agree on theirs.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from django.conf import settings

from queueing import direct, entering, lineup, states, watching

_CLOCK = {
    # Six digits, as Django writes them: times are compared as text.
    "sqlite": (direct.NOW,
               f"strftime('%%Y-%%m-%%d %%H:%%M:%%f000', {direct.NOW}, %s || ' seconds')"),
    "postgresql": ("clock_timestamp()", "clock_timestamp() + make_interval(secs => %s)"),
}  # fmt: skip
# Locks are taken in one order: shares, jobs, then whatever these are about, then their lane. Where
# a job is wanted while its lane may be held already, or many at once, one that another has is
# passed over.
_FOR_UPDATE = {"sqlite": "", "postgresql": "FOR NO KEY UPDATE"}
_FOR_REMOVAL = {"sqlite": "", "postgresql": "FOR UPDATE"}
# As Python sorts, whatever the database's language.
_BYTEWISE = {"sqlite": "", "postgresql": 'COLLATE "C"'}
_REMOVABLE = {"sqlite": "", "postgresql": "FOR UPDATE SKIP LOCKED"}
_UNLOCKED = {"sqlite": "", "postgresql": "FOR NO KEY UPDATE SKIP LOCKED"}
_JOB_UNLOCKED = {"sqlite": "", "postgresql": "FOR NO KEY UPDATE OF job SKIP LOCKED"}
_LANE_FOR_UPDATE = {"sqlite": "", "postgresql": "FOR NO KEY UPDATE OF lane"}
_FOR_SHARE = {"sqlite": "", "postgresql": "FOR NO KEY UPDATE OF share"}
# SQLite knows how many jobs a state has on average, and not that few are processing.
_BY_STATE = {"sqlite": "INDEXED BY job_state_kind", "postgresql": ""}
_SKIP_LOCKED = {"sqlite": "", "postgresql": "FOR NO KEY UPDATE OF lane SKIP LOCKED"}

# A lane's jobs are found by a range of the index of places, whatever a planner thinks of the table.
# Their state is asked for in words that no index has, by the lease, which just the processing have,
# or by what it is not: the index of states would lead through the whole backlog.
_PLACES = "lane_id = %s AND seq BETWEEN %s AND %s"
_OPEN = f"state NOT IN ({', '.join(repr(state) for state in states.FINAL)})"
_HELD = f"{_PLACES} AND lease_until IS NOT NULL AND (id, token) IN (VALUES {{pairs}})"

_JOB = (
    "id, queue_job_id, lane_id, seq, kind, token, attempts, max_attempts, size, "
    "team_id, project_id, session_id, source_type, source_id, covers, origin"
)

# Lanes, each with the job at its head, found by its place: a planner that began with the jobs, as
# any may that expects few to be open, would read the whole backlog with each look.
_HEADS = {
    "sqlite": "queueing_lane lane CROSS JOIN queueing_generationjob job "
              "ON job.lane_id = lane.id AND job.seq = lane.head",
    "postgresql": "queueing_lane lane CROSS JOIN LATERAL (SELECT * FROM queueing_generationjob "
                  "WHERE lane_id = lane.id AND seq = lane.head OFFSET 0) AS job",
}  # fmt: skip

# The lane at which a walk stands, found by its id: a planner that takes a walk to be short reads
# the whole table with each step.
_HERE = {
    "sqlite": "line JOIN queueing_lane here ON here.id = line.id",
    "postgresql": "line CROSS JOIN LATERAL (SELECT * FROM queueing_lane "
                  "WHERE id = line.id OFFSET 0) AS here",
}  # fmt: skip


def _unpaused(of: str = "") -> str:
    """That no operator and no quota holds the job whose columns are named `of` and their names.

    The list of pauses is read once a statement, and not once a job. A worker of one team has that
    team's jobs alone, and no pause holds those: that is why others leave them to it.
    """
    if settings.ONLY_TEAM:  # which is an id, and nothing else
        return f"{of}team_id = '{settings.ONLY_TEAM}'"
    held = "(SELECT subject FROM queueing_pause WHERE until IS NULL)"
    named = {"queue": f"{of}kind", "team": f"{of}team_id", "quota": f"{of}team_id"}
    subjects = ("'provider'", *(f"'{sort}:' || {name}" for sort, name in named.items()))
    # That there are none is quickly seen, which is as it mostly is.
    nothing = "NOT EXISTS (SELECT 1 FROM queueing_pause WHERE until IS NULL)"
    none_of = " AND ".join(f"{subject} NOT IN {held}" for subject in subjects)
    return f"({nothing} OR ({none_of}))"


# What `claim_head` would not refuse, of heads.
_READY = """
    lane.head <= lane.tail AND job.due_at <= {now} AND job.attempts < job.max_attempts
    AND {job_unpaused}
    AND (job.state = 'queued' OR (job.state = 'processing' AND job.lease_until < {now}))"""

# That a head may be worked now, or was, by who fell silent.
_RUNNABLE = """
    ((job.state = 'queued' AND job.due_at <= {now})
     OR (job.state = 'processing' AND job.lease_until < {now}))"""
_SPENT = "job.state = 'processing' AND job.attempts >= job.max_attempts"

# Whether a nudge is repeated that may have been lost. Where there is a limit, heads wait for others
# to be done, not for a message; but the one with which a worker fell silent holds its own place.
_REPEATED = """
    (job.state = 'processing' OR NOT EXISTS (
        SELECT 1 FROM queueing_share share WHERE share.team_id = lane.team_id
        AND share.project_id IN ('', lane.project_id) AND share.max_in_flight IS NOT NULL))"""

_TEXTS = {
    **entering.TEXTS,
    **lineup.TEXTS,
    **watching.TEXTS,
    "clock": "SELECT {now}",
    "history": """
        INSERT INTO queueing_generationjobevent (job_id, event, state_after, attempt, details,
            created_at)
        VALUES (%s, %s, %s, %s, %s, {now})""",
    # The guard is the whole protocol: due, not leased by another, and at the head of its lane.
    "claim_head": """
        UPDATE queueing_generationjob SET state = 'processing', token = token + 1,
            attempts = attempts + 1, lease_until = {later}, leased_by = %s, updated_at = {now}
        WHERE id = %s AND due_at <= {now} AND attempts < max_attempts
            AND {open} AND (lease_until IS NULL OR lease_until < {now}) AND {unpaused}
            AND seq = (SELECT head FROM queueing_lane WHERE id = queueing_generationjob.lane_id)
        RETURNING {job}""",
    # The same guard, though the advance before it has just seen to it under the lane's lock; but
    # an operator may have the job, and waits for the lane. A job at its last start may have taken
    # workers down: it is not worked in passing, but by a claim of its own, which asks for that.
    "claim_next": """
        UPDATE queueing_generationjob SET state = 'processing', token = token + 1,
            attempts = attempts + 1, lease_until = {later}, leased_by = %s, updated_at = {now}
        WHERE id = (SELECT id FROM queueing_generationjob WHERE id = %s {unlocked})
            AND due_at <= {now} AND (attempts = 0 OR attempts < max_attempts - 1)
            AND {open} AND (lease_until IS NULL OR lease_until < {now}) AND {unpaused}
            AND seq = (SELECT head FROM queueing_lane WHERE id = queueing_generationjob.lane_id)
        RETURNING {job}""",
    # In which transaction a job was completed, and what was claimed in that and not touched since.
    # PostgreSQL's alone: it writes into each row whose it is. (A hand-over writes all of a lane's.)
    "completed_in": """
        SELECT xmin::text FROM queueing_generationjob
        WHERE id = %s AND token = %s AND state = 'completed'""",
    "claimed_in": """
        SELECT {job} FROM queueing_generationjob
        WHERE lane_id = %s AND seq > %s AND leased_by = %s AND xmin = %s::xid
        ORDER BY seq""",
    "followers": """
        SELECT seq, kind, state, size, due_at <= {now} AND attempts = 0 FROM queueing_generationjob
        WHERE lane_id = %s AND seq > %s ORDER BY seq LIMIT %s {unlocked}""",
    "claim_followers": """
        UPDATE queueing_generationjob SET state = 'processing', token = token + 1,
            attempts = attempts + 1, lease_until = {later}, leased_by = %s, updated_at = {now}
        WHERE {places} AND {open} AND lease_until IS NULL AND attempts = 0
        RETURNING {job}""",
    # What a dead worker's batch left behind its head keeps its attempt, and so is tried alone; with
    # an operator's retry it gets it back, as its head does. Its lease may end a moment after the
    # head's, and is worth nothing without it: whoever has lost the head can settle nothing.
    "free_followers": """
        UPDATE queueing_generationjob SET state = 'queued', lease_until = NULL, leased_by = '',
            attempts = attempts - %s, updated_at = {now}
        WHERE id IN (SELECT id FROM queueing_generationjob WHERE lane_id = %s AND seq > %s
            AND lease_until IS NOT NULL {unlocked})
        RETURNING {job}""",
    "last_event": """
        SELECT event FROM queueing_generationjobevent WHERE job_id = %s
        ORDER BY id DESC LIMIT 1""",
    # A head whose every start ended with its worker's death is dead-lettered, not tried for ever.
    "bury_exhausted": """
        UPDATE queueing_generationjob SET state = 'failed', lease_until = NULL, leased_by = '',
            last_error = %s, failed_at = {now}, updated_at = {now}
        WHERE id = %s AND attempts >= max_attempts AND lease_until < {now}
            AND seq = (SELECT head FROM queueing_lane WHERE id = queueing_generationjob.lane_id)
        RETURNING {job}""",
    "holders": """
        SELECT DISTINCT leased_by FROM queueing_generationjob
        WHERE state = 'processing' AND lease_until > {now}""",
    # As if they had run out. One whose row another has locked is left for the next look.
    "end_leases": """
        UPDATE queueing_generationjob SET lease_until = {later}
        WHERE id IN (SELECT id FROM queueing_generationjob WHERE state = 'processing'
            AND lease_until > {now} AND leased_by IN ({list}) {unlocked})
        RETURNING lane_id""",
    # What follows is renewed with its head alone: whoever takes the head over has it locked, and
    # must find the rest unlocked, for to free it. A head that was cancelled no one takes over.
    "renew": """
        WITH asked (id, token, head) AS (VALUES {triples}),
        led AS (SELECT job.id FROM asked JOIN queueing_generationjob job ON job.id = asked.id
            WHERE asked.id = asked.head AND job.token = asked.token {job_unlocked})
        UPDATE queueing_generationjob SET lease_until = {later}
        WHERE id IN (SELECT job.id FROM asked JOIN queueing_generationjob job ON job.id = asked.id
            WHERE asked.head IN (SELECT id FROM led)
                AND job.token = asked.token AND job.lease_until IS NOT NULL {job_unlocked})
        RETURNING id, token""",
    "complete": """
        UPDATE queueing_generationjob SET state = 'completed', lease_until = NULL, leased_by = '',
            last_error = NULL, completed_at = {now}, updated_at = {now}
        WHERE {held}
        RETURNING id""",
    "reschedule": """
        UPDATE queueing_generationjob SET state = 'queued', lease_until = NULL, leased_by = '',
            due_at = {later}, last_error = %s, updated_at = {now}
        WHERE {held}
        RETURNING id""",
    "release": """
        UPDATE queueing_generationjob SET state = 'queued', lease_until = NULL, leased_by = '',
            attempts = attempts - 1, due_at = {later}, updated_at = {now}
        WHERE {held}
        RETURNING id""",
    "bury": """
        UPDATE queueing_generationjob SET state = 'failed', lease_until = NULL, leased_by = '',
            last_error = %s, failed_at = {now}, updated_at = {now}
        WHERE {held}
        RETURNING id""",
    "cancel": """
        UPDATE queueing_generationjob SET state = 'cancelled', lease_until = NULL, leased_by = '',
            cancelled_at = {now}, updated_at = {now}
        WHERE id = %s AND state IN ('queued', 'processing', 'failed')
        RETURNING lane_id, attempts""",
    "cancel_open": """
        UPDATE queueing_generationjob SET state = 'cancelled', lease_until = NULL, leased_by = '',
            cancelled_at = {now}, updated_at = {now}
        WHERE id IN ({list}) AND state IN ('queued', 'processing')
        RETURNING id, attempts""",
    "requeue": """
        UPDATE queueing_generationjob SET state = 'queued', seq = %s, attempts = 0, due_at = {now},
            last_error = NULL, completed_at = NULL, failed_at = NULL, cancelled_at = NULL,
            retried_count = retried_count + 1, updated_at = {now}
        WHERE id = %s AND state IN ('failed', 'cancelled')
        RETURNING retried_count""",
    # Where it stands: what is behind it must not overtake it.
    "requeue_stalled": """
        UPDATE queueing_generationjob SET state = 'queued', lease_until = NULL, leased_by = '',
            attempts = 0, due_at = {now}, last_error = NULL,
            retried_count = retried_count + 1, updated_at = {now}
        WHERE id = %s AND state = 'processing' AND lease_until < {now}
        RETURNING retried_count""",
    # The lane is locked before its jobs are looked at: a statement that waits for the lock would
    # look at them with a snapshot older than the job whose enqueuing it waited for.
    "lock_lane": "SELECT head, tail FROM queueing_lane WHERE id = %s {for_update}",
    "advance": """
        UPDATE queueing_lane SET woken_at = {now},
            head = COALESCE(
                (SELECT min(seq) FROM queueing_generationjob
                 WHERE lane_id = %s AND seq >= %s AND {open}), tail + 1),
            kind = COALESCE(
                (SELECT kind FROM queueing_generationjob
                 WHERE lane_id = %s AND seq >= %s AND {open}
                 ORDER BY seq LIMIT 1), kind)
        WHERE id = %s
        RETURNING head, tail""",
    # The same with the new head, if there is one, in one statement.
    "advance_to": """
        WITH moved AS (
            UPDATE queueing_lane SET woken_at = {now}, head = COALESCE(next.seq, tail + 1),
                kind = COALESCE(next.kind, queueing_lane.kind)
            FROM (VALUES (1)) AS one LEFT JOIN (
                SELECT id, seq, kind, state = 'queued' AND due_at <= {now} AND {unpaused} AS ready
                FROM queueing_generationjob
                WHERE lane_id = %s AND seq >= %s AND {open}
                ORDER BY seq LIMIT 1) AS next ON true
            WHERE queueing_lane.id = %s
            RETURNING next.id AS job_id, next.kind AS its_kind, next.ready)
        SELECT job_id, its_kind, ready FROM moved WHERE job_id IS NOT NULL""",
    "head_job": """
        SELECT id, kind, state = 'queued' AND due_at <= {now} AND {unpaused}
        FROM queueing_generationjob
        WHERE lane_id = %s AND seq = %s""",
    # A head wants a nudge when it had none since it became runnable, or since its lease ran out.
    "wanting": """
        SELECT lane.id, job.id, job.kind, {spent}
        FROM {heads}
        WHERE lane.head <= lane.tail AND {job_unpaused} AND {runnable}
            AND (lane.woken_at IS NULL OR lane.woken_at < job.lease_until)
        ORDER BY lane.woken_at NULLS FIRST LIMIT %s {skip_locked}""",
    # And again after a grace, should that nudge have been lost. Messages are taken in the order of
    # their nudges: those that are missing are the first ones'.
    "unheard": """
        SELECT lane.id, job.id, job.kind, {spent}
        FROM {heads}
        WHERE lane.head <= lane.tail AND {job_unpaused} AND {runnable}
            AND lane.woken_at < {later} AND job.kind = %s AND {repeated}
        ORDER BY lane.woken_at LIMIT %s {skip_locked}""",
    # Heads that were started as often as they may be, each time to the end of their worker.
    "spent": """
        SELECT job.id, job.kind
        FROM {heads}
        WHERE lane.head <= lane.tail AND {job_unpaused} AND job.state = 'processing'
            AND job.attempts >= job.max_attempts AND job.lease_until < {now}
        LIMIT %s""",
    # How many heads of each kind were nudged and not taken since, and how many of them longer than
    # a grace ago.
    "nudged": """
        SELECT job.kind, count(*), sum(CASE WHEN lane.woken_at < {later} THEN 1 ELSE 0 END)
        FROM {heads}
        WHERE lane.head <= lane.tail AND lane.woken_at IS NOT NULL AND {job_unpaused}
            AND ((job.state = 'queued' AND job.due_at <= {now})
                 OR (job.state = 'processing' AND job.lease_until < {now}
                     AND lane.woken_at >= job.lease_until))
            AND {repeated}
        GROUP BY job.kind""",
    "ready": """
        SELECT job.kind, count(*)
        FROM {heads}
        WHERE {ready}
        GROUP BY job.kind""",
    "woken": "UPDATE queueing_lane SET woken_at = {now} WHERE id IN ({list})",
    "unwoken": "UPDATE queueing_lane SET woken_at = NULL WHERE id IN ({list})",
    # Of those that nobody is about: who has a lane just now nudges it or goes on with it.
    "unsent": """
        UPDATE queueing_lane SET woken_at = NULL WHERE id IN (
            SELECT lane.id FROM queueing_lane lane WHERE lane.id IN (
                SELECT lane_id FROM queueing_generationjob WHERE id IN ({list})) {skip_locked})""",
    "these_unwoken": """
        UPDATE queueing_lane SET woken_at = NULL WHERE id IN
            (SELECT id FROM queueing_lane WHERE id IN ({list})
             ORDER BY key {bytewise} {for_update})""",
}


@cache
def _template(name: str, vendor: str) -> str:
    now, later = _CLOCK[vendor]
    text = _TEXTS[name]
    for mark, value in (
        ("{ready}", _READY),
        ("{unpaused}", _unpaused()),
        ("{job_unpaused}", _unpaused("job.")),
        ("{here_unpaused}", _unpaused("here.")),
        ("{repeated}", _REPEATED),
        ("{runnable}", _RUNNABLE),
        ("{spent}", _SPENT),
        ("{heads}", _HEADS[vendor]),
        ("{here}", _HERE[vendor]),
        ("{now}", now),
        ("{later}", later),
        ("{job}", _JOB),
        ("{open}", _OPEN),
        ("{places}", _PLACES),
        ("{held}", _HELD),
        ("{for_update_of_lane}", _LANE_FOR_UPDATE[vendor]),
        ("{for_update}", _FOR_UPDATE[vendor]),
        ("{skip_locked}", _SKIP_LOCKED[vendor]),
        ("{unlocked}", _UNLOCKED[vendor]),
        ("{job_unlocked}", _JOB_UNLOCKED[vendor]),
        ("{by_state}", _BY_STATE[vendor]),
        ("{for_share}", _FOR_SHARE[vendor]),
        ("{for_removal}", _FOR_REMOVAL[vendor]),
        ("{removable}", _REMOVABLE[vendor]),
        ("{bytewise}", _BYTEWISE[vendor]),
    ):
        text = text.replace(mark, value)
    return " ".join(text.split())


def sql(name: str, *, items: int = 0) -> str:
    """The statement `name` for the database in use, with room for `items` list members."""
    return _text(name, direct.vendor(), items)


@lru_cache(maxsize=1024)
def _text(name: str, vendor: str, items: int) -> str:
    text = _template(name, vendor)
    if items:
        text = text.replace("{list}", ", ".join(["%s"] * items))
        text = text.replace("{pairs}", ", ".join(["(%s, %s)"] * items))
        text = text.replace("{triples}", ", ".join(["(%s, %s, %s)"] * items))
    return text


def fetch(name: str, params: Sequence[object], *, items: int = 0) -> list[tuple[Any, ...]]:
    """Run the statement `name` and return its rows."""
    return direct.fetch(sql(name, items=items), params, anew=name in lineup.WALKS)


def now() -> datetime:
    """The moment that it is by the clock that jobs go by."""
    ((at,),) = fetch("clock", [])
    return direct.moment(at)


def execute(name: str, params: Sequence[object]) -> None:
    """Run the statement `name`, an INSERT, on SQLite."""
    direct.execute(sql(name), params)


def execute_many(name: str, rows: Iterable[Sequence[object]]) -> None:
    """Run the statement `name`, an INSERT, once a row."""
    direct.execute_many(sql(name), rows)


def seconds(value: float) -> float:
    """A number of seconds as `{later}` takes it: whole milliseconds, never in exponent form."""
    return round(value, 3)
