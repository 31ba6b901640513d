"""What every test can ask for."""

import os
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import TransactionTestCase
from hypothesis import HealthCheck, settings
from whitenoise.middleware import WhiteNoiseMiddleware

from claudemem.api import near
from observations import commits, counters, journal, lastused, ordinary, readings, switches
from observations.models import Project, Team
from queueing import access, depths, messages
from tests import emptying, ports, statics

_OLDEST_HERE = """
    SELECT coalesce(min(backend_xid::text::bigint),
                    pg_snapshot_xmax(pg_current_snapshot())::text::bigint)
    FROM pg_stat_activity WHERE datname = current_database()"""

# A busy machine may need longer than a caller, or whoever stops a server, would wait.
_PATIENCE = (
    (commits, "STUCK", 60.0), (ordinary, "STUCK", 60.0), (counters, "PATIENCE", 60.0),
    (near, "PATIENCE", 60.0), (readings, "PATIENCE", 60.0), (readings, "LAST_PATIENCE", 60.0),
    (lastused, "LAST_PATIENCE", 60.0), (messages, "TIMEOUT", 5.0),
)  # fmt: skip
_IN_EARNEST = [(module, name, getattr(module, name)) for module, name, _ in _PATIENCE]
for _module, _name, _seconds in _PATIENCE:
    setattr(_module, _name, _seconds)
# And to think of an example: how long that takes says nothing of what is tried. Which examples are
# tried goes by the test alone, unless it is to be more thorough.
settings.register_profile(
    "any machine", deadline=None, derandomize="CLAUDE_MEM_TEST_FUZZ" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
settings.load_profile("any machine")
access.free_port = ports.free_port
TransactionTestCase._fixture_teardown = emptying.empty  # type: ignore[attr-defined]
WhiteNoiseMiddleware.add_files_from_finders = statics.add


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """Have nothing written any more once a test has left the database, and nothing known of it."""
    readings.shared.finish()
    lastused.shared.finish()
    lastused.shared._used.clear()
    switches.known.forget()
    depths.forget()


@pytest.fixture
def in_earnest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits longer than they do outside of tests: for tests about that."""
    for module, name, seconds in _IN_EARNEST:
        monkeypatch.setattr(module, name, seconds)


@pytest.fixture
def team(db: None) -> Team:
    return Team.objects.create(name="team")


@pytest.fixture
def project(team: Team) -> Project:
    return Project.objects.create(team=team, name="procrastinate")


@pytest.fixture
def alone_on_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal waits for the transactions of this database alone.

    It would for those of the whole server, where tests in other processes have theirs.
    """
    monkeypatch.setattr(journal, "_OLDEST", _OLDEST_HERE)


@pytest.fixture
def planned(db: None) -> Iterator[None]:
    """PostgreSQL plans as for tables that are too large to be read as a whole."""
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        yield
        cursor.execute("RESET enable_seqscan")
