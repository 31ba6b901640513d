"""What each hot route costs beside the empty one, on this machine, in one run. Nothing is asserted.

    python -m tests.benchmarks.routes [--database sqlite|postgresql] [--seconds 2] [ROUTE ...]

p50 and p95 are wall times, and worth as much as the machine was free. What a request costs is the
processor time of the web process (and of PostgreSQL). The worker stands still meanwhile. A capture
is to cost at most 2.5 times the empty route, and the database's share besides: what the web's
threads do within its driver, commits included, and PostgreSQL's own. To tell it each capture is
driven once more, with a meter at the driver (`metering`), right after an empty route of its own;
of several such rounds the least of each is taken, that others' load was in least.
"""

import argparse
import json
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

from tests.benchmarks import corpus
from tests.benchmarks.load import Outcome
from tests.benchmarks.run import DATABASES, Family, Meter, Others, _load, _quantiles, database
from tests.stack import Stack

CONNECTIONS = (1, 16, 64)
MOST = 2.5
CAPTURES = {"capture": "hooks", "event": "events"}
ROUNDS = 5
METERING = Path(__file__).parent / "metering"
# Numbers of eight bytes: whether to measure, and one for each thread of the web.
SLOTS = 256
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
    with database(given.database) as server, _running(given.database) as stack:
        corpus.fill(stack, OBSERVATIONS)
        with stack.frozen("worker") if given.database == "postgresql" else _idle(stack):
            routes = [one for one in _routes(stack) if one.name in {"empty", *given.routes}
                      or not given.routes]  # fmt: skip
            _table(stack, routes, server, given.seconds)
            captures = [one for one in routes if one.name in CAPTURES]
            _verdict(stack, captures, given.seconds / 2)


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
def _running(vendor: str) -> Iterator[Stack]:
    home = Path(tempfile.mkdtemp(prefix="claudemem-routes-"))
    with ExitStack() as ends:
        ends.callback(rmtree, home, ignore_errors=True)
        (home / "meter").write_bytes(bytes(8 * SLOTS))
        meter = {"METER": str(home / "meter"), "METERED": vendor, "PYTHONPATH": str(METERING)}
        stack = Stack(home, meter)
        ends.callback(stack.stop)
        stack.start()
        stack.make_key("bench")
        yield stack


@contextmanager
def _idle(stack: Stack) -> Iterator[None]:
    """A worker that has nothing to do: one that stood still could hold SQLite's lock."""
    stack.cli("jobs", "pause", "team:default", "--reason", "a benchmark")
    yield


def _table(stack: Stack, routes: list[Route], server: int | None, seconds: float) -> None:
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


def _verdict(stack: Stack, captures: list[Route], seconds: float) -> None:
    print(f"\nWithout the driver's part a capture may cost {MOST} times the empty route:")
    empty = Route("empty", "empty")
    for route in captures:
        for connections in CONNECTIONS:
            rounds = [
                (_web(stack, empty, connections, seconds), _web(stack, route, connections, seconds),
                 *_metered(stack, route, connections, seconds))
                for _ in range(ROUNDS)
            ]  # fmt: skip
            nothing, whole, metered, driver = map(min, zip(*rounds, strict=True))
            ratio = (whole - driver) / nothing
            said = "as promised" if ratio <= MOST else "MORE than promised"
            print(
                f"  {route.name:10} {connections:3} connections  {ratio:5.2f}  {said}; empty"
                f" {nothing * 1e6:.0f} µs, whole {whole * 1e6:.0f} ({metered * 1e6:.0f} with the"
                f" meter), driver {driver * 1e6:.0f}",
                flush=True,
            )


def _web(stack: Stack, route: Route, connections: int, seconds: float) -> float:
    """Processor seconds of the web a request."""
    web = Meter(stack.pids()["web"])
    out = _load(stack, route.what, connections=connections, seconds=seconds, **route.options)  # type: ignore[arg-type]
    return web.seconds() / out.requests


def _metered(stack: Stack, route: Route, connections: int, seconds: float) -> tuple[float, float]:
    """The same with the meter on, and what of it is the driver's."""
    with (stack.home / "meter").open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        numbers = memoryview(mapped).cast("d")
        before, numbers[0] = sum(numbers[1:]), 1.0
        web = Meter(stack.pids()["web"])
        out = _load(stack, route.what, connections=connections, seconds=seconds, **route.options)  # type: ignore[arg-type]
        whole, numbers[0] = web.seconds(), 0.0
        driver = sum(numbers[1:]) - before
        numbers.release()
    return whole / out.requests, driver / out.requests


if __name__ == "__main__":
    main()
