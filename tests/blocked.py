"""Whether somebody waits for a lock, on PostgreSQL."""

from queueing.direct import fetch

# Other processes of this test run have databases of their own on the same server.
_WAITS = """
    SELECT 1 FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'"""


def waits_for_lock() -> bool:
    """Whether anybody does in this process's database."""
    return bool(fetch(_WAITS))
