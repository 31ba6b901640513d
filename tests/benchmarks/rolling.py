"""Rolling restarts under steady load, and the proof that no hook was refused meanwhile.

    python -m tests.benchmarks.rolling --rate 200 --rolls 3 --database postgresql --engine celery

A real `claudemem up`, and clients that send recorded hook payloads over HTTP at a steady rate: half
of them with a connection for each capture, as the hook client does, half over connections that
they keep as long as the server does. Nothing is sent a second time, whatever comes of it. All the
while `claudemem restart --rolling` replaces web, worker and beat, again and again. Beside them
somebody listens to the stream and comes back with its cursor, and somebody calls a tool over MCP.
Exits with 1 if a capture failed, or was lost, stored twice or out of order, if a call of the tool
failed, or the listener missed an event or heard of one twice.
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import count, cycle
from pathlib import Path
from shutil import rmtree
from typing import Any
from uuid import uuid4

from tests import proofs
from tests.benchmarks.audience import Caller, Listener
from tests.benchmarks.load import tool_calls
from tests.benchmarks.rows import Postgresql
from tests.stack import CELERY, ENGINES, HOOK, Stack

CLIENTS = 16
SESSIONS_EACH = 3
PATIENCE = 30.0
# Of steady load before the first roll, between two, and after the last.
CALM_SECONDS = 1.0


@dataclass
class Client:
    """Sends captures at its own pace, one after the other, and notes what came of each."""

    name: str
    stack: Stack
    keeps: bool
    every: float
    accepted: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def run(self, enough: threading.Event) -> None:
        """Send until there was enough. What is late is made up for, so the rate stays."""
        connection = self._connection()
        due = time.monotonic()
        for payload in self._payloads():
            if enough.wait(max(0.0, due - time.monotonic())):
                break
            due += self.every
            if not self.keeps:
                connection.close()
                connection = self._connection()
            self._send(connection, payload)
        connection.close()

    def _connection(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.stack.port, timeout=PATIENCE)

    def _payloads(self) -> Iterator[bytes]:
        sessions = cycle([f"{self.name}-{number}" for number in range(SESSIONS_EACH)])
        for number, session, call in zip(count(), sessions, cycle(tool_calls()), strict=False):
            yield json.dumps(
                {**call, "session_id": session, "tool_use_id": f"{self.name}-{number}"}
            ).encode()

    def _send(self, connection: HTTPConnection, payload: bytes) -> None:
        headers = {
            "Authorization": f"Bearer {self.stack.key}",
            "Content-Type": "application/json",
        }
        began = time.monotonic()
        try:
            connection.request("POST", HOOK, payload, headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, HTTPException) as error:
            self.failures.append(f"{type(error).__name__}: {error}")
            connection.close()
        else:
            if answer.status == 200:
                self.accepted.append(answer.headers["X-Event-Id"])
            else:
                self.failures.append(f"{answer.status}: {body[:200]!r}")
        self.seconds.append(time.monotonic() - began)


def clients(stack: Stack, rate: float) -> list[Client]:
    """Those that send `rate` captures a second together."""
    run = uuid4().hex[:8]
    every = CLIENTS / rate
    return [Client(f"{run}-{number}", stack, number % 2 == 0, every) for number in range(CLIENTS)]


def roll_under_load(stack: Stack, senders: list[Client], rolls: int) -> list[float]:
    """Send, and roll so often meanwhile; how long (s) each took."""
    enough = threading.Event()
    threads = [threading.Thread(target=each.run, args=(enough,)) for each in senders]
    for thread in threads:
        thread.start()
    took = []
    try:
        for _ in range(rolls):
            time.sleep(CALM_SECONDS)
            began, before = time.monotonic(), set(stack.pids().items())
            stack.cli("restart", "--rolling")
            took.append(time.monotonic() - began)
            kept = {name for name, _ in before & set(stack.pids().items())}
            assert kept <= {"store"}, f"not replaced: {kept}"
        time.sleep(CALM_SECONDS)
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    return took


@contextmanager
def watched(stack: Stack, senders: list[Client]) -> Iterator[list[str]]:
    """Listen and call a tool within the block; at its end the list has what was wrong."""
    wrong: list[str] = []
    listener, caller = Listener(stack), Caller(stack)
    listener.start()
    caller.start()
    yield wrong
    caller.end()
    wrong += caller.failures
    wrong += listener.hear_all([event for each in senders for event in each.accepted])
    print(f"  a listener came back {listener.turns - 1} times; a tool was called {caller.calls} "
          f"times; {len(wrong)} faults of these")  # fmt: skip


def faults(stack: Stack, senders: list[Client]) -> dict[str, list[str]]:
    """What went wrong, by its kind, once all is settled."""
    stack.wait_settled(120)
    accepted = Counter(event for each in senders for event in each.accepted)
    stored = {str(id) for (id,) in stack.sql("SELECT id FROM observations_event")}
    sent = {f"{each.name}-{number}" for each in senders for number in range(len(each.seconds))}
    with closing(stack.connect()) as database:
        found = {
            "failed": [failure for each in senders for failure in each.failures],
            "lost": [*_missing(accepted, stored), *proofs.lost(database)],
            "repeated": [
                *(f"{event} was accepted {times} times" for event, times in accepted.items()
                  if times > 1),
                *proofs.twice(database),
            ],
            "out of order": proofs.out_of_order(database) + proofs.overlaps(database),
        }  # fmt: skip
    if (extra := len(stored) - len(sent)) > 0:
        found["repeated"].append(f"{extra} more events are stored than were sent")
    return found


def _missing(accepted: Mapping[str, int], stored: set[str]) -> list[str]:
    plain = {event.replace("-", "") for event in stored}
    return [f"{event} is not stored" for event in accepted if event.replace("-", "") not in plain]


def report(stack: Stack, senders: list[Client], took: list[float]) -> list[str]:
    """Print what was measured; everything that is wrong."""
    seconds = sorted(second for each in senders for second in each.seconds)
    found = faults(stack, senders)
    rolled = ", ".join(f"{each:.1f}" for each in took)
    print(f"{len(took)} rolling restarts, in {rolled} s")
    print(f"  captures sent  {len(seconds):>7}")
    for name, wrong in found.items():
        print(f"  {name:<14} {len(wrong):>7}")
    print(
        f"  slowest        {seconds[-1] * 1000:>7.0f} ms"
        f" (median {statistics.median(seconds) * 1000:.1f} ms,"
        f" 99 % within {seconds[int(len(seconds) * 0.99)] * 1000:.0f} ms)"
    )
    if given_back := stack.count("queueing_generationjobevent", "event = 'released'"):
        print(f"  given back     {given_back:>7} jobs, by workers that were stopped")
    return [f"{name}: {each}" for name, wrong in found.items() for each in wrong]


def measure(settings: Mapping[str, str], engine: str, rate: float, rolls: int) -> list[str]:
    """Run it all in a scratch directory; everything that is wrong."""
    home = Path(tempfile.mkdtemp(prefix="claudemem-rolling-"))
    with ExitStack() as ends:
        ends.callback(rmtree, home, ignore_errors=True)
        stack = Stack(home, settings, engine=engine)
        ends.callback(stack.stop)
        stack.start()
        stack.make_key()
        senders = clients(stack, rate)
        with watched(stack, senders) as wrong:
            took = roll_under_load(stack, senders, rolls)
        return [*report(stack, senders, took), *wrong]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rate", type=float, default=200.0, help="captures a second, in all")
    parser.add_argument("--rolls", type=int, default=3, help="rolling restarts, one after another")
    parser.add_argument("--engine", choices=ENGINES, default=CELERY)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    given = parser.parse_args()
    with ExitStack() as ends:
        settings: dict[str, Any] = {}
        if given.database == "postgresql":
            server = Postgresql()
            ends.callback(server.end)
            settings = server.settings
        print(f"{given.database}, {given.engine}, {given.rate:g} captures/s")
        wrong = measure(settings, given.engine, given.rate, given.rolls)
    for each in wrong[:20]:
        print(f"  {each}")
    print("the promise was broken" if wrong else "the promise was kept")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
