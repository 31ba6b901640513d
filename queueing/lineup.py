"""The SQL of whose turn it is: who has heads that may run, and which of them waits longest.

Busy lanes stand in an index by kind, team, project and last nudge. Each statement steps through it
from one (kind, team, project) to the next, or along one of them to the first head that may run: it
never reads all that wait. On its way it meets lanes that are being worked, of which there are few;
what an operator paused, of which there may be many, it does not enter.
PostgreSQL plans these WALKS each time: of a handful of lanes it would read the table, and go on so
for minutes when there are thousands. They ask for the whole order of that index also where they do
not need it: no other plan has that order, so it is taken whatever is known of the table, which says
nothing of how few lanes are busy, and may be of yesterday.
"""

# The first busy lane of each (kind, team, project). SQLite would compare all three at once by the
# first of them alone.
_FIRSTS = """
    WITH RECURSIVE line(id) AS (
        SELECT (SELECT id FROM queueing_lane WHERE head <= tail
                ORDER BY kind, team_id, project_id, woken_at LIMIT 1)
        UNION ALL
        SELECT COALESCE(
            (SELECT id FROM queueing_lane WHERE head <= tail AND kind = here.kind
                AND team_id = here.team_id AND project_id > here.project_id
                ORDER BY kind, team_id, project_id, woken_at LIMIT 1),
            (SELECT id FROM queueing_lane WHERE head <= tail AND kind = here.kind
                AND team_id > here.team_id ORDER BY kind, team_id, project_id, woken_at LIMIT 1),
            (SELECT id FROM queueing_lane WHERE head <= tail AND kind > here.kind
                ORDER BY kind, team_id, project_id, woken_at LIMIT 1))
        FROM {here})"""

_LINES = """
    {firsts}
    SELECT here.kind, here.team_id, here.project_id
    FROM {here}
    WHERE {here_unpaused} AND (
        SELECT job.id FROM {heads}
        WHERE {ready} AND lane.kind = here.kind AND lane.team_id = here.team_id
            AND lane.project_id = here.project_id AND {more}
        ORDER BY lane.woken_at LIMIT 1) IS NOT NULL""".replace("{firsts}", _FIRSTS)

_FIRST = """
    SELECT job.id FROM {heads}
    WHERE {ready} AND lane.kind = %s AND lane.team_id = %s AND lane.project_id = %s AND {more}
    ORDER BY lane.woken_at LIMIT %s"""

WALKS = {
    # Where messages are sent, what was not nudged yet will be in a moment: to pass it over spares
    # a walk along all that wait for their next attempt.
    "lines_nudged": _LINES.replace("{more}", "lane.woken_at IS NOT NULL"),
    "lines": _LINES.replace(" AND {more}", ""),
    "heads_nudged": _FIRST.replace("{more}", "lane.woken_at IS NOT NULL"),
    "heads_unnudged": _FIRST.replace("{more}", "lane.woken_at IS NULL"),
}
TEXTS = {
    **WALKS,
    # Heads that a worker fell silent with: by the index of states, of those that are worked.
    "forsaken": """
        SELECT job.id, job.kind FROM queueing_generationjob job {by_state}
            JOIN queueing_lane lane ON lane.id = job.lane_id AND lane.head = job.seq
        WHERE job.state = 'processing' AND job.lease_until < {now}
            AND job.attempts < job.max_attempts AND {job_unpaused} AND job.kind IN ({list})
        ORDER BY job.lease_until LIMIT %s""",
    "shares": "SELECT team_id, project_id, weight, max_in_flight FROM queueing_share",
    "whose": "SELECT kind, state FROM queueing_generationjob WHERE id = %s",
    # All that are worked, also by who fell silent: that one may be calling still.
    "in_flight": """
        SELECT team_id, project_id, count(DISTINCT lane_id) FROM queueing_generationjob {by_state}
        WHERE state = 'processing' GROUP BY team_id, project_id""",
    # Before any job is: whoever has jobs locked waits for no share.
    "lock_limits": """
        SELECT share.team_id, share.project_id, share.max_in_flight, job.lane_id
        FROM queueing_generationjob job JOIN queueing_share share
            ON share.team_id = job.team_id AND share.project_id IN ('', job.project_id)
        WHERE job.id = %s AND share.max_in_flight IS NOT NULL
        ORDER BY share.project_id {for_share}""",
    "others_in_flight": """
        SELECT project_id, count(DISTINCT lane_id) FROM queueing_generationjob {by_state}
        WHERE state = 'processing' AND team_id = %s AND lane_id <> %s GROUP BY project_id""",
}
