"""Random faults under real load, and the proof that delivery kept its promise all the same.

    python -m tests.benchmarks.faults --all
    python -m tests.benchmarks.faults --database postgresql --engine celery --seed 7

A real database (`--database sqlite` or `postgresql`), real `claudemem worker start` processes, and
for the Celery engine (`--engine celery` or `database`) a real Valkey and beat. Jobs are enqueued in
waves; in the middle of each wave something is killed, stopped for longer than a lease, or flushed,
and the next wave does not wait for the recovery: what a database that is away refuses is sent again
until it is taken, as clients do. `--all` runs every database with every engine, one after another,
and prints one table of all.

Exits with 1 if anything was lost, done twice, done out of order, or claimed while another claim of
its lane was in flight.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from shutil import rmtree
from typing import Any

from claudemem.datadir import DataDir
from tests import proofs
from tests.benchmarks import outcome, strikes
from tests.benchmarks.outcome import Outcome, Recovery
from tests.benchmarks.rows import Postgresql, Rows, Sqlite
from tests.benchmarks.scene import Program, Scene, beats, join
from tests.benchmarks.waves import Waves
from tests.stack import CELERY, ENGINES, ROOT, SHORT_LEASES
from tests.stores import kept

SETTINGS = {
    **SHORT_LEASES,
    "CLAUDE_MEM_PROVIDER_DELAY_MS": "100",
    "CLAUDE_MEM_WORKER_THREADS": "4",
    "CLAUDE_MEM_LOG_LEVEL": "WARNING",
}
DATABASES = SQLITE, POSTGRESQL = ("sqlite", "postgresql")
USUAL = {"jobs": 2000, "lanes": 50, "workers": 3, "kills": 20, "stops": 10, "store-kills": 3,
         "flushes": 1, "database-kills": 3, "database-restarts": 1, "seed": 1}  # fmt: skip


def _start(home: Path, rows: Rows, given: argparse.Namespace) -> Scene:
    """Everything runs, and this process is one that can enqueue."""
    data = DataDir(home)
    data.create()
    if given.engine == CELERY:
        kept(home).start()
    settings = {**SETTINGS, **rows.settings, "CLAUDE_MEM_QUEUE_ENGINE": given.engine}
    join(data, settings)
    workers = [Program(("worker", "start"), data, settings) for _ in range(given.workers)]
    chance = random.Random(given.seed)
    scene = Scene(data, rows, chance, workers, beats(data, settings, given.engine))
    scene.begin()
    return scene


def _plan(given: argparse.Namespace) -> list[strikes.Strike]:
    plan: list[strikes.Strike] = [strikes.kill] * given.kills + [strikes.stop] * given.stops
    if given.engine == CELERY:
        plan += [strikes.kill_store] * given.store_kills + [strikes.flush] * given.flushes
    if given.database == POSTGRESQL:
        plan += [strikes.kill_database] * given.database_kills
        plan += [strikes.restart_database] * given.database_restarts
    return plan


def _run(scene: Scene, given: argparse.Namespace) -> float:
    """Waves of jobs with a fault in each; the seconds that it took until all were settled."""
    plan = _plan(given)
    scene.chance.shuffle(plan)
    wave = Waves(given.lanes, scene.chance)
    each, rest = divmod(given.jobs, len(plan) + 1)
    started = time.monotonic()
    for strike in plan:
        wave.send(each)
        _await_progress(scene)
        strike(scene)
    wave.send(each + rest)
    settle(scene)
    return time.monotonic() - started


def _await_progress(scene: Scene) -> None:
    """Until a part of the backlog is done, by chance hardly any or more than half."""
    left = int(scene.open_jobs() * scene.chance.uniform(0.4, 1.0))
    scene.until(lambda: scene.open_jobs() <= left)


def settle(scene: Scene) -> None:
    """Wait until all is done; what met a fault in each of its attempts is retried once."""
    scene.until(lambda: not scene.open_jobs())
    # Faults that strike three times at the same job look like a job that kills its workers.
    from queueing import operations

    failed = "SELECT id, last_error FROM queueing_generationjob WHERE state = 'failed'"
    for job, error in scene.query(failed):
        if proofs.details_of(error).get("classification") == "worker_lost":
            print(f"  {job} met three faults; an operator retries it")
            operations.retry(job)
    scene.until(lambda: not scene.open_jobs())


def _one(given: argparse.Namespace) -> Outcome:
    """One run, from nothing to the report."""
    home = Path(tempfile.mkdtemp(prefix="claudemem-faults-"))
    rows = Sqlite(DataDir(home).database) if given.database == SQLITE else Postgresql()
    scene = None
    try:
        scene = _start(home, rows, given)
        seconds = _run(scene, given)
        return outcome.report(scene, given.jobs, seconds)
    finally:
        if scene:
            scene.end()
        rows.end()
        rmtree(home, ignore_errors=True)


# --- every database with every engine -------------------------------------------------------------


def _all(arguments: Sequence[str]) -> int:
    """Each combination in a process of its own, for Django's settings are for good."""
    found: dict[str, Outcome | None] = {}
    for database, engine in product(DATABASES, ENGINES):
        name = f"{database}, {engine}"
        print(f"\n=== {name}", flush=True)
        found[name] = _apart([*arguments, f"--database={database}", f"--engine={engine}"])
    _print_all(found)
    return 0 if all(each and each.kept for each in found.values()) else 1


