"""How many calls of a slow model one worker process keeps in flight, and what that costs.

    python -m tests.benchmarks.calls [--calls 4000] [--threads 200] [--database postgresql]

Every job has a session, and so a lane and a call, of its own. Nothing is asserted.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from shutil import rmtree
from uuid import uuid4

import httpx

from queueing import pids
from queueing.direct import moment
from tests.benchmarks.load import tool_calls
from tests.benchmarks.run import Meter, Others, database
from tests.stack import ROOT, Stack, environment

AT_ONCE = 500  # events a request
CONNECTIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""


@dataclass
class Most:
    """The most that was seen of the worker's memory (bytes) and of the database's connections."""

    pss: int = 0
    rss: int = 0
    connections: int = 0


def main() -> None:
    """Measure on each of the databases in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--threads", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=2.0, help="that each call takes")
    parser.add_argument("--database", choices=("postgresql", "sqlite"), action="append")
    given = parser.parse_args()
    cores, load = os.cpu_count(), os.getloadavg()[0]
    print(f"{cores} shared cores, load {load:.1f}; calls of {given.seconds:g} s, {given.threads} "
          "threads in one worker process")  # fmt: skip
    for name in given.database or ("postgresql", "sqlite"):
        with (
            database(name) as server,
            _slow_model(given.seconds) as url,
            _server(url, given) as stack,
        ):
            _measure(stack, url, name, server, given)


@contextmanager
def _slow_model(seconds: float) -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.slow_model", f"--seconds={seconds}"],
        cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


@contextmanager
def _server(url: str, given: argparse.Namespace) -> Iterator[Stack]:
    home = Path(tempfile.mkdtemp(prefix="claudemem-calls-"))
    stack = Stack(home, {
        "CLAUDE_MEM_SERVER_PROVIDER": "openai-compatible",
        "CLAUDE_MEM_OPENROUTER_BASE_URL": url,
        "CLAUDE_MEM_SERVER_MODEL": "slow",
        "CLAUDE_MEM_WORKER_THREADS": str(given.threads),
    })  # fmt: skip
    try:
        stack.start()
        stack.make_key("bench")
        yield stack
    finally:
        stack.stop()
        rmtree(home, ignore_errors=True)


def _measure(
    stack: Stack, url: str, name: str, server: int | None, given: argparse.Namespace
) -> None:
    worker = stack.pids()["worker"]
    with stack.frozen("worker"):
        _enqueue(stack, given.calls)
        used, others = Meter(worker), Others(stack.pids().values(), server)
    with _watching(stack, worker) as most:
        stack.wait_worked(600)
    cpu, busy = used.seconds(), others.cores()
    settled = _settled_at(stack)
    whole, steady = _rates(settled, given)
    model = httpx.get(f"{url}/figures").json()
    print(f"""
{name}: {len(settled)} settled of {given.calls}, {stack.jobs("attempts <> 1")} of them tried again
  {whole:8.1f} settled a second, from the first claim to the last settlement
  {steady:8.1f} settled a second, after the first {given.threads}
  {model["most"]:8} calls in flight at most, of {model["calls"]}
  {most.pss / 1e6:8.0f} MB PSS of the worker at most ({most.rss / 1e6:.0f} MB RSS)
  {most.connections:8} PostgreSQL connections of all processes at most
  {cpu / given.calls * 1e6:8.0f} µs of the worker's processor time a call
  {busy:8.1f} cores busy with something else""")


def _enqueue(stack: Stack, calls: int) -> None:
    run, call = uuid4().hex, tool_calls()[0]
    for first in range(0, calls, AT_ONCE):
        events = [
            {"projectId": stack.project_id, "sourceType": "hook", "eventType": "PostToolUse",
             "occurredAtEpoch": int(time.time() * 1000), "payload": call,
             "contentSessionId": f"{run}-{number}"}
            for number in range(first, min(calls, first + AT_ONCE))
        ]  # fmt: skip
        assert stack.post("/v1/events/batch", events).status_code == 201


@contextmanager
def _watching(stack: Stack, worker: int) -> Iterator[Most]:
    most, done = Most(), threading.Event()

    def look() -> None:
        with closing(stack.connect()) as connection:
            while not done.wait(0.5):
                most.pss = max(most.pss, pids.memory(worker))
                most.rss = max(most.rss, _rss(worker))
                if stack.on_postgresql:
                    (found,) = connection.execute(CONNECTIONS).fetchone()
                    most.connections = max(most.connections, found)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        done.set()
        thread.join()


def _rss(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _settled_at(stack: Stack) -> list[datetime]:
    rows = stack.sql("SELECT completed_at FROM queueing_generationjob WHERE state = 'completed'")
    return sorted(moment(at) for (at,) in rows)


def _rates(settled: Sequence[datetime], given: argparse.Namespace) -> tuple[float, float]:
    """Settlements a second: of all, and once every thread has had its first."""
    # The first call began so long before the first settlement.
    whole = (settled[-1] - settled[0]).total_seconds() + given.seconds
    steady = (settled[-1] - settled[given.threads - 1]).total_seconds()
    return len(settled) / whole, (len(settled) - given.threads) / steady


if __name__ == "__main__":
    main()
