"""What the server can do on this machine, printed in one run. Nothing is asserted.

    python -m tests.benchmarks.run [--quick] [--database sqlite|postgresql|both]
                                   [start memory capture batch latency search jobs]

docs/reference/benchmarks.md tells what each figure means and which were reached.
"""

import argparse
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any
from uuid import uuid4

import psutil

from queueing import pids
from tests.benchmarks import corpus
from tests.benchmarks.load import Outcome, tool_calls
from tests.postgres import Server, forget_databases, on_postgresql
from tests.stack import HOOK, OPEN, ROOT, Stack, environment
from tests.waiting import until

_TICKS = os.sysconf("SC_CLK_TCK")
SECTIONS = ("start", "memory", "capture", "batch", "latency", "search", "jobs")
DATABASES = ("sqlite", "postgresql")


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: the default, and a quick look."""

    seconds: float
    jobs: int
    slow_jobs: int
    probes: int
    observations: int


FULL = Effort(seconds=5.0, jobs=2000, slow_jobs=2000, probes=200, observations=100_000)
QUICK = Effort(seconds=1.5, jobs=500, slow_jobs=200, probes=40, observations=10_000)


@dataclass(frozen=True, slots=True)
class Run:
    """One database's turn. `figures` gathers what is told of both side by side at the end."""

    home: Path
    effort: Effort
    database: str
    figures: dict[str, dict[str, str]]
    server: int | None = None

    def tell(self, name: str, value: float | str, digits: int = 0) -> None:
        """Keep a figure for the end."""
        text = value if isinstance(value, str) else f"{value:.{digits}f}"
        self.figures.setdefault(name, {})[self.database] = text


def main() -> None:
    """Run the sections that were asked for, in an order in which they do not disturb each other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", choices=(*SECTIONS, []), metavar="SECTION")
    parser.add_argument("--quick", action="store_true", help="Rough figures in half a minute.")
    parser.add_argument("--database", choices=(*DATABASES, "both"), default="sqlite")
    given = parser.parse_args()
    figures: dict[str, dict[str, str]] = {}
    for name in DATABASES if given.database == "both" else (given.database,):
        home = Path(tempfile.mkdtemp(prefix="claudemem-bench-"))
        try:
            with database(name) as server:
                effort = QUICK if given.quick else FULL
                _run(Run(home, effort, name, figures, server), given.sections or SECTIONS)
        finally:
            rmtree(home, ignore_errors=True)
    if given.database == "both":
        _side_by_side(figures)


@contextmanager
def database(name: str) -> Iterator[int | None]:
    """PostgreSQL from the wheel, which waits for the disk as in use, where that is asked for."""
    if name == "sqlite":
        yield None
        return
    server = Server(durable=True)
    names = ("CLAUDE_MEM_TEST_POSTGRES_URL", "CLAUDE_MEM_SERVER_DATABASE_URL")
    os.environ.update(dict.fromkeys(names, server.url()))
    try:
        yield server.pid
    finally:
        forget_databases()
        server.stop()
        for variable in names:
            del os.environ[variable]


def _run(run: Run, wanted: Sequence[str]) -> None:
    load = f"{os.cpu_count()} shared cores, load {os.getloadavg()[0]:.1f}"
    print(f"{load}; {'PostgreSQL' if on_postgresql() else 'SQLite'}, private Valkey")
    with _running(run.home) as stack:
        if "memory" in wanted:
            _memory(stack, "idle")
        if "capture" in wanted:
            _capture(run, stack, with_memory="memory" in wanted)
        if "batch" in wanted:
            _batch(run, stack)
        if "latency" in wanted:
            _latency(run, stack)
        if "search" in wanted:
            _search(run, stack)
    if "start" in wanted:
        _start(run.home)
    if "jobs" in wanted:
        effort = run.effort
        for delay, jobs in ((0, effort.jobs), (50, effort.jobs), (1000, effort.slow_jobs)):
            with _running(run.home, CLAUDE_MEM_PROVIDER_DELAY_MS=str(delay)) as stack:
                _jobs(run, stack, delay, jobs)


def _side_by_side(figures: dict[str, dict[str, str]]) -> None:
    _heading("Side by side")
    print(f"  {'':44} {'SQLite':>10} {'PostgreSQL':>12}")
    for name, values in figures.items():
        print(f"  {name:44} {values.get('sqlite', ''):>10} {values.get('postgresql', ''):>12}")


@contextmanager
def _running(home: Path, **settings: str) -> Iterator[Stack]:
    # A directory, and so a database, of its own.
    stack = Stack(Path(tempfile.mkdtemp(dir=home)), settings)
    try:
        stack.start()
        stack.make_key("bench")
        yield stack
    finally:
        stack.stop()


# --- what things cost ---------------------------------------------------------------------------


class Meter:
    """The processor time that a process took since this was made."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = self._used()

    def seconds(self) -> float:
        return self._used() - self._before

    def _used(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


class Family(Meter):
    """The same for a process and all that it started, for PostgreSQL."""

    def _used(self) -> float:
        processes = [psutil.Process(self._pid), *psutil.Process(self._pid).children()]
        alive = 0.0
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                alive += times.user + times.system
        ended = processes[0].cpu_times()
        return alive + ended.children_user + ended.children_system


def _database_meter(run: Run) -> Meter | None:
    return Family(run.server) if run.server else None


class Others:
    """How many cores something else than the server and the load kept busy since this was made.

    Wall times are worth as much as the machine was free; processor times hold on a busy one too.
    """

    def __init__(self, pids: Iterable[int], server: int | None) -> None:
        self._meters = [Meter(pid) for pid in pids]
        self._meters += [Family(server)] if server else []
        self._before = self._busy()
        self._started = time.perf_counter()

    def cores(self) -> float:
        """On average, so far."""
        ours = sum(meter.seconds() for meter in self._meters)
        busy = self._busy() - self._before
        return max(0.0, busy - ours) / (time.perf_counter() - self._started)

    def _busy(self) -> float:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        user, nice, system, _, _, irq, softirq, steal = map(int, fields)
        loads = resource.getrusage(resource.RUSAGE_CHILDREN)
        machine = (user + nice + system + irq + softirq + steal) / _TICKS
        return machine - loads.ru_utime - loads.ru_stime


def _load(stack: Stack, what: str, **options: float) -> Outcome:
    """The outcome of the load generator, which runs in a process of its own."""
    given = [f"--{name}={value}" for name, value in options.items()]
    out = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.load", what, f"--port={stack.port}",
         f"--key={stack.key}", f"--project={stack.project_id}", *given],
        cwd=ROOT, env=environment(), capture_output=True, check=True,
    ).stdout  # fmt: skip
    return Outcome(**json.loads(out))


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"


