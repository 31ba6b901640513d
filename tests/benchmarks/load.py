"""A small load generator: raw sockets over epoll, ready-made requests, a process of its own.

It shares the machine with what it measures, so it has to cost little: some 20 µs a request.
"""

import argparse
import json
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import count, cycle
from uuid import uuid4

from tests.stack import HOOK, payloads

SESSIONS = 50
_SIZES = range(1000, 4000)
_CRLF2 = b"\r\n\r\n"


@dataclass
class Outcome:
    """What was measured: all times in seconds, `refused` counts answers that are no 2xx."""

    requests: int = 0
    refused: int = 0
    seconds: float = 0.0
    sizes: int = 0
    latencies: list[float] = field(default_factory=list)


def tool_calls() -> list[dict[str, object]]:
    """The recorded tool calls of usual size: about 2 kB."""
    found = [p for p in payloads() if p["hook_event_name"] == "PostToolUse"]
    return [p for p in found if len(json.dumps(p)) in _SIZES]


def hooks(port: int, key: str) -> Iterator[bytes]:
    """Requests with one hook payload each, over `SESSIONS` sessions; no two are the same event."""
    run = uuid4().hex
    sessions = [f"{run}-{number:04}" for number in range(SESSIONS)]
    wholes = []
    for call in tool_calls():
        rest = {k: v for k, v in call.items() if k not in ("session_id", "tool_use_id")}
        wholes.append(json.dumps(rest)[1:].encode())
    ours = len(_opening(run, sessions[0], 0))
    calls = cycle([(_head("POST", HOOK, port, key, ours + len(whole)), whole) for whole in wholes])
    for number, session, (head, whole) in zip(count(), cycle(sessions), calls, strict=False):
        yield head + _opening(run, session, number) + whole


def _opening(run: str, session: str, number: int) -> bytes:
    # Always of the same length: the rest of the request is made once.
    return f'{{"session_id": "{session}", "tool_use_id": "toolu_{run}_{number:09}", '.encode()


def batches(port: int, key: str, project: str, size: int) -> Iterator[bytes]:
    """Requests with `size` events each, spread over the sessions."""
    run = uuid4().hex
    calls = cycle(tool_calls())
    for first in count(0, size):
        body = json.dumps([
            {"projectId": project, "sourceType": "hook", "eventType": "PostToolUse",
             "occurredAtEpoch": int(time.time() * 1000), "payload": next(calls),
             "sourceEventId": f"{run}-{number}", "contentSessionId": f"{run}-{number % SESSIONS}"}
            for number in range(first, first + size)
        ]).encode()  # fmt: skip
        yield _head("POST", "/v1/events/batch", port, key, len(body)) + body


def events(port: int, key: str, project: str) -> Iterator[bytes]:
    """Requests with one event each, spread over the sessions."""
    for request in batches(port, key, project, 1):
        _, _, body = request.partition(_CRLF2)
        one = body[1:-1]
        yield _head("POST", "/v1/events", port, key, len(one)) + one


def starts(port: int, key: str, project: str) -> Iterator[bytes]:
    """Requests that start a session each, as a hook client does at each prompt."""
    run = uuid4().hex
    for number in count():
        name = f"{run}-{number % SESSIONS}"
        yield post(port, key, "/v1/sessions/start", {
            "projectId": project, "externalSessionId": name, "contentSessionId": name,
            "platformSource": "claude", "metadata": {"prompt": "Please go on"},
        })  # fmt: skip


def empty(port: int, key: str) -> Iterator[bytes]:
    """Requests of the route that does nothing."""
    return gets(port, key, "/healthz")


def gets(port: int, key: str, path: str) -> Iterator[bytes]:
    """Requests that read one address."""
    return cycle([_head("GET", path, port, key, 0)])


def post(port: int, key: str, path: str, body: object) -> bytes:
    """A request with this body."""
    content = json.dumps(body).encode()
    return _head("POST", path, port, key, len(content)) + content


def _head(method: str, path: str, port: int, key: str, length: int) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        f"Content-Length: {length}",
        "\r\n",
    ]
    return "\r\n".join(lines).encode()


class _Wire:
    """One connection with one request on its way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._left = 0
        self._answer = b""
        self.sent_at = 0.0

    def send(self, request: bytes) -> None:
        self._answer, self.sent_at = b"", time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> int:
        """The status once the whole answer is here, else 0."""
        chunk = self.socket.recv(1 << 20)
        if not chunk:
            raise ConnectionError("the server closed the connection")
        self._answer += chunk
        end = self._answer.find(_CRLF2)
        if end < 0:
            return 0
        head = self._answer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        return int(head[9:12]) if len(self._answer) >= end + 4 + length else 0


def drive(
    port: int, requests: Iterator[bytes], connections: int, more: Callable[[int], bool]
) -> Outcome:
    """Keep every connection busy with one request after the other for as long as `more` says."""
    outcome, waiting = Outcome(), selectors.DefaultSelector()
    started = time.perf_counter()
    for _ in range(connections):
        wire = _Wire(port)
        waiting.register(wire.socket, selectors.EVENT_READ, wire)
    sent, busy = 0, 0
    idle = deque(key.data for key in waiting.get_map().values())
    while True:
        while idle and more(sent):
            wire = idle.popleft()
            request = next(requests)
            wire.send(request)
            sent, busy, outcome.sizes = sent + 1, busy + 1, outcome.sizes + len(request)
        if not busy:
            break
        for key, _ in waiting.select():
            if status := key.data.receive():
                outcome.latencies.append(time.perf_counter() - key.data.sent_at)
                outcome.refused += not 200 <= status < 300
                busy -= 1
                idle.append(key.data)
    outcome.requests, outcome.seconds = sent, time.perf_counter() - started
    return outcome


def main() -> None:
    """Print an Outcome as JSON. The first line that is printed says that it has begun."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "what", choices=("hooks", "events", "batches", "starts", "empty", "get", "post")
    )
    parser.add_argument("--path", default="/healthz", help="of get and post")
    parser.add_argument("--body", type=json.loads, default={}, help="of post")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--project", default="")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--requests", type=int, default=10**9)
    given = parser.parse_args()
    requests = {
        "hooks": lambda: hooks(given.port, given.key),
        "batches": lambda: batches(given.port, given.key, given.project, given.batch),
        "events": lambda: events(given.port, given.key, given.project),
        "starts": lambda: starts(given.port, given.key, given.project),
        "empty": lambda: empty(given.port, given.key),
        "get": lambda: gets(given.port, given.key, given.path),
        "post": lambda: cycle([post(given.port, given.key, given.path, given.body)]),
    }[given.what]()
    until = time.perf_counter() + given.seconds
    outcome = drive(
        given.port, requests, given.connections,
        lambda sent: sent < given.requests and time.perf_counter() < until,
    )  # fmt: skip
    json.dump(asdict(outcome), sys.stdout)


if __name__ == "__main__":
    main()
