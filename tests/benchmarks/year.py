"""What a year holds: a thousand events a day for 365 days, with pruning and without.

    python -m tests.benchmarks.year [--database sqlite|postgresql] [--keep defaults|all]
                                    [--events 1000] [--days 365] [--step 1]

The first day is real: recorded hook payloads are captured, and their jobs worked by the offline
provider. Every further day is a copy of its rows with ids and times of its own, so that each index,
trigger and row is as the real path writes it. Every `step` days what a worker does each hour is
done: `observations.retention.prune`, as of that day. Sizes are printed on the way. A managed store
is written to as idle workers do in a day, and the largest its files became is told at the end.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from hashlib import sha256
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.postgres import Server
from tests.stack import ROOT, environment, payloads

TOLD = (1, 30, 90, 180, 365)
DATABASES = ("sqlite", "postgresql")
KEEP = {
    "defaults": {},
    "all": {
        f"CLAUDE_MEM_RETAIN_{what}_DAYS": "0" for what in ("JOBS", "FAILED_JOBS", "AUDIT", "LOGS")
    },
}
# What each role's log of a quiet day was seen to have, in bytes: a start, and a line now and then.
A_LOG = 10_000
# Workers and beat that have nothing to do let the append-only file grow so fast (bytes a second).
IDLE_RATE = 2_500

_PROGRAM = (sys.executable, "-m", "tests.benchmarks.year")
Row = tuple[Any, ...]
# Each table with the columns that are ids of ours, keys, and numbers, in the order of insertion.
TABLES = (
    "observations_session", "observations_event", "observations_observation",
    "observations_observationsource", "queueing_lane", "queueing_generationjob",
    "queueing_generationjobevent", "observations_auditentry",
)  # fmt: skip
IDS = {"id", "session_id", "event_id", "source_id", "job_id", "resource_id", "created_by_job_id",
       "generation_job_id"}  # fmt: skip
KEYS = {"identity_key", "lane_key", "key", "dedupe_key", "queue_job_id", "generation_key",
        "external_session_id", "content_session_id"}  # fmt: skip
NUMBERED = {
    "queueing_lane": {"id": "queueing_lane"},
    "queueing_generationjob": {"lane_id": "queueing_lane"},
    "queueing_generationjobevent": {"id": "queueing_generationjobevent"},
    "observations_observation": {"number": "observations_observation"},
    "observations_observationsource": {"observation_id": "observations_observation"},
}


def main() -> None:
    """Run every combination that was asked for, each in a process of its own."""
    asked = _parsed()
    if asked.url is not None:
        _simulate(asked)
        return
    for database in [asked.database] if asked.database else DATABASES:
        for keep in [asked.keep] if asked.keep else KEEP:
            _run(asked, database, keep)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=DATABASES)
    parser.add_argument("--keep", choices=KEEP)
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    return parser.parse_args()


def _run(asked: argparse.Namespace, database: str, keep: str) -> None:
    server = Server() if database == "postgresql" else None
    url = server.url() if server else ""
    with tempfile.TemporaryDirectory(prefix="claudemem-year-") as data:
        variables = {
            "CLAUDE_MEM_DATA_DIR": data,
            "CLAUDE_MEM_QUEUE_ENGINE": "database",
            "DJANGO_SETTINGS_MODULE": "claudemem.settings",
            **({"CLAUDE_MEM_SERVER_DATABASE_URL": url} if url else {}),
            **KEEP[keep],
        }
        told = ("--events", str(asked.events), "--days", str(asked.days), "--step", str(asked.step))
        try:
            subprocess.run(
                [*_PROGRAM, "--url", url, "--keep", keep, *told],
                cwd=ROOT, env=environment(variables), check=True,
            )  # fmt: skip
        finally:
            if server:
                server.stop()


# --- within a process ---------------------------------------------------------------------------


def _simulate(asked: argparse.Namespace) -> None:
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    _first_day(asked.events)
    rows = {table: _read(table) for table in TABLES}
    print(f"\n{_vendor()}, {asked.events} events a day, {_kept(asked.keep)}", flush=True)
    for table, (_, found) in rows.items():
        print(f"  a day has {len(found):>6} rows of {table}")
    for table in reversed(TABLES):
        _execute(f"DELETE FROM {table}")
    slowest = 0.0
    for day in range(1, asked.days + 1):
        _copy(rows, day, day - asked.days)
        _write_logs(day - asked.days)
        if day % asked.step == 0 or day in TOLD:
            slowest = max(slowest, _prune(day - asked.days))
        if day in TOLD or day == asked.days:
            _tell(day)
    print(f"  the longest pass of pruning took {slowest:.1f} s")
    if asked.keep == "all":
        _capture_while_all_is_pruned()
    elif _vendor() == "sqlite":
        _compact()
        _store()


def _kept(keep: str) -> str:
    return "nothing pruned" if keep == "all" else "pruned by default"


def _vendor() -> str:
    from queueing import direct

    return direct.vendor()


def _execute(text: str) -> list[Row]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(text)
        return list(cursor.fetchall()) if cursor.description else []


def _first_day(events: int) -> None:
    """Capture so many recorded payloads, in sessions as they were recorded, and work them out."""
    from claudemem.celery import app
    from observations import ingest
    from observations.models import Project, Team
    from queueing import kinds, shares

    app.loader.import_default_modules()
    team = Team.objects.create(name="team")
    project = Project.objects.create(team=team, name="project")
    for payload in _told(events):
        ingest.capture_hook(team.pk, project.pk, payload, origin={"source": "year"})
    names = [kind.name for kind in kinds.ALL]
    while due := shares.due(names, 100, 100):
        for head in due:
            app.tasks[kinds.BY_NAME[head.kind].task](head.job_id)


def _told(events: int) -> Iterator[dict[str, Any]]:
    """The recordings over and over, each time as other sessions with other ids."""
    run, recorded = "", payloads()
    for number, payload in zip(range(events), cycle(recorded), strict=False):
        run = uuid4().hex if number % len(recorded) == 0 else run
        fresh = {**payload, "session_id": f"{run}-{payload['session_id']}"}
        if "tool_use_id" in payload:
            fresh["tool_use_id"] = f"{run}-{payload['tool_use_id']}"
        fresh.pop("timestamp", None)
        yield fresh


def _read(table: str) -> tuple[list[str], list[Row]]:
    """The columns of a table, and its rows as they are stored."""
    from django.db import connection

    connection.ensure_connection()
    cursor = connection.connection.cursor()
    cursor.execute(f"SELECT * FROM {table}")
    columns = [each[0] for each in cursor.description]
    rows = list(cursor.fetchall())
    if table == "observations_auditentry":  # pruning makes entries too: their numbers are its own
        return columns[1:], [row[1:] for row in rows]
    return columns, rows


def _copy(rows: dict[str, tuple[list[str], list[Row]]], day: int, offset: int) -> None:
    """Write the rows again, as those of another day: so many days from today."""
    from django.db import connection, transaction

    most = {
        owner: max((row[rows[owner][0].index(name)] for row in rows[owner][1]), default=0)
        for owner, name in (
            ("queueing_lane", "id"), ("queueing_generationjobevent", "id"),
            ("observations_observation", "number"),
        )
    }  # fmt: skip
    with transaction.atomic():
        for table, (columns, found) in rows.items():
            changes = [_change(table, column, day, offset, most) for column in columns]
            fresh = (
                tuple(change(value) for change, value in zip(changes, row, strict=True))
                for row in found
            )
            _insert(connection.connection, table, columns, fresh)


def _change(
    table: str, column: str, day: int, offset: int, most: dict[str, int]
) -> Callable[[Any], Any]:
    if owner := NUMBERED.get(table, {}).get(column):
        return lambda value: value + day * most[owner]
    if column in IDS:
        return lambda value: value if value is None else _id(value, offset)
    if column in KEYS:
        return lambda value: value if value is None else _key(value, day)
    if column.endswith(("_at", "_until")):
        return lambda value: _moved(value, offset)
    return lambda value: value


def _id(value: str, offset: int) -> str:
    """The UUIDv7 that would have been made so many days from then."""
    made = int(value[:8] + value[9:13], 16) + offset * 86_400_000
    return f"{made >> 16:08x}-{made & 0xFFFF:04x}{value[13:]}"


def _key(value: str, day: int) -> str:
    """Another key as long as this one."""
    stem, _, rest = value.rpartition("_") if "_" in value[:5] else ("", "", value)
    fresh = (sha256(f"{value} {day}".encode()).hexdigest() * 3)[: len(rest)]
    return f"{stem}_{fresh}" if stem else fresh


def _moved(value: Any, offset: int) -> Any:
    if isinstance(value, str):
        moved = date.fromisoformat(value[:10]) + timedelta(days=offset)
        return moved.isoformat() + value[10:]
    return value if value is None else value + timedelta(days=offset)


def _insert(driver: Any, table: str, columns: Sequence[str], rows: Iterator[Row]) -> None:
    names = ", ".join(f'"{name}"' for name in columns)
    if _vendor() == "sqlite":
        marks = ", ".join("?" * len(columns))
        driver.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)
        return
    with driver.cursor().copy(f"COPY {table} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _prune(offset: int) -> float:
    """Prune as of that day; how many seconds it took."""
    from claudemem import daylogs, leash, settings
    from observations import retention
    from queueing.retention import budget
    from queueing.statements import now

    started = time.monotonic()
    retention.prune(budget(3600.0), at=now() + timedelta(days=offset))
    took = time.monotonic() - started
    daylogs.prune(settings.DATA_DIR, settings.KEEP, leash.today() + timedelta(days=offset))
    if _vendor() == "postgresql":
        # As autovacuum does, which looks once a minute: here a day is a second.
        for table in TABLES:
            _execute(f"VACUUM (ANALYZE) {table}")
    return took


def _write_logs(offset: int) -> None:
    from claudemem import leash, settings

    settings.DATA_DIR.create()
    day = leash.today() + timedelta(days=offset)
    for name in ("up", "web", "worker", "beat", "redis"):
        (settings.DATA_DIR.logs / f"{name}-{day.isoformat()}.log").write_bytes(b"x" * A_LOG)


def _tell(day: int) -> None:
    from claudemem import settings

    logs = sum(path.stat().st_size for path in settings.DATA_DIR.logs.iterdir())
    jobs = _execute("SELECT count(*) FROM queueing_generationjob")[0][0]
    lanes = _execute("SELECT count(*) FROM queueing_lane")[0][0]
    print(
        f"  day {day:>3}: database {_size() / 1e6:7.0f} MB, WAL {_wal() / 1e6:4.0f} MB, "
        f"logs {logs / 1e6:4.1f} MB; {jobs} jobs in {lanes} lanes", flush=True,
    )  # fmt: skip
    if day == TOLD[-1]:
        for name, size in _tables():
            print(f"    {name:<40} {size / 1e6:7.0f} MB")


def _size() -> int:
    from claudemem import settings

    if _vendor() == "sqlite":
        return settings.DATA_DIR.database.stat().st_size
    return int(_execute("SELECT pg_database_size(current_database())")[0][0])


def _wal() -> int:
    from claudemem import settings

    if _vendor() == "sqlite":
        wal = settings.DATA_DIR.database.with_name(settings.DATA_DIR.database.name + "-wal")
        return wal.stat().st_size if wal.exists() else 0
    return int(_execute("SELECT sum(size) FROM pg_ls_waldir()")[0][0])


def _tables() -> list[Row]:
    """The largest tables with their indexes, in bytes."""
    if _vendor() == "postgresql":
        return _execute(
            "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' "
            "AND relname ~ '^(observations|queueing)_' ORDER BY 2 DESC LIMIT 9"
        )
    from django.db import OperationalError

    try:
        return _execute(
            "SELECT tbl_name, sum(pgsize) FROM dbstat JOIN sqlite_schema USING (name) "
            "WHERE aggregate = true GROUP BY tbl_name ORDER BY 2 DESC LIMIT 9"
        )
    except OperationalError:  # a library that was built without it
        free = _execute("PRAGMA freelist_count")[0][0] * _execute("PRAGMA page_size")[0][0]
        return [("pages that are free", free)]


def _compact() -> None:
    from claudemem.commands.prune import compacted

    started = time.monotonic()
    freed = compacted()
    took = time.monotonic() - started
    print(f"  claudemem prune --compact frees {freed / 1e6:.0f} MB in {took:.1f} s")


def _capture_while_all_is_pruned() -> None:
    """What a capture takes while another process prunes the year at once, and before."""
    for table, numbers in NUMBERED.items() if _vendor() == "postgresql" else ():
        for column in [name for name, owner in numbers.items() if owner == table]:
            _execute(f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), "
                     f"(SELECT max({column}) FROM {table}))")  # fmt: skip
    variables = {k: v for k, v in os.environ.items() if not k.startswith("CLAUDE_MEM_RETAIN_")}
    before = time.monotonic() + 10.0
    quiet = _captures(lambda: time.monotonic() < before)
    started = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "claudemem", "prune", "--json"], cwd=ROOT, env=variables,
        stdout=subprocess.PIPE,
    ) as program:  # fmt: skip
        busy = _captures(lambda: program.poll() is None)
        assert program.stdout
        told = json.loads(program.stdout.read())
    print(f"  {told['jobs']} jobs and {told['auditEntries']} entries were pruned at once in "
          f"{time.monotonic() - started:.0f} s")  # fmt: skip
    for name, took in (("before", quiet), ("meanwhile", busy)):
        took = sorted(took)
        print(
            f"    a capture {name}: median {took[len(took) // 2] * 1e3:.1f} ms, "
            f"p99 {took[len(took) * 99 // 100] * 1e3:.1f} ms, most {took[-1] * 1e3:.1f} ms"
        )


def _captures(going_on: Callable[[], bool]) -> list[float]:
    """How long each of some fifty captures a second took (s)."""
    from observations import ingest
    from observations.models import Project

    project = Project.objects.get()
    took = []
    for payload in _told(1_000_000):
        if not going_on():
            break
        started = time.monotonic()
        ingest.capture_hook(project.team_id, project.pk, payload, origin={"source": "year"})
        took.append(time.monotonic() - started)
        time.sleep(0.02)
    return took


def _store() -> None:
    """Write to a managed store what a day without work writes, and see how large it becomes."""
    import redis

    from tests.stores import House

    with tempfile.TemporaryDirectory(prefix="claudemem-store-") as folder:
        house = House(Path(folder))
        house.start()
        try:
            most, done = [0], threading.Event()
            watch = threading.Thread(target=_watch, args=(house.redis / "data", most, done))
            watch.start()
            with redis.Redis.from_url(house.store.url) as client:
                for _ in range(IDLE_RATE * 86_400 // 1_000_000):
                    with client.pipeline(transaction=False) as pipe:
                        for number in range(1000):
                            pipe.set(f"claude_mem:{number % 10}", b"x" * 950)
                        pipe.execute()
            done.set()
            watch.join()
            print(f"  a managed store's files, in a day of {IDLE_RATE} bytes a second: "
                  f"{most[0] / 1e6:.0f} MB at most")  # fmt: skip
        finally:
            house.store.stop()


def _watch(folder: Path, most: list[int], done: threading.Event) -> None:
    while not done.wait(0.02):
        size = 0
        for path in folder.rglob("*"):
            try:
                size += path.stat().st_size if path.is_file() else 0
            except FileNotFoundError:
                continue
        most[0] = max(most[0], size)


if __name__ == "__main__":
    os.umask(0o077)
    main()
