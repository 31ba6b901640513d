"""The SQL of how jobs come into their lanes, and of how lanes are handed over and forgotten."""

# Columns of the relation `asked` from which `ENQUEUE` makes jobs, as it is read from JSON.
ASKED = (
    "place int, job_id text, queue_job_id text, lane_key text, kind text, max_attempts int, "
    "size int, team_id text, project_id text, session_id text, source_type text, source_id text, "
    "covers bigint, origin jsonb"
)
# PostgreSQL writes many rows at hardly more than the cost of one, so there a statement makes all
# jobs of a relation `asked`, whosever lanes they are for: `placed` has what became of each. Lanes
# are sorted, that two statements lock them in one order.
ENQUEUE = """
    lanes AS (
        INSERT INTO queueing_lane (key, kind, team_id, project_id, head, tail, woken_at)
        SELECT lane_key, (array_agg(kind ORDER BY place))[1], min(team_id), min(project_id),
            1, count(*), clock_timestamp()
        FROM asked GROUP BY lane_key ORDER BY lane_key COLLATE "C"
        ON CONFLICT (key) DO UPDATE SET
            tail = queueing_lane.tail + excluded.tail, team_id = excluded.team_id,
            kind = CASE WHEN queueing_lane.head > queueing_lane.tail THEN excluded.kind
                        ELSE queueing_lane.kind END,
            woken_at = CASE WHEN queueing_lane.head > queueing_lane.tail THEN excluded.woken_at
                            ELSE queueing_lane.woken_at END
        RETURNING id, key, head, tail),
    placed AS MATERIALIZED (
        SELECT asked.*, lanes.id AS lane_id, lanes.head, clock_timestamp() AS at,
            lanes.tail + 1 - row_number() OVER (PARTITION BY lane_key ORDER BY place DESC) AS seq
        FROM asked JOIN lanes ON lanes.key = asked.lane_key),
    jobs AS (
        INSERT INTO queueing_generationjob (
            id, queue_job_id, lane_id, seq, kind, state, token, attempts, max_attempts, lease_until,
            leased_by, due_at, size, team_id, project_id, session_id, source_type, source_id,
            covers, origin, retried_count, last_error, created_at, updated_at)
        SELECT job_id, queue_job_id, lane_id, seq, kind, 'queued', 0, 0, max_attempts, NULL,
            '', at, size, team_id, project_id, session_id, source_type, source_id,
            covers, origin, 0, NULL, at, at
        FROM placed),
    history AS (
        INSERT INTO queueing_generationjobevent (job_id, event, state_after, attempt, details,
            created_at)
        SELECT job_id, 'queued', 'queued', 0, origin, at FROM placed)"""

TEXTS = {
    "enqueue": """
        WITH asked AS (SELECT * FROM json_to_recordset(%s::json) AS given({asked})), {enqueue}
        SELECT place, seq, seq = head, at FROM placed ORDER BY place""",
    # Make the lane if need be and take the next numbers: the upsert's row lock is what orders jobs.
    "take_numbers": """
        INSERT INTO queueing_lane (key, kind, team_id, project_id, head, tail, woken_at)
        VALUES (%s, %s, %s, %s, 1, %s, {now})
        ON CONFLICT (key) DO UPDATE SET
            tail = queueing_lane.tail + excluded.tail, team_id = excluded.team_id,
            kind = CASE WHEN queueing_lane.head > queueing_lane.tail THEN excluded.kind
                        ELSE queueing_lane.kind END,
            woken_at = CASE WHEN queueing_lane.head > queueing_lane.tail THEN excluded.woken_at
                            ELSE queueing_lane.woken_at END
        RETURNING id, head, tail, {now}""",
    "insert_job": """
        INSERT INTO queueing_generationjob (
            id, queue_job_id, lane_id, seq, kind, state, token, attempts, max_attempts, lease_until,
            leased_by, due_at, size, team_id, project_id, session_id, source_type, source_id,
            covers, origin, retried_count, last_error, created_at, updated_at)
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
