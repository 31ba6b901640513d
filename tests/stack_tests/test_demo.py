"""`claudemem demo`, as the first thing that anybody runs."""

import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from tests.postgres import database_of
from tests.stack import ROOT, environment

pytestmark = pytest.mark.stack


def tables(url: str) -> list[str]:
    """What lies in that database and is not PostgreSQL's own."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT schemaname || '.' || tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
    return [row[0] for row in found]


def test_the_demo_shows_what_was_remembered_within_a_minute_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    database = database_of(tmp_path)
    # A store that others use: nobody is there, so that it would show if the demo asked for it.
    settings = {**database, "CLAUDE_MEM_REDIS_URL": "redis://127.0.0.1:1"}
    started = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-m", "claudemem", "demo"], cwd=ROOT, env=environment(settings),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert time.monotonic() - started < 60
    for url in database.values():
        assert tables(url) == []
    for heading in ("as a timeline", "Search: cap for", "Search: how do locks", "next session"):
        assert heading in ran.stdout
    sections = ran.stdout.split("====\n")
    assert all(len(section) > 200 for section in sections[1:]), ran.stdout
