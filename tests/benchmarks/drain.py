"""What delivery alone costs: jobs that do nothing are enqueued, and one worker process drains them.

    python -m tests.benchmarks.drain [--database sqlite|postgresql] [--engine celery|database]
                                     [--jobs 10000] [--lanes 100] [--batch N]

Without options it goes through both databases and engines. Each job is enqueued in a transaction of
its own, as a capture does; then a real `claudemem worker start` process goes to work, first with
the batches that kinds have, then with one job to a claim. Exits with 1 if anything was lost, done
twice, done out of order, or claimed while another claim of its lane was in flight.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING
from uuid import uuid4

from claudemem.datadir import DataDir
from queueing.pids import mark
from tests import proofs
from tests.benchmarks.nothing import BATCH, SETTINGS
from tests.benchmarks.rows import Postgresql, Rows, Sqlite
from tests.benchmarks.run import Family, Meter, Others
from tests.stack import OPEN, ROOT, environment
from tests.stores import kept
from tests.waiting import until

if TYPE_CHECKING:
    from queueing.outbox import Enqueued, NewJob

DATABASES = ("sqlite", "postgresql")
ENGINES = ("celery", "database")
PATIENCE = 300.0


@dataclass(frozen=True, slots=True)
class Scene:
    """Where one combination of database and engine runs."""

    data: DataDir
    rows: Rows
    settings: dict[str, str]
    jobs: int
    lanes: int

    @property
    def server(self) -> int | None:
        return self.rows.server.pid if isinstance(self.rows, Postgresql) else None

    def wait_settled(self) -> None:
        """Wait until every job is done. Fails as soon as one failed for good."""
        self.until(f"SELECT NOT EXISTS (SELECT 1 FROM queueing_generationjob WHERE {OPEN})")

    def until(self, query: str) -> None:
        """Wait for a query to have a value that is true. Fails as soon as a job failed for good."""
        with closing(self.rows.connect()) as database:
            until(
                lambda: proofs.none_given_up(database) or database.execute(query).fetchone()[0],
                PATIENCE,
            )

    def begun(self) -> float:
        """How many lines the history has."""
        return self._value("SELECT coalesce(max(id), 0) FROM queueing_generationjobevent")

    def took(self, since: float) -> float:
        """Seconds from the first claim to the last settlement beyond a line of the history."""
        first, last = (
            f"(SELECT {which}(created_at) FROM queueing_generationjobevent "
            f"WHERE event = '{event}' AND id > {int(since)})"
            for which, event in (("min", "processing"), ("max", "completed"))
        )
        if self.server:
            return self._value(f"SELECT extract(epoch FROM {last} - {first})")
        return self._value(f"SELECT (julianday({last}) - julianday({first})) * 86400")

    def _value(self, query: str) -> float:
        return float(self.rows.query(query)[0][0])


def main() -> int:
    """Go through what was asked for; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=DATABASES, help="[default: both]")
    parser.add_argument("--engine", choices=ENGINES, help="[default: both]")
    parser.add_argument("--jobs", type=int, default=10_000, help="[default: 10000]")
    parser.add_argument("--lanes", type=int, default=100, help="[default: 100]")
    parser.add_argument(
        "--batch", type=int, action="append", metavar="N",
        help="jobs to a claim; 0 is as kinds have it [default: 0, then 1]",
    )  # fmt: skip
    given = parser.parse_args()
    return each_combination("drain", given, _measured)


def each_combination(
    program: str, given: argparse.Namespace, measured: Callable[[argparse.Namespace], int]
) -> int:
    """What `measured` says of the database and engine that were given, or the worst of all.

    Of several, each is measured in a process of its own: Django's settings are read once.
    """
    if given.database and given.engine:
        return measured(given)
    databases = [given.database] if given.database else DATABASES
    engines = [given.engine] if given.engine else ENGINES
    return max(_apart(program, *each) for each in product(databases, engines))


def _apart(program: str, database: str, engine: str) -> int:
    chosen = ["--database", database, "--engine", engine, *sys.argv[1:]]
    return subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{program}", *chosen], cwd=ROOT, check=False
    ).returncode


