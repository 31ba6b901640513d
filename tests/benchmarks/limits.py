"""What limits and metering cost a capture: two webs over one database, in turns.

    python -m tests.benchmarks.limits [--requests 300] [--rounds 6] [--database postgresql]

One web has no limits, the other has all of them. Nothing is asserted.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from tests.benchmarks.run import Family, Meter, Others, database
from tests.postgres import database_of
from tests.stack import ROOT, environment, free_port
from tests.waiting import until

ALL = {
    "CLAUDE_MEM_RATE_LIMIT_PER_MIN": "1000000",
    "CLAUDE_MEM_MONTHLY_REQUEST_CAP": "1000000000",
    "CLAUDE_MEM_MONTHLY_TOKEN_CAP": "1000000000",
    "CLAUDE_MEM_USAGE_METERING": "1",
}
WEBS: dict[str, dict[str, str]] = {"no limits": {}, "all of them": ALL}


def main() -> None:
    """Measure on each of the databases in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--connections", type=int, action="append")
    parser.add_argument("--database", choices=("postgresql", "sqlite"), action="append")
    given = parser.parse_args()
    print(f"{os.cpu_count()} shared cores, load {os.getloadavg()[0]:.1f}; microseconds a capture")
    for name in given.database or ("postgresql", "sqlite"):
        with (
            database(name) as server,
            tempfile.TemporaryDirectory(prefix="claudemem-limits-") as home,
        ):
            for connections in given.connections or (1, 16):
                _measure(name, Path(home), server, connections, given)


def _measure(
    name: str, home: Path, server: int | None, connections: int, given: argparse.Namespace
) -> None:
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with ExitStack() as running:
        key = _key(home)
        webs = {who: running.enter_context(_web(home, WEBS[who])) for who in WEBS}
        for port, _ in webs.values():
            _load(port, key, connections, 100)
        others = Others([pid for _, pid in webs.values()], server)
        for _ in range(given.rounds):
            for who, (port, pid) in webs.items():
                web, store = Meter(pid), Family(server) if server else None
                latencies = _load(port, key, connections, given.requests)
                found[who]["web"].append(web.seconds() / given.requests)
                if store:
                    found[who]["database"].append(store.seconds() / given.requests)
                found[who]["p50"].append(statistics.median(latencies))
        busy = f"something else kept {others.cores():.1f} cores busy"
        print(f"{name}, {connections} connections; {busy}")
    for who, figures in found.items():
        told = (f"{what} {statistics.median(each) * 1e6:.0f}" for what, each in figures.items())
        print(f"  {who:<12} {', '.join(told)}")


def _settings(home: Path, more: dict[str, str]) -> dict[str, str]:
    ours = {"CLAUDE_MEM_DATA_DIR": str(home), "CLAUDE_MEM_QUEUE_ENGINE": "database"}
    return environment({**database_of(home), **ours, **more})


def _key(home: Path) -> str:
    for arguments in (["migrate"], ["api-key", "create", "--scope", "*"]):
        told = subprocess.run(
            [sys.executable, "-m", "claudemem", *arguments],
            env=_settings(home, {}), cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    return str(json.loads(told)["key"])


@contextmanager
def _web(home: Path, limits: dict[str, str]) -> Iterator[tuple[int, int]]:
    """The port and the process of a web with these limits."""
    port = free_port()
    settings = _settings(home, {**limits, "CLAUDE_MEM_SERVER_PORT": str(port)})
    command = [sys.executable, "-m", "claudemem", "web"]
    with subprocess.Popen(command, env=settings, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: _answers(f"http://127.0.0.1:{port}/healthz"))
            yield port, process.pid
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _load(port: int, key: str, connections: int, requests: int) -> list[float]:
    """The latencies of so many captures."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.load", "hooks", f"--port={port}", f"--key={key}",
         f"--connections={connections}", f"--requests={requests}"],
        cwd=ROOT, env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    outcome = json.loads(done.stdout)
    assert not outcome["refused"]
    latencies: list[float] = outcome["latencies"]
    return latencies


if __name__ == "__main__":
    main()
