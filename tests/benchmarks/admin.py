"""What the admin's pages cost: `python -m tests.benchmarks.admin [--rows N] [--postgresql]`.

Fills a scratch database with N events (100 000 unless told), each with a job, its history, an
observation and its source, and prints for each page the queries and the milliseconds, of CPU and of
all, that a member waits for it, and a superuser for the lists of all projects. Asserts nothing.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from statistics import median
from typing import Any

_TIMES = 3


def main() -> None:
    """Parse, fill, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--slowest", type=int, default=0, help="print the plans of so many queries")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        stop = _database(scratch, postgresql=given.postgresql)
        try:
            _run(given.rows, given.slowest)
        finally:
            stop()


def _database(scratch: str, *, postgresql: bool) -> Callable[[], object]:
    os.environ["CLAUDE_MEM_DATA_DIR"] = scratch
    os.environ["DJANGO_SETTINGS_MODULE"] = "claudemem.settings"
    stop: Callable[[], object] = lambda: None  # noqa: E731
    if postgresql:
        from tests.postgres import Server

        server = Server()
        os.environ["CLAUDE_MEM_SERVER_DATABASE_URL"] = server.url()
        stop = server.stop
    return stop


def _run(rows: int, slowest: int) -> None:
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    settings.ALLOWED_HOSTS = ["testserver"]
    call_command("migrate", verbosity=0)
    from tests.admin_pages import addresses, of_all
    from tests.fill import fill

    started = time.perf_counter()
    project = _project()
    fill(project, rows)
    print(f"{rows} rows of each on {connection.vendor}, in {time.perf_counter() - started:.0f} s")
    seen: list[tuple[float, str, str]] = []
    for who, some in (("member", addresses(project)), ("superuser", of_all(project))):
        client = _client(project, who)
        print(f"{who:32}{'queries':>8}{'CPU ms':>8}{'ms':>8}{'slowest query':>15}")
        for name, address in some.items():
            print(_line(client, name, address, seen))
    for took, name, sql in sorted(seen, reverse=True)[:slowest]:
        print(f"\n{name}: {1000 * took:.0f} ms\n{sql[:1500]}\n{_plan(sql)}")
    connection.close()
    if connection.vendor == "postgresql":
        connection.close_pool()  # type: ignore[attr-defined]


def _project() -> Any:
    from observations.models import Project, Team

    team = Team.objects.create(name="team")
    other = Project.objects.create(team=Team.objects.create(name="another"), name="elsewhere")
    from tests.fill import fill

    fill(other, 100)
    return Project.objects.create(team=team, name="project")


def _client(project: Any, who: str) -> Any:
    from django.contrib.auth.models import User
    from django.test import Client

    from observations.models import Member

    user = User.objects.create(username=who, is_staff=True, is_superuser=who == "superuser")
    if who == "member":
        Member.objects.create(user=user, team=project.team, role="admin")
    client = Client()
    client.force_login(user)
    return client


def _line(client: Any, name: str, address: str, seen: list[tuple[float, str, str]]) -> str:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client.get(address)
    cpu, wall = [], []
    for _ in range(_TIMES):
        before, clock = time.process_time(), time.perf_counter()
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(address)
        cpu.append(time.process_time() - before)
        wall.append(time.perf_counter() - clock)
    if answer.status_code != 200:
        sys.exit(f"{name}: {address} answered {answer.status_code}")
    took = [(float(each["time"]), name, each["sql"]) for each in queries.captured_queries]
    seen += took
    return (f"  {name:30}{len(took):8}{1000 * median(cpu):8.0f}{1000 * median(wall):8.0f}"
            f"{1000 * max(took)[0]:15.0f}")  # fmt: skip


def _plan(sql: str) -> str:
    from django.db import connection

    explain = "EXPLAIN ANALYZE" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {sql}")
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


if __name__ == "__main__":
    main()
