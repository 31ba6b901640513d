"""Random faults under real load, and the proof that delivery kept its promise all the same.

    python -m tests.benchmarks.faults --jobs 2000 --lanes 50 --workers 3 --kills 20 --seed 1

A real database (`--database sqlite` or `postgresql`), real `claudemem worker start` processes, and
for the Celery engine (`--engine celery` or `database`) a real Valkey and beat. Jobs are enqueued in
waves; in the middle of each wave something is killed, stopped for longer than a lease, or flushed,
and the next wave does not wait for the recovery: what a database that is away refuses is sent again
until it is taken, as clients do. Exits with 1 if anything was lost, done twice, done out of order,
or claimed while another claim of its lane was in flight.
"""

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from shutil import rmtree
from typing import Any, TypeVar
from uuid import uuid4

from claudemem.datadir import DataDir
from queueing.direct import moment
from queueing.pids import Mark, mark
from tests import proofs
from tests.benchmarks.rows import Postgresql, Rows, Sqlite
from tests.stack import CELERY, ENGINES, OPEN, ROOT, SHORT_LEASES, environment, payloads
from tests.stores import kept
from tests.waiting import until

LEASE = float(SHORT_LEASES["CLAUDE_MEM_LEASE_SECONDS"])
SETTINGS = {
    **SHORT_LEASES,
    "CLAUDE_MEM_PROVIDER_DELAY_MS": "100",
    "CLAUDE_MEM_WORKER_THREADS": "4",
    "CLAUDE_MEM_LOG_LEVEL": "WARNING",
}
PATIENCE = 120.0
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done, when (by the database's clock, as it tells it), and which jobs it touched."""

    kind: str
    at: object
    touched: tuple[str, ...]


@dataclass
class Program:
    """One of our processes, in the place of the one that was killed."""

    arguments: tuple[str, ...]
    data: DataDir
    settings: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it. It ends with this program, whose end of its input it watches."""
        with (self.data.logs / f"{self.arguments[0]}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "claudemem", "--data-dir", str(self.data.root),
                 *self.arguments, "--supervised"],
                stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=ROOT,
                env=environment({**SETTINGS, **self.settings}),
            )  # fmt: skip

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def end(self, number: int) -> None:
        """Send it a signal that ends it, and wait."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.send_signal(number)
        self.process.wait(30)
        self.process.stdin.close()

    def replace(self, number: int) -> None:
        """End it by a signal; another one takes its place."""
        self.end(number)
        self.start()

    def tend(self) -> bool:
        """Start it again if it ended by itself, as `claudemem up` would; whether it had."""
        ended = self.process is not None and self.process.poll() is not None
        if ended:
            self.start()
        return ended


@dataclass
class Scene:
    """Everything that runs, and what was done to it so far."""

    data: DataDir
    rows: Rows
    chance: random.Random
    workers: list[Program]
    beat: list[Program]
    faults: list[Fault] = field(default_factory=list)
    stopped: set[int] = field(default_factory=set)
    timers: list[threading.Timer] = field(default_factory=list)
    deaths: int = 0

    def until(self, found: Callable[[], Found]) -> Found:
        """As `waiting.until`, keeping all programs running meanwhile."""

        def tended() -> Found:
            self.deaths += sum(program.tend() for program in (*self.workers, *self.beat))
            return found()

        return until(tended, PATIENCE)

    def query(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        return self.rows.query(text, *values)

    def open_jobs(self) -> int:
        return int(self.query(f"SELECT count(*) FROM queueing_generationjob WHERE {OPEN}")[0][0])

    def held_by(self, pid: int) -> tuple[str, ...]:
        """The jobs that a worker process has in hand."""
        rows = self.query(
            "SELECT id FROM queueing_generationjob WHERE state = 'processing' "
            "AND leased_by LIKE ?", f"%:{pid}",
        )  # fmt: skip
        return tuple(row[0] for row in rows)

    def waiting_heads(self) -> tuple[str, ...]:
        """The jobs that need a message to be worked."""
        rows = self.query(
            "SELECT job.id FROM queueing_generationjob job JOIN queueing_lane lane "
            "ON lane.id = job.lane_id AND lane.head = job.seq WHERE job.state = 'queued'"
        )
        return tuple(row[0] for row in rows)

    def in_hand(self) -> tuple[str, ...]:
        """The jobs that any worker has in hand."""
        rows = self.query("SELECT id FROM queueing_generationjob WHERE state = 'processing'")
        return tuple(row[0] for row in rows)


# --- what is done to it -------------------------------------------------------------------------


def _busy_worker(scene: Scene) -> Program:
    """A worker that has something in hand, as soon as there is one; any if all is done."""

    def found() -> list[Program]:
        running = [worker for worker in scene.workers if worker.pid not in scene.stopped]
        busy = [worker for worker in running if scene.held_by(worker.pid)]
        return busy or ([] if scene.open_jobs() else running)

    return scene.chance.choice(scene.until(found))


def kill(scene: Scene) -> None:
    """kill -9 of a worker that is at work; another is started in its place."""
    worker = _busy_worker(scene)
    pid = worker.pid
    worker.replace(signal.SIGKILL)
    scene.faults.append(Fault("worker killed", scene.rows.now(), scene.held_by(pid)))


def stop(scene: Scene) -> None:
    """A worker stands still for longer than its leases, then goes on as if nothing had been."""
    worker = _busy_worker(scene)
    stopped = mark(worker.pid)
    scene.stopped.add(stopped.pid)
    stopped.signal(signal.SIGSTOP)
    scene.faults.append(Fault("worker stopped", scene.rows.now(), scene.held_by(stopped.pid)))
    timer = threading.Timer(LEASE + 1.5, _go_on, [scene, stopped])
    timer.start()
    scene.timers.append(timer)


def _go_on(scene: Scene, stopped: Mark) -> None:
    stopped.signal(signal.SIGCONT)
    scene.stopped.discard(stopped.pid)


def kill_store(scene: Scene) -> None:
    """kill -9 of the queue store; it is back within a second, with what it had written."""
    process = kept(scene.data.root).process()
    assert process is not None
    process.signal(signal.SIGKILL)
    scene.faults.append(Fault("store killed", scene.rows.now(), scene.waiting_heads()))
    timer = threading.Timer(
        scene.chance.uniform(0.1, 1.0), kept(scene.data.root).start, kwargs={"may_move": False}
    )  # fmt: skip
    timer.start()
    timer.join()


def flush(scene: Scene) -> None:
    """Everything in the queue store is deleted."""
    import redis

    with closing(redis.Redis.from_url(kept(scene.data.root).url)) as client:
        client.flushall()
    scene.faults.append(Fault("store flushed", scene.rows.now(), scene.waiting_heads()))


def kill_database(scene: Scene) -> None:
    """kill -9 of all of PostgreSQL; the next wave comes while it is down."""
    scene.faults.append(Fault("database killed", scene.rows.now(), scene.in_hand()))
    _postgresql(scene).kill(back_in=scene.chance.uniform(0.1, 3.0))


def restart_database(scene: Scene) -> None:
    """PostgreSQL ends all connections, stops and starts, as at an upgrade."""
    scene.faults.append(Fault("database restarted", scene.rows.now(), scene.in_hand()))
    _postgresql(scene).restart()


def _postgresql(scene: Scene) -> Postgresql:
    assert isinstance(scene.rows, Postgresql)
    return scene.rows


# --- the run ------------------------------------------------------------------------------------


def _start(home: Path, rows: Rows, workers: int, seed: int, engine: str) -> Scene:
    """Everything runs, and this process is one that can enqueue."""
    data = DataDir(home)
    data.create()
    if engine == CELERY:
        kept(home).start()
    settings = {**rows.settings, "CLAUDE_MEM_QUEUE_ENGINE": engine}
    os.environ.update({**SETTINGS, **settings, "CLAUDE_MEM_DATA_DIR": str(home)})
    os.environ["DJANGO_SETTINGS_MODULE"] = "claudemem.settings"
    # The web's way to enqueue, with Celery's app as its publisher has it.
    import django

    from claudemem import celery  # noqa: F401

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    scene = Scene(
        data, rows, random.Random(seed),
        [Program(("worker", "start"), data, settings) for _ in range(workers)],
        [Program(("beat",), data, settings)] if engine == CELERY else [],
    )  # fmt: skip
    for program in (*scene.workers, *scene.beat):
        program.start()
    return scene


def _end(scene: Scene) -> None:
    for timer in scene.timers:
        timer.join()
    for program in (*scene.workers, *scene.beat):
        program.end(signal.SIGKILL)
    kept(scene.data.root).stop()


def _run(scene: Scene, given: argparse.Namespace) -> float:
    """Waves of jobs with a fault in each; the seconds that it took until all were settled."""
    plan = [kill] * given.kills + [stop] * given.stops
    if given.engine == CELERY:
        plan += [kill_store] * given.store_kills + [flush] * given.flushes
    if given.database == "postgresql":
        plan += [kill_database] * given.database_kills
        plan += [restart_database] * given.database_restarts
    scene.chance.shuffle(plan)
    wave = Waves(given.lanes, scene.chance)
    each, rest = divmod(given.jobs, len(plan) + 1)
    started = time.monotonic()
    for fault in plan:
        wave.send(each)
        _await_progress(scene)
        fault(scene)
    wave.send(each + rest)
    _settle(scene)
    return time.monotonic() - started


def _await_progress(scene: Scene) -> None:
    """Until a part of the backlog is done, by chance hardly any or more than half."""
    left = int(scene.open_jobs() * scene.chance.uniform(0.4, 1.0))
    scene.until(lambda: scene.open_jobs() <= left)


def _settle(scene: Scene) -> None:
    scene.until(lambda: not scene.open_jobs())
    # Faults that strike three times at the same job look like a job that kills its workers.
    from queueing import operations

    failed = "SELECT id, last_error FROM queueing_generationjob WHERE state = 'failed'"
    for job, error in scene.query(failed):
        if proofs.details_of(error).get("classification") == "worker_lost":
            print(f"  {job} met three faults; an operator retries it")
            operations.retry(job)
    scene.until(lambda: not scene.open_jobs())


class Waves:
    """Sends events into lanes that are chosen by chance, singly and in batches."""

    def __init__(self, lanes: int, chance: random.Random) -> None:
        from observations import keys

        self._team, self._project = keys.default_tenant()
        self._sessions = [f"session-{number}" for number in range(lanes)]
        self._chance = chance
        self._calls = [p for p in payloads() if p["hook_event_name"] == "PostToolUse"]

    def send(self, jobs: int) -> None:
        """Enqueue so many."""
        while jobs > 0:
            size = min(jobs, self._chance.choice((1, 1, 1, 2, 5, 20)))
            self._capture(size)
            jobs -= size

    def _capture(self, size: int) -> None:
        from django.db import InterfaceError, OperationalError, close_old_connections

        from observations import ingest
        from queueing import kinds

        kind = kinds.EVENT if size == 1 else kinds.EVENT_BATCH
        events = [self._event() for _ in range(size)]
        deadline = time.monotonic() + PATIENCE
        while True:
            close_old_connections()
            try:
                ingest.capture(self._team.id, events, origin={"source": "faults"}, kind=kind)
                return
            except (OperationalError, InterfaceError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _event(self) -> Any:
        from observations.ingest import NewEvent, SessionRef

        return NewEvent(
            project_id=self._project.id,
            event_type="PostToolUse",
            source_adapter="faults",
            payload=self._chance.choice(self._calls),
            session=SessionRef(content_session_id=self._chance.choice(self._sessions)),
            source_event_id=uuid4().hex,
        )


# --- what came of it ----------------------------------------------------------------------------


def _report(scene: Scene, asked: int, seconds: float) -> list[str]:
    """Print the tables; everything that is wrong."""
    with closing(scene.rows.connect()) as database:
        checks = {
            "lost": proofs.lost(database),
            "done twice": proofs.twice(database),
            "out of order": proofs.out_of_order(database),
            "overlapping": proofs.overlaps(database),
        }
    ((there,),) = scene.query("SELECT count(*) FROM queueing_generationjob")
    if there != asked:
        checks["lost"].append(f"{asked} jobs were enqueued, {there} are there")
    ((claims, most),) = scene.query(
        "SELECT count(*), max(attempt) FROM queueing_generationjobevent WHERE event = 'processing'"
    )
    print(
        f"\n{there} jobs in {seconds:.1f} s; {claims - there} claims over jobs, at most {most} "
        f"of one job in a row; {scene.deaths} programs ended by themselves and were started again"
    )
    for name, faults in checks.items():
        print(f"  {name:<14}{len(faults):>5}")
    _report_recovery(scene)
    return [fault for faults in checks.values() for fault in faults]


def _report_recovery(scene: Scene) -> None:
    recoveries: dict[str, list[float]] = defaultdict(list)
    counts: dict[str, int] = defaultdict(int)
    for fault in scene.faults:
        counts[fault.kind] += 1
        recoveries[fault.kind] += _recovery(scene, fault)
    print("\n  fault               times  jobs touched  until they went on: median s   most s")
    for kind, count in sorted(counts.items()):
        values = recoveries[kind] or [0.0]
        print(f"  {kind:<19}{count:>6}{len(recoveries[kind]):>14}"
              f"{statistics.median(values):>30.1f}{max(values):>9.1f}")  # fmt: skip


def _recovery(scene: Scene, fault: Fault) -> Sequence[float]:
    """For each job that was touched, the seconds until the next line of its history."""
    rows = (
        scene.query(
            "SELECT min(created_at) FROM queueing_generationjobevent "
            "WHERE job_id = ? AND created_at > ?", job, fault.at,
        )
        for job in fault.touched
    )  # fmt: skip
    struck = _moment(fault.at)
    return [(_moment(found) - struck).total_seconds() for ((found,),) in rows if found is not None]


def _moment(stored: object) -> datetime:
    assert isinstance(stored, str | datetime)
    return moment(stored)


def main() -> int:
    """Run it; 1 if the promise was broken."""
    parser = argparse.ArgumentParser(description="Random faults under real load.")
    for name, usual in {"jobs": 2000, "lanes": 50, "workers": 3, "kills": 20, "stops": 10,
                        "store-kills": 3, "flushes": 1, "database-kills": 3,
                        "database-restarts": 3, "seed": 1}.items():  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=usual, help=f"[default: {usual}]")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite",
                        help="[default: sqlite]; its own faults are for PostgreSQL")  # fmt: skip
    parser.add_argument("--engine", choices=ENGINES, default=CELERY,
                        help="[default: celery]; the store's faults are for it")  # fmt: skip
    given = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="claudemem-faults-"))
    rows = Sqlite(DataDir(home).database) if given.database == "sqlite" else Postgresql()
    scene = None
    try:
        scene = _start(home, rows, given.workers, given.seed, given.engine)
        seconds = _run(scene, given)
        found = _report(scene, given.jobs, seconds)
    finally:
        if scene:
            _end(scene)
        rows.end()
        rmtree(home, ignore_errors=True)
    for fault in found[:50]:
        print(f"  {fault}")
    print("\nthe promise was " + ("broken" if found else "kept"))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