def _measured(given: argparse.Namespace) -> int:
    print(f"\n{given.database}, {given.engine} engine: {given.jobs} jobs, {given.lanes} lanes; "
          f"{os.cpu_count()} shared cores, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    with staged(given) as scene:
        for batch in given.batch or (0, 1):
            _drain(scene, batch)
        with closing(scene.rows.connect()) as database:
            broken = proofs.violations(database)
    for each in broken[:50]:
        print(f"  {each}")
    print(f"  {len(broken)} lost, done twice, out of order or overlapping")
    return 1 if broken else 0


@contextmanager
def staged(given: argparse.Namespace) -> Iterator[Scene]:
    """Everything but the worker runs, and this process is one that can enqueue."""
    with ExitStack() as ending:
        home = Path(tempfile.mkdtemp(prefix="claudemem-drain-"))
        ending.callback(rmtree, home, ignore_errors=True)
        data = DataDir(home)
        data.create()
        rows = Sqlite(data.database) if given.database == "sqlite" else Postgresql()
        ending.callback(rows.end)
        if given.engine == "celery":
            store = kept(home)
            store.start()
            ending.callback(store.stop)
        settings = {**rows.settings, "CLAUDE_MEM_DATA_DIR": str(home),
                    "CLAUDE_MEM_QUEUE_ENGINE": given.engine,
                    "CLAUDE_MEM_LOG_LEVEL": "WARNING"}  # fmt: skip
        _become_one_of_ours(settings)
        yield Scene(data, rows, settings, given.jobs, given.lanes)


def _become_one_of_ours(settings: dict[str, str]) -> None:
    os.environ.update({**settings, "DJANGO_SETTINGS_MODULE": "claudemem.settings"})
    # The web's way to publish, with Celery's app as it has it.
    import django

    from claudemem import celery  # noqa: F401

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def _drain(scene: Scene, batch: int) -> None:
    """Enqueue while the worker stands still, then have it work, and print what both cost."""
    with employed(scene, batch) as worker:
        # Until its threads have their connections.
        _publish(_enqueue(_jobs(scene.lanes, scene.lanes)))
        scene.wait_settled()
        process = mark(worker)
        process.signal(signal.SIGSTOP)
        _publish(_enqueue_measured(scene))
        begun = scene.begun()
        used, database = Meter(worker), Family(scene.server) if scene.server else None
        others = Others([worker], scene.server)
        process.signal(signal.SIGCONT)
        scene.wait_settled()
        cpu, server, busy = used.seconds(), database.seconds() if database else 0, others.cores()
    name = f"{batch} to a claim" if batch else "as shipped"
    print(f"  drained, {name:<12}{scene.jobs / scene.took(begun):8.0f} jobs/s"
          f"{cpu / scene.jobs * 1e6:8.0f} µs worker"
          f"{_server(server, scene)}{busy:6.1f} cores busy with something else")  # fmt: skip


def _server(seconds: float, scene: Scene) -> str:
    return f"{seconds / scene.jobs * 1e6:8.0f} µs PostgreSQL" if scene.server else ""


@contextmanager
def employed(scene: Scene, batch: int, **more: str) -> Iterator[int]:
    """A worker process with the tasks of kinds emptied, and `more` in its environment; its pid.

    It ends with this program.
    """
    chosen = {"DJANGO_SETTINGS_MODULE": SETTINGS, **({BATCH: str(batch)} if batch else {}), **more}
    with (
        (scene.data.logs / "worker.log").open("ab") as log,
        subprocess.Popen(
            [sys.executable, "-m", "claudemem", "worker", "start", "--supervised"],
            stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=ROOT,
            env=environment({**scene.settings, **chosen}),
        ) as process,
    ):  # fmt: skip
        try:
            yield process.pid
        finally:
            process.kill()


def _jobs(number: int, lanes: int) -> "list[NewJob]":
    from queueing import kinds
    from queueing.outbox import NewJob

    run = uuid4().hex
    return [
        NewJob(kinds.EVENT, f"{run}-{place % lanes}", kinds.EVENT.job_id(run, str(place)),
               f"source-{place}", "team", "project", origin={"source": "drain"})
        for place in range(number)
    ]  # fmt: skip


def _enqueue(jobs: "Sequence[NewJob]") -> "list[Enqueued]":
    """Write each in a transaction of its own; those that are heads.

    As captures do: on SQLite without Django's `atomic`, on PostgreSQL a statement is a transaction.
    """
    from queueing import direct, outbox

    if direct.vendor() == "postgresql":
        rows = [outbox.append(job) for job in jobs]
    else:
        rows = [direct.within(partial(outbox.append, job)) for job in jobs]
    return [row for row in rows if row.is_head]


def _enqueue_measured(scene: Scene) -> "list[Enqueued]":
    jobs = _jobs(scene.jobs, scene.lanes)
    backend = Meter(_backend()) if scene.server else None
    started, used = time.perf_counter(), time.process_time()
    heads = _enqueue(jobs)
    cpu, wall = time.process_time() - used, time.perf_counter() - started
    server = backend.seconds() if backend else 0.0
    print(f"  enqueued             {scene.jobs / wall:8.0f} jobs/s{cpu / scene.jobs * 1e6:8.0f} µs"
          f" caller{_server(server, scene)}")  # fmt: skip
    return heads


def _backend() -> int:
    """PostgreSQL's process that serves this one."""
    from django.db import connection

    connection.ensure_connection()
    return int(connection.connection.info.backend_pid)


def _publish(heads: "Sequence[Enqueued]") -> None:
    from queueing import outbox

    outbox.publish_enqueued(heads)


if __name__ == "__main__":
    sys.exit(main())
