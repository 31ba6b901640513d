"""What those cost who listen to the stream and hear nothing, and how soon they hear something.

    python -m tests.benchmarks.listeners [--listeners 1000] [--seconds 30] [--database postgresql]

Nothing is asserted, but that everybody hears everything, once.
"""

import argparse
import os
import resource
import selectors
import socket
import tempfile
import time
from pathlib import Path
from shutil import rmtree

import psutil

from tests.benchmarks.run import Meter, database
from tests.stack import DATABASE, Stack

EVENTS = 20


def main() -> None:
    """Measure on each of the databases in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listeners", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--database", choices=("postgresql", "sqlite"), action="append")
    given = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(f"{os.cpu_count()} shared cores, load {os.getloadavg()[0]:.1f}")
    for name in given.database or ("postgresql", "sqlite"):
        home = Path(tempfile.mkdtemp(prefix="claudemem-listeners-"))
        with database(name):
            stack = Stack(home, engine=DATABASE)
            try:
                stack.start()
                stack.make_key()
                _measure(stack, name, given)
            finally:
                stack.stop()
                rmtree(home, ignore_errors=True)


class Crowd:
    """Connections that listen; `told` counts what each was sent of a sort."""

    def __init__(self, stack: Stack, count: int) -> None:
        self._waiting = selectors.DefaultSelector()
        self._read = dict.fromkeys(range(count), b"")
        head = (f"GET /v1/stream?types=event HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"X-Api-Key: {stack.key}\r\n\r\n").encode()  # fmt: skip
        self._connections = []
        for number in range(count):
            connection = socket.create_connection(("127.0.0.1", stack.port))
            connection.sendall(head)
            connection.setblocking(False)
            self._waiting.register(connection, selectors.EVENT_READ, number)
            self._connections.append(connection)

    def hear(self, sort: str, times: int) -> None:
        """Read until everybody was told of so many items of this sort, and of no more."""
        mark, missing = f"event: {sort}\n".encode(), set(self._read)
        until = time.monotonic() + 120
        while missing:
            assert time.monotonic() < until, f"{len(missing)} did not hear of it"
            for key, _ in self._waiting.select(1):
                self._read[key.data] += key.fileobj.recv(65536)  # type: ignore[union-attr]
                if self._read[key.data].count(mark) >= times:
                    missing.discard(key.data)
        assert all(read.count(mark) == times for read in self._read.values())

    def close(self) -> None:
        """Hang up."""
        for connection in self._connections:
            connection.close()


def _measure(stack: Stack, name: str, given: argparse.Namespace) -> None:
    web = psutil.Process(stack.pids()["web"])
    first = Crowd(stack, 1)
    first.hear("ready", 1)
    alone, threads = web.memory_full_info().uss, web.num_threads()
    first.close()
    began, used = time.monotonic(), Meter(web.pid)
    crowd = Crowd(stack, given.listeners)
    crowd.hear("ready", 1)
    joined, joining = time.monotonic() - began, used.seconds()
    grown = web.memory_full_info().uss - alone
    used = Meter(web.pid)
    time.sleep(given.seconds)
    idle = used.seconds()
    took = []
    for number in range(1, EVENTS + 1):
        began = time.monotonic()
        event = {"projectId": stack.project_id, "sourceType": "api", "eventType": "note",
                 "occurredAtEpoch": number, "payload": {"n": number}}  # fmt: skip
        assert stack.post("/v1/events", event).status_code == 201
        crowd.hear("event", number)
        took.append(time.monotonic() - began)
    took.sort()
    print(f"""
{name}: {given.listeners} listeners in one web process
  {joined:8.1f} s until all were told that they listen, {joining:.1f} s of its processor time
  {grown / given.listeners / 1e3:8.1f} kB of memory each ({grown / 1e6:.0f} MB in all)
  {web.num_threads() - threads:8} threads more than with one listener
  {idle / given.seconds * 100:8.1f} % of a core while nothing happens
  {took[len(took) // 2]:8.2f} s from a capture to the last of them ({took[-1]:.2f} at most)""")
    crowd.close()


if __name__ == "__main__":
    main()