def _quantiles(values: Sequence[float]) -> tuple[str, str, str]:
    """p50, p95 and p99 in milliseconds."""
    cuts = statistics.quantiles(values, n=100)
    return _ms(cuts[49]), _ms(cuts[94]), _ms(cuts[98])


def _heading(text: str) -> None:
    print(f"\n{text}", flush=True)


# --- the sections -------------------------------------------------------------------------------


def _capture(run: Run, stack: Stack, *, with_memory: bool) -> None:
    sizes = [len(json.dumps(call)) for call in tool_calls()]
    _heading(
        f"Capture: POST {HOOK}, {statistics.mean(sizes):.0f} B payloads, 50 sessions, generation on"
    )
    print(
        "  connections       requests/s  web CPU µs/req  database  p50 ms  p95 ms  p99 ms  refused"
        "  worker CPU %  others' cores"
    )
    for what, connections in (("empty", 16), ("hooks", 1), ("hooks", 16), ("hooks", 64)):
        web, worker = Meter(stack.pids()["web"]), Meter(stack.pids()["worker"])
        others, database = Others(stack.pids().values(), run.server), _database_meter(run)
        watch = _watching(stack) if with_memory and (what, connections) == ("hooks", 16) else None
        out = _load(stack, what, connections=connections, seconds=run.effort.seconds)
        used, beside = web.seconds(), worker.seconds()
        served = database.seconds() / out.requests * 1e6 if database else 0.0
        name = f"{connections}" if what == "hooks" else "16 (empty route)"
        p50, p95, p99 = _quantiles(out.latencies)
        print(
            f"  {name:>16} {out.requests / out.seconds:11.0f} {used / out.requests * 1e6:15.0f} "
            f"{served:9.0f} {p50:>7} {p95:>7} {p99:>7} {out.refused:8} "
            f"{beside / out.seconds * 100:13.0f} {others.cores():14.1f}"
        )
        run.tell(f"captures/s, {name}", out.requests / out.seconds)
        run.tell(f"  web CPU µs, {name}", used / out.requests * 1e6)
        if watch:
            watch()
        _drain(stack)


def _batch(run: Run, stack: Stack) -> None:
    _heading("Batches: POST /v1/events/batch, generation on, 2 connections")
    print(
        "  events a batch  events/s  web CPU µs/event  database   p50 ms  p95 ms  refused"
        "  jobs/s meanwhile  others' cores"
    )
    for size in (100, 500):
        web, others = Meter(stack.pids()["web"]), Others(stack.pids().values(), run.server)
        database = _database_meter(run)
        out = _load(stack, "batches", batch=size, connections=2, seconds=run.effort.seconds)
        used, events = web.seconds(), out.requests * size
        settled = (events - stack.jobs(OPEN)) / out.seconds
        served = database.seconds() / events * 1e6 if database else 0.0
        p50, p95, _ = _quantiles(out.latencies)
        print(
            f"  {size:14} {events / out.seconds:9.0f} {used / events * 1e6:15.0f} {served:9.0f} "
            f"{p50:>10} {p95:>7} {out.refused:8} "
            f"{settled:17.0f} {others.cores():14.1f}"
        )
        run.tell(f"batched events/s, of {size}", events / out.seconds)
        run.tell(f"  jobs/s meanwhile, of {size}", settled)
        run.tell(f"  web CPU µs an event, of {size}", used / events * 1e6)
        _drain(stack)