def _apart(arguments: Sequence[str]) -> Outcome | None:
    """What came of a run with these arguments; None if it ended without saying."""
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder, "outcome.json")
        words = [sys.executable, "-m", "tests.benchmarks.faults", *arguments, "--outcome", said]
        subprocess.run(words, cwd=ROOT, check=False)
        return _read(json.loads(said.read_text())) if said.exists() else None


def _read(plain: dict[str, Any]) -> Outcome:
    recoveries = tuple(Recovery(**each) for each in plain.pop("recoveries"))
    return Outcome(**plain, recoveries=recoveries)


def _print_all(found: dict[str, Outcome | None]) -> None:
    print("\n=== all\n")
    for name, each in found.items():
        if each is None:
            print(f"  {name:<22}ended before it was done")
            continue
        wrong = ", ".join(f"{count} {what}" for what, count in each.wrong.items())
        print(f"  {name:<22}{each.jobs:>5} jobs{each.seconds:>7.0f} s  {wrong}; "
              f"a lane stood still for {each.stood:.1f} s at most")  # fmt: skip
    kinds = sorted({one.kind for each in found.values() if each for one in each.recoveries})
    print(f"\n  until jobs went on, s{'':<13}" + "".join(f"{name:>22}" for name in found))
    for kind in kinds:
        cells = (_cell(kind, each) for each in found.values())
        print(f"  {kind:<34}" + "".join(f"{cell:>22}" for cell in cells))


def _cell(kind: str, found: Outcome | None) -> str:
    for each in found.recoveries if found else ():
        if each.kind == kind:
            took = f"{each.median:.1f} / {each.most:.1f}" if each.touched else "none waited"
            return f"{each.times} x: {took}"
    return "-"


def main() -> int:
    """Run it; 1 if the promise was broken."""
    parser = argparse.ArgumentParser(description="Random faults under real load.")
    for name, usual in USUAL.items():
        parser.add_argument(f"--{name}", type=int, default=usual, help=f"[default: {usual}]")
    parser.add_argument("--database", choices=DATABASES, default=SQLITE,
                        help="[default: sqlite]; its own faults are for PostgreSQL")  # fmt: skip
    parser.add_argument("--engine", choices=ENGINES, default=CELERY,
                        help="[default: celery]; the store's faults are for it")  # fmt: skip
    parser.add_argument("--all", action="store_true", help="every database with every engine")
    parser.add_argument("--outcome", type=Path, help="a file for the outcome, as JSON")
    given = parser.parse_args()
    if given.all:
        return _all([f"--{name}={getattr(given, name.replace('-', '_'))}" for name in USUAL])
    found = _one(given)
    if given.outcome:
        given.outcome.write_text(json.dumps(found.plain()))
    print("\nthe promise was " + ("kept" if found.kept else "broken"))
    return 0 if found.kept else 1


if __name__ == "__main__":
    sys.exit(main())
