"""The hook client as an agent runs it, and servers that answer it as they are told."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from claudemem.hook import command, heavy, spool
from claudemem.hook.spool import Record
from tests.stack import environment
from tests.waiting import until

# Of a process that ends at its deadline, on a machine with ten times as much to do as it can.
CAPTURE, CONTEXT = 1.0 + 4.0, 2.0 + 4.0
AWAY = "http://127.0.0.1:1"
# The client, with as long as a busy machine may take for what an idle one does in its second.
_PATIENT = """
import os, sys
door, sys.argv = sys.argv[1], sys.argv[1:]
sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(door))))
from claudemem.hook import deadline
deadline.CAPTURE = deadline.CONTEXT = 50.0
exec(compile(open(door).read(), door, "exec"), {"__name__": "__main__", "__file__": door})
"""


def words(folder: Path, agent: str = "claude-code", *, hurried: bool = False) -> list[str]:
    """The command for hooks of `agent`, which gives them all the time that they need.

    On a busy machine who has a second alone may keep a payload for later that could be sent, or
    lose one that is long: tests about that second run the client as it is, `hurried`.
    """
    python, isolated, siteless, *rest = command.words(agent, str(folder))
    return [python, isolated, siteless, *([] if hurried else ["-c", _PATIENT]), *rest]


def tool_call(number: int, session: str = "s-1", **more: Any) -> dict[str, Any]:
    """A payload of its own."""
    return {
        "hook_event_name": "PostToolUse", "session_id": session, "cwd": "/home/dev/shop",
        "tool_name": "Bash", "tool_use_id": f"{session}-{number}",
        "tool_input": {"command": f"make step-{number}"}, "tool_response": {"stdout": "done"},
        **more,
    }  # fmt: skip


def prompt(session: str = "s-1", text: str = "go on") -> dict[str, Any]:
    """A payload whose answer the agent waits for."""
    return {
        "hook_event_name": "UserPromptSubmit", "session_id": session, "cwd": "/home/dev/shop",
        "prompt": text, "prompt_id": f"{session}-{text}",
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ran:
    """How a hook ended."""

    code: int
    printed: str
    complained: str
    seconds: float


class Hooks:
    """The client with its files in `folder`."""

    def __init__(
        self, folder: Path, url: str = AWAY, key: str = "cmem_key", ca: str = "", *,
        hurried: bool = False,
    ) -> None:  # fmt: skip
        self.folder = folder
        # Whether those that are run from now on have a second, or two, and not all that they need.
        self.hurried = hurried
        folder.mkdir(mode=0o700, exist_ok=True)
        self.configure(url, key, ca)

    def configure(self, url: str, key: str = "cmem_key", ca: str = "") -> None:
        """Name the server from now on."""
        said = {"url": url, "key": key, "ca": ca or None}
        (self.folder / "config.json").write_text(json.dumps(said))

    def start(
        self, agent: str = "claude-code", variables: Mapping[str, str] = {}, **how: Any
    ) -> subprocess.Popen[bytes]:
        """A client that waits for its payload."""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen(
            words(self.folder, agent, hurried=self.hurried), env=environment(variables),
            **(pipes | how),
        )  # fmt: skip

    def run(self, payload: Any, agent: str = "claude-code", **variables: str) -> Ran:
        """Run it for one payload, of JSON or of bytes."""
        return self.told(self.start(agent, variables), payload)

    def told(self, running: subprocess.Popen[bytes], payload: Any) -> Ran:
        """Give one that waits its payload, and wait until it has ended."""
        started = time.monotonic()
        text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        printed, complained = running.communicate(text, timeout=60)
        return Ran(
            running.returncode, (printed or b"").decode(), (complained or b"").decode(),
            time.monotonic() - started,
        )  # fmt: skip

    def all(self, payloads: Sequence[Any]) -> list[Ran]:
        """Run one for each payload, all at once."""
        running = [self.start() for _ in payloads]
        ended: dict[int, Ran] = {}

        def tell(number: int) -> None:
            ended[number] = self.told(running[number], payloads[number])

        threads = [threading.Thread(target=tell, args=(n,)) for n in range(len(payloads))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [ended[number] for number in range(len(payloads))]

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def log(self) -> str:
        path = self.folder / "hook.log"
        return path.read_text() if path.exists() else ""

    def waiting(self) -> list[dict[str, Any]]:
        """The payloads in the spool that were not sent, in order."""
        return [json.loads(record.raw) for record in self._records()]

    def give_up_first(self) -> None:
        """Have the first payload in the spool count as too slow for the line."""
        first = self._records()[0]
        Path(f"{self.spool}.heavy").write_text(f"{heavy.TRIES} {first.delivery}")

    def _records(self) -> list[Record]:
        whole = self.spool.read_bytes() if self.spool.exists() else b""
        sent = int(whole[19:31]) if whole else 0
        records = [spool.read(line) for line in whole[sent:].splitlines(keepends=True)]
        return [record for record in records if record]

    def send_rest(self) -> None:
        """Run hooks that bring nothing until nothing waits."""
        self.forget_pause()
        until(lambda: self.run(b"").code == 0 and not self.waiting())

    def forget_pause(self) -> None:
        """Let the server be asked again at once, though it let somebody wait in vain."""
        for mark in self.folder.glob("*.slow"):
            os.utime(mark, (0, 0))


@dataclass(frozen=True, slots=True)
class Request:
    """What a server was asked."""

    path: str
    headers: Mapping[str, str]
    body: Any


Reply = tuple[int, bytes]


@dataclass(slots=True)
class Answering:
    """A server that answers as `reply` says, and keeps what it was asked."""

    reply: Callable[[Request], Reply] = lambda _: (200, b"{}")
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    @property
    def bodies(self) -> list[Any]:
        return [request.body for request in self.requests]


@contextmanager
def answering(reply: Callable[[Request], Reply] | None = None) -> Iterator[Answering]:
    """A server of its own, for as long as the block."""
    told = Answering(reply) if reply else Answering()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            request = Request(self.path, dict(self.headers), body)
            told.requests.append(request)
            status, said = told.reply(request)
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # who gave up waiting is no error

    with Server(("127.0.0.1", 0), Handler) as server:
        told.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()