def _drain(stack: Stack) -> None:
    left, started = stack.jobs(OPEN), time.perf_counter()
    stack.wait_worked(600)
    seconds = time.perf_counter() - started
    if left > 100:
        print(
            f"    then {left} jobs of the backlog in {seconds:.1f} s: {left / seconds:.0f} jobs/s"
        )


def _jobs(run: Run, stack: Stack, delay: int, jobs: int) -> None:
    with stack.frozen("worker"):
        _load(stack, "hooks", connections=8, requests=jobs)
        waiting = stack.jobs(OPEN)
        worker, others = Meter(stack.pids()["worker"]), Others(stack.pids().values(), run.server)
        server = _database_meter(run)
        started = time.perf_counter()
    stack.wait_worked(600)
    seconds = time.perf_counter() - started
    served = server.seconds() / waiting * 1e6 if server else 0.0
    if delay == 0:
        _heading("Jobs: one worker process, all enqueued before it starts, 50 sessions")
        print("  provider ms  jobs      s   jobs/s  worker CPU µs/job  database  others' cores")
    print(
        f"  {delay:11} {waiting:5} {seconds:6.2f} {waiting / seconds:8.0f} "
        f"{worker.seconds() / waiting * 1e6:19.0f} {served:9.0f} {others.cores():14.1f}"
    )
    run.tell(f"jobs/s, provider {delay} ms", waiting / seconds)
    run.tell(f"  worker CPU µs, provider {delay} ms", worker.seconds() / waiting * 1e6)


def _latency(run: Run, stack: Stack) -> None:
    call = next(c for c in tool_calls() if c["tool_name"] in ("Edit", "Write", "Bash"))
    answered, searchable = [], []
    with closing(stack.connect()) as database:
        for number in range(run.effort.probes):
            session = {"session_id": f"low-{number % 5}", "tool_use_id": uuid4().hex}
            started = time.perf_counter()
            answer = stack.post(HOOK, {**call, **session})
            answered.append(time.perf_counter() - started)
            _await_completed(database, answer.headers["X-Job-Id"])
            searchable.append(time.perf_counter() - started)
    _heading("From POST to a searchable observation, one at a time (ms)")
    print("               p50     p95     p99")
    for name, values in (("answered", answered), ("searchable", searchable)):
        p50, p95, p99 = _quantiles(values)
        print(f"  {name:<10} {p50:>6} {p95:>7} {p99:>7}")
        run.tell(f"POST to {name}, p50 / p95 ms", f"{p50} / {p95}")


def _await_completed(database: Any, job: str) -> None:
    query = f"SELECT 1 FROM queueing_generationjob WHERE id = '{job}' AND state = 'completed'"
    deadline = time.monotonic() + 30
    while not database.execute(query).fetchone():
        assert time.monotonic() < deadline, "an event was not worked within 30 s"
        time.sleep(0.0005)


def _search(run: Run, stack: Stack) -> None:
    _heading("Search by questions of five to eight words, one at a time (ms)")
    print("  observations     p50     p95     p99")
    written = 0
    for size in (run.effort.observations // 10, run.effort.observations):
        corpus.fill(stack, size - written)
        written = size
        taken = []
        for question in corpus.questions(run.effort.probes):
            started = time.perf_counter()
            stack.search(question)
            taken.append(time.perf_counter() - started)
        p50, p95, p99 = _quantiles(taken)
        print(f"  {size:12} {p50:>7} {p95:>7} {p99:>7}")
        run.tell(f"search among {size}, p50 / p95 ms", f"{p50} / {p95}")


def _memory(stack: Stack, when: str) -> None:
    _heading(f"Memory, {when} (PSS, MB)")
    _print_memory(_sizes(stack))


def _sizes(stack: Stack) -> dict[str, float]:
    up = json.loads((stack.data / "up.json").read_text())["supervisor"]["pid"]
    processes = {"supervisor": up, **stack.pids()}
    return {role: pids.memory(pid) / 1e6 for role, pid in processes.items()}


def _print_memory(sizes: dict[str, float]) -> None:
    each = "  ".join(f"{role} {size:.0f}" for role, size in sizes.items())
    print(f"  {each}  in all {sum(sizes.values()):.0f}")


def _watching(stack: Stack) -> Callable[[], None]:
    """Look at the memory every half second from now on; what is returned stops and prints."""
    worst: dict[str, float] = {}
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.5):
            for role, size in _sizes(stack).items():
                worst[role] = max(size, worst.get(role, 0.0))

    thread = threading.Thread(target=look)
    thread.start()

    def stop() -> None:
        done.set()
        thread.join()
        print("    memory meanwhile, most of each (PSS, MB)")
        _print_memory(worst)

    return stop


def _start(home: Path) -> None:
    taken = []
    for _ in range(3):
        stack = Stack(Path(tempfile.mkdtemp(dir=home)))
        started = time.perf_counter()
        stack.launch()
        until(stack.healthy, 60)
        taken.append(time.perf_counter() - started)
        stack.wait_complete()
        stack.stop()
    _heading("Start on a migrated data directory, until /healthz answers (s)")
    print("  " + "  ".join(f"{seconds:.2f}" for seconds in taken))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
