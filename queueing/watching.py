"""The SQL of what is paused and of what is watched: pauses, canaries, and how much waits."""

TEXTS = {
    # What an operator paused has no moment at which it ends; a provider's own pause has one.
    "paused": """
        SELECT until IS NULL OR until > {now} FROM queueing_pause WHERE subject = 'provider'
        ORDER BY 1 DESC LIMIT 1""",
    "pause_now": """
        SELECT reason, classification, failures, until, {now} FROM queueing_pause
        WHERE until IS NOT NULL""",
    "lock_pause": """
        SELECT failures, until > {now} FROM queueing_pause WHERE until IS NOT NULL {for_update}""",
    "pause": """
        INSERT INTO queueing_pause (subject, reason, classification, until, failures, since, origin)
        VALUES (%s, %s, %s, {later}, %s, {now}, '{}')
        ON CONFLICT (subject) WHERE until IS NOT NULL DO UPDATE SET reason = excluded.reason,
            classification = excluded.classification, until = excluded.until,
            failures = excluded.failures""",
    # Whoever moves the moment is the one that may try: the others find it moved.
    "probe": "UPDATE queueing_pause SET until = {later} WHERE until <= {now} RETURNING id",
    "look_again": "UPDATE queueing_pause SET until = {now} WHERE until IS NOT NULL",
    "lift": "DELETE FROM queueing_pause WHERE until IS NOT NULL",
    "hold": """
        INSERT INTO queueing_pause (subject, reason, classification, until, failures, since, origin)
        VALUES (%s, %s, 'operator', NULL, 0, {now}, %s)
        ON CONFLICT (subject) WHERE until IS NULL DO UPDATE SET reason = excluded.reason,
            origin = excluded.origin""",
    "hold_quota": """
        INSERT INTO queueing_pause (subject, reason, classification, until, failures, since, origin)
        VALUES (%s, %s, 'quota', NULL, 0, {now}, '{"source": "quota"}')
        ON CONFLICT (subject) WHERE until IS NULL DO NOTHING
        RETURNING id""",
    "resume": "DELETE FROM queueing_pause WHERE subject = %s AND until IS NULL RETURNING id",
    "holds": """
        SELECT subject, reason, since, origin FROM queueing_pause WHERE until IS NULL
        ORDER BY subject {bytewise}""",
    # Heads that a pause of this subject held: whatever nudge they had was for nothing.
    "unwoken_of": """
        UPDATE queueing_lane SET woken_at = NULL WHERE id IN
            (SELECT lane.id FROM {heads}
             WHERE lane.head <= lane.tail
                AND %s IN ('provider', 'queue:' || job.kind, 'team:' || job.team_id,
                    'quota:' || job.team_id)
             ORDER BY lane.key {bytewise} {for_update_of_lane})""",
    "unwoken_ready": """
        SELECT lane.id, job.id, job.kind FROM {heads}
        WHERE {ready} AND lane.woken_at IS NULL LIMIT %s {skip_locked}""",
    "canaries": "SELECT queue, number, sent_at, seen_at, seen_by, {now} FROM queueing_canary",
    # Whoever raises the number is the one that sends it: the others find it raised. One that was
    # seen in the future was seen by a clock that was put back since.
    "canary_sent": """
        INSERT INTO queueing_canary (queue, number, sent_at, seen_by) VALUES (%s, 1, {now}, '')
        ON CONFLICT (queue) DO UPDATE SET number = queueing_canary.number + 1,
            sent_at = excluded.sent_at,
            seen_at = CASE WHEN queueing_canary.seen_at <= excluded.sent_at
                THEN queueing_canary.seen_at END
        WHERE queueing_canary.number = %s
        RETURNING queue, number""",
    "canary_seen": """
        UPDATE queueing_canary SET seen_at = {now}, seen_by = %s
        WHERE queue = %s AND number = %s AND (seen_at IS NULL OR seen_at < sent_at)
        RETURNING queue""",
    # A look at every head: as much work as reconcile has with each of its passes.
    "heads": """
        SELECT job.kind, count(*),
            sum(CASE WHEN {job_unpaused} AND job.state = 'queued' AND job.due_at <= {now}
                THEN 1 ELSE 0 END),
            sum(CASE WHEN {job_unpaused} AND job.state = 'queued' AND job.due_at <= {now}
                AND lane.woken_at < {later} THEN 1 ELSE 0 END),
            sum(CASE WHEN {job_unpaused} AND job.state = 'queued' AND job.due_at < {later}
                THEN 1 ELSE 0 END),
            sum(CASE WHEN {job_unpaused} THEN 0 ELSE 1 END),
            min(CASE WHEN NOT ({job_unpaused}) THEN NULL
                WHEN job.retried_count = 0 THEN job.created_at ELSE job.due_at END), {now}
        FROM {heads}
        WHERE lane.head <= lane.tail AND job.state IN ('queued', 'processing')
        GROUP BY job.kind""",
    "open_jobs": """
        SELECT kind, state, count(*) FROM queueing_generationjob
        WHERE state IN ('queued', 'processing') GROUP BY kind, state""",
    "held": """
        SELECT kind, leased_by, count(*) FROM queueing_generationjob
        WHERE state = 'processing' AND lease_until > {now} GROUP BY kind, leased_by""",
    # What was done last, if it is among the latest: the history is in the order of time.
    "last_done": """
        SELECT max(created_at), {now} FROM
            (SELECT event, created_at FROM queueing_generationjobevent
             ORDER BY id DESC LIMIT %s) AS latest
        WHERE event = 'completed'""",
    # Of a call that was left behind its line says so, whether the job is tried again or given up.
    "hung": """
        SELECT count(*) FROM
            (SELECT event, details, created_at FROM queueing_generationjobevent
             ORDER BY id DESC LIMIT %s) AS latest
        WHERE event IN ('retry_scheduled', 'failed') AND created_at > {later}
            AND CAST(details AS text) LIKE '%%"hung"%%'""",
    "all_unwoken": """
        UPDATE queueing_lane SET woken_at = NULL WHERE id IN
            (SELECT id FROM queueing_lane WHERE head <= tail
             ORDER BY key {bytewise} {for_update})""",
}
