"""What each hot route costs beside the empty one, on this machine, in one run. Nothing is asserted.

    python -m tests.benchmarks.routes [--database sqlite|postgresql] [--seconds 2] [ROUTE ...]

p50 and p95 are wall times, and worth as much as the machine was free. What a request costs is the
processor time of the web process (and of PostgreSQL). The worker stands still meanwhile. A capture
is to cost at most 2.5 times the empty route, and the database's share besides, which
`tests.benchmarks.statements` measures by itself.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

from tests.benchmarks import corpus
from tests.benchmarks.load import Outcome
from tests.benchmarks.run import DATABASES, Family, Meter, Others, _load, _quantiles, database
from tests.stack import ROOT, Stack, environment

CONNECTIONS = (1, 16, 64)
MOST = 2.5
CAPTURES = {"capture": "hooks", "event": "events"}
# The database's share is measured as often as this; the best says what it is without others' load.
SHARES = 3
SHARE_CAPTURES = 1000
# Of the web: as many captures share commits under load.
THREADS = 8
OBSERVATIONS = 2000
BATCH = 100


@dataclass(frozen=True, slots=True)
class Route:
    """How a route is driven: what the load generator is asked for."""

    name: str
    what: str
    options: dict[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor seconds a request: of the web, and of PostgreSQL."""

    web: float
    server: float


def main() -> None:
    """Measure the routes that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("routes", nargs="*", metavar="ROUTE")
    parser.add_argument("--database", choices=DATABASES, default="sqlite")
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} shared cores, load {load:.1f}; {given.database}, private Valkey")
    with database(given.database) as server, _running() as stack:
        corpus.fill(stack, OBSERVATIONS)
        with stack.frozen("worker") if given.database == "postgresql" else _idle(stack):
            routes = [one for one in _routes(stack) if one.name in {"empty", *given.routes}
                      or not given.routes]  # fmt: skip
            costs = _table(stack, routes, server, given.seconds)
        shares = {
            (name, threads): _share(stack, what, threads)
            for name, what in CAPTURES.items() if (name, 1) in costs for threads in (1, THREADS)
        }  # fmt: skip
        _verdict(costs, shares)


def _routes(stack: Stack) -> Iterator[Route]:
    question = {"projectId": stack.project_id, "query": "how are retries bounded", "limit": 10}
    body: dict[str, str | float] = {"body": json.dumps(question)}
    (observation,) = (row["id"] for row in stack.search(question["query"], limit=1))  # type: ignore[arg-type]
    yield Route("empty", "empty")
    yield Route("capture", "hooks")
    yield Route("event", "events")
    yield Route("batch of 100", "batches", {"batch": BATCH})
    yield Route("session start", "starts")
    yield Route("search", "post", {"path": "/v1/search", **body})
    yield Route("context", "post", {"path": "/v1/context", **body})
    yield Route("jobs list", "get", {"path": "/v1/jobs?limit=50"})
    yield Route("observation", "get", {"path": f"/v1/observations/{observation}"})
    yield Route("observations list", "get", {"path": "/v1/observations?limit=50"})
    yield Route("mcp search", "post", {"path": "/v1/mcp", "body": json.dumps({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "search", "arguments": question},
    })})  # fmt: skip


@contextmanager
def _running() -> Iterator[Stack]:
    home = Path(tempfile.mkdtemp(prefix="claudemem-routes-"))
    with ExitStack() as ends:
        ends.callback(rmtree, home, ignore_errors=True)
        stack = Stack(home)
        ends.callback(stack.stop)
        stack.start()
        stack.make_key("bench")
        yield stack


@contextmanager
def _idle(stack: Stack) -> Iterator[None]:
    """A worker that has nothing to do: one that stood still could hold SQLite's lock."""
    stack.cli("jobs", "pause", "team:default", "--reason", "a benchmark")
    yield


def _table(
    stack: Stack, routes: list[Route], server: int | None, seconds: float
) -> dict[tuple[str, int], Cost]:
    print("\n  route              connections  requests/s   p50 ms   p95 ms  web CPU µs   × empty"
          "  database µs  refused  others' cores")  # fmt: skip
    costs: dict[tuple[str, int], Cost] = {}
    for route in routes:
        for connections in CONNECTIONS:
            cost = _measured(stack, route, connections, server, seconds)
            if cost is None:
                print(f"  {route.name:18} is not there")
                break
            out, costs[route.name, connections], others = cost
            _tell(route, connections, out, costs, others)
    return costs


def _measured(
    stack: Stack, route: Route, connections: int, server: int | None, seconds: float
) -> tuple[Outcome, Cost, float] | None:
    _load(stack, route.what, connections=connections, requests=50, **route.options)  # type: ignore[arg-type]
    web, postgres = Meter(stack.pids()["web"]), Family(server) if server else None
    others = Others(stack.pids().values(), server)
    out = _load(stack, route.what, connections=connections, seconds=seconds, **route.options)  # type: ignore[arg-type]
    if out.refused == out.requests:
        return None
    served = postgres.seconds() / out.requests if postgres else 0.0
    return out, Cost(web.seconds() / out.requests, served), others.cores()


def _tell(
    route: Route, connections: int, out: Outcome, costs: dict[tuple[str, int], Cost], others: float
) -> None:
    cost, empty = costs[route.name, connections], costs["empty", connections]
    p50, p95, _ = _quantiles(out.latencies)
    print(
        f"  {route.name:18} {connections:11} {out.requests / out.seconds:11.0f} {p50:>8} {p95:>8}"
        f" {cost.web * 1e6:11.0f} {cost.web / empty.web:9.1f} {cost.server * 1e6:12.0f}"
        f" {out.refused:8} {others:14.1f}",
        flush=True,
    )


def _share(stack: Stack, what: str, threads: int) -> float:
    """Processor seconds that the statements of a capture take in the process that runs them."""
    settings = {**stack.settings, "CLAUDE_MEM_DATA_DIR": str(stack.data)}
    found = []
    for _ in range(SHARES):
        said = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.statements",
             f"--captures={SHARE_CAPTURES}", f"--threads={threads}", f"--what={what}"],
            cwd=ROOT, capture_output=True, check=True, text=True,
            env=environment({**settings, "DJANGO_SETTINGS_MODULE": "claudemem.settings"}),
        ).stdout  # fmt: skip
        found.append(float(json.loads(said)["share"]))
    return min(found)


def _verdict(costs: dict[tuple[str, int], Cost], shares: dict[tuple[str, int], float]) -> None:
    print(f"\nWithout its statements a capture may cost {MOST} times the empty route:")
    for (name, connections), cost in costs.items():
        if name in CAPTURES:
            share = shares[name, 1 if connections == 1 else THREADS]
            ratio = (cost.web - share) / costs["empty", connections].web
            said = "as promised" if ratio <= MOST else "MORE than promised"
            print(f"  {name:10} {connections:3} connections  {ratio:5.2f}  {said};"
                  f" statements take {share * 1e6:.0f} µs of the web")  # fmt: skip


if __name__ == "__main__":
    main()
