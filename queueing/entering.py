"""The SQL of how jobs come into their lanes, and of how lanes are handed over and forgotten."""

# Columns of the relation `asked` from which `ENQUEUE` makes jobs, as it is read from JSON.
ASKED = (
    "place int, job_id text, queue_job_id text, lane_key text, kind text, max_attempts int, "
    "size int, team_id text, project_id text, session_id text, source_type text, source_id text, "
    "covers bigint, origin jsonb"
)
# The upsert's row lock is what orders jobs. A lane that was idle gets the kind of its new head.
_LANES = "INSERT INTO queueing_lane (key, kind, team_id, project_id, head, tail, woken_at)"
_TAKE_NUMBERS = """
    ON CONFLICT (key) DO UPDATE SET
        tail = queueing_lane.tail + excluded.tail, team_id = excluded.team_id,
        kind = CASE WHEN queueing_lane.head > queueing_lane.tail THEN excluded.kind
                    ELSE queueing_lane.kind END,
        woken_at = CASE WHEN queueing_lane.head > queueing_lane.tail THEN excluded.woken_at
                        ELSE queueing_lane.woken_at END"""
_JOBS = """
    INSERT INTO queueing_generationjob (
        id, queue_job_id, lane_id, seq, kind, state, token, attempts, max_attempts, lease_until,
        leased_by, due_at, size, team_id, project_id, session_id, source_type, source_id,
        covers, origin, retried_count, last_error, created_at, updated_at)"""
# The jobs of a relation `placed`, whose lanes and numbers are known.
_WRITTEN = f"""
    jobs AS (
        {_JOBS}
        SELECT job_id, queue_job_id, lane_id, seq, kind, 'queued', 0, 0, max_attempts, NULL,
            '', at, size, team_id, project_id, session_id, source_type, source_id,
            covers, origin, 0, NULL, at, at
        FROM placed),
    history AS (
        INSERT INTO queueing_generationjobevent (job_id, event, state_after, attempt, details,
            created_at)
        SELECT job_id, 'queued', 'queued', 0, origin, at FROM placed)"""  # noqa: S608
# PostgreSQL writes many rows at hardly more than the cost of one, so there a statement makes all
# jobs of a relation `asked`, whosever lanes they are for: `placed` has what became of each. Lanes
# are sorted, that two statements lock them in one order.
ENQUEUE = f"""
    lanes AS (
        {_LANES}
        SELECT lane_key, (array_agg(kind ORDER BY place))[1], min(team_id), min(project_id),
            1, count(*), clock_timestamp()
        FROM asked GROUP BY lane_key ORDER BY lane_key COLLATE "C"
        {_TAKE_NUMBERS}
        RETURNING id, key, head, tail),
    placed AS MATERIALIZED (
        SELECT asked.*, lanes.id AS lane_id, lanes.head, clock_timestamp() AS at,
            lanes.tail + 1 - row_number() OVER (PARTITION BY lane_key ORDER BY place DESC) AS seq
        FROM asked JOIN lanes ON lanes.key = asked.lane_key),
    {_WRITTEN}"""  # noqa: S608

TEXTS = {
    "enqueue": f"""
        WITH asked AS (SELECT * FROM json_to_recordset(%s::json) AS given({ASKED})), {ENQUEUE}
        SELECT seq, seq = head, at AT TIME ZONE 'UTC' FROM placed ORDER BY place""",  # noqa: S608
    # The same for one, which needs no sorting and no counting.
    "append": f"""
        WITH asked AS (SELECT * FROM json_to_record(%s::json) AS given({ASKED})),
        lane AS (
            {_LANES}
            SELECT lane_key, kind, team_id, project_id, 1, 1, clock_timestamp() FROM asked
            {_TAKE_NUMBERS}
            RETURNING id AS lane_id, head, tail AS seq, clock_timestamp() AS at),
        placed AS MATERIALIZED (SELECT * FROM asked, lane), {_WRITTEN}
        SELECT seq, seq = head, at AT TIME ZONE 'UTC' FROM placed""",  # noqa: S608
    # Make the lane if need be and take the next numbers.
    "take_numbers": f"""
        {_LANES} VALUES (%s, %s, %s, %s, 1, %s, {{now}}) {_TAKE_NUMBERS}
        RETURNING id, head, tail, {{now}}""",
    "insert_job": f"""
        {_JOBS}
        VALUES (%s, %s, %s, %s, %s, 'queued', 0, 0, %s, NULL,
            '', %s, %s, %s, %s, %s, %s, %s,
            %s, %s, 0, NULL, %s, %s)""",
    "lock_jobs": """
        SELECT id FROM queueing_generationjob WHERE lane_id IN
            (SELECT id FROM queueing_lane WHERE key IN ({list}))
        ORDER BY lane_id, seq {for_removal}""",
    "lanes_of": """
        SELECT id FROM queueing_lane WHERE key IN ({list}) ORDER BY key {bytewise} {for_removal}""",
    "jobs_in": "SELECT id FROM queueing_generationjob WHERE lane_id IN ({list})",
    "jobs_to_be_had": """
        SELECT id FROM queueing_generationjob WHERE lane_id IN ({list}) {removable}""",
    "hand_over_jobs": """
        UPDATE queueing_generationjob SET project_id = %s WHERE lane_id IN ({list})""",
    "hand_over_lanes": "UPDATE queueing_lane SET project_id = %s WHERE id IN ({list})",
    "forget_history": """
        DELETE FROM queueing_generationjobevent WHERE job_id IN
            (SELECT id FROM queueing_generationjob WHERE lane_id IN ({list}))""",
    "forget_jobs": "DELETE FROM queueing_generationjob WHERE lane_id IN ({list})",
    "drop_history": "DELETE FROM queueing_generationjobevent WHERE job_id IN ({list})",
    "drop_jobs": "DELETE FROM queueing_generationjob WHERE id IN ({list})",
    "lock_these": """
        SELECT id FROM queueing_generationjob WHERE id IN ({list}) ORDER BY seq {for_removal}""",
    "forget_lanes": "DELETE FROM queueing_lane WHERE id IN ({list})",
}
