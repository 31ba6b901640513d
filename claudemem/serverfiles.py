"""`.server-beta.*`: what a server says of itself in its data directory, for its older clients.

Three files: `.pid` names the process that a signal to stop is meant for, `.port` where the web
listens, `.runtime.json` both, with how its parts were. They are written by whoever looks after the
web, once that answers, and removed by nobody else.
"""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from claudemem.peek import Gauge, Reading
from queueing import pids
from queueing.pids import Mark

RUNTIME = "server-beta"
PID, PORT, PARTS = (f".{RUNTIME}.{end}" for end in ("pid", "port", "runtime.json"))
NAMES = (PID, PORT, PARTS)
_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Announced:
    """A server that answers. `started` is when that was first seen."""

    process: Mark
    port: int
    started: datetime = field(default_factory=lambda: datetime.now(UTC))


def read(root: Path) -> Announced | None:
    """The server that announced itself here and still runs, or None."""
    try:
        said = json.loads((root / PID).read_text())
        process = Mark(int(said["pid"]), str(said["startToken"]))
        started = datetime.fromisoformat(said["startedAt"])
        return Announced(process, int(said["port"]), started) if process.alive else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(root: Path, server: Announced, host: str, info: dict[str, Any]) -> None:
    """Announce a server; `info` is what it answers at `/v1/info`. Raises OSError."""
    known: dict[str, Any] = {"pid": server.process.pid, "port": server.port}
    moment = {"startedAt": server.started.isoformat(timespec="milliseconds")}
    parts = {"host": host, **moment, "bootstrap": _bootstrap(server, info),
             "boundaries": _boundaries(info)}  # fmt: skip
    _put(root / PORT, f"{server.port}\n")
    _put(root / PARTS, _text({"runtime": RUNTIME, **known, **parts}))
    # The last: whoever finds it finds the others.
    _put(root / PID, _text({**known, **moment, "startToken": server.process.token}))


def remove(root: Path, me: Mark) -> None:
    """Take the files away, if they are those of `me`."""
    if _writer(root) == me:
        _clear(root)


def sweep(root: Path) -> None:
    """Take the files away, if whoever wrote them runs no more."""
    if read(root) is None:
        _clear(root)


class Announcer:
    """Writes the files when there is something to say, and removes them at the end."""

    def __init__(self, root: Path, process: Mark, host: str, port: int) -> None:
        self._root = root
        self._process = process
        self._host, self._port = host, port
        self._server: Announced | None = None
        self._said: object = None

    def follow(self, seen: Reading) -> None:
        """Say what is new; nothing before the web has answered. Raises OSError."""
        if not (seen.healthy or self._server):
            return
        self._server = self._server or Announced(self._process, self._port)
        news = (_bootstrap(self._server, seen.info), _boundaries(seen.info))
        words = json.dumps([news[0], {name: part["status"] for name, part in news[1].items()}])
        if words != self._said:
            write(self._root, self._server, self._host, seen.info)
            self._said = words


@contextmanager
def announced(root: Path, host: str, port: int) -> Iterator[None]:
    """Within this block this process, a web that nobody looks after, is announced.

    Not where another server of the directory is announced, nor where there is no directory.
    """
    if not root.is_dir() or read(root):
        yield
        return
    gauge, done = Gauge(host, port, with_jobs=False), threading.Event()
    announcer = Announcer(root, pids.mark(os.getpid()), host, port)
    follower = threading.Thread(target=_follow, args=(gauge, announcer, done), daemon=True)
    gauge.start()
    follower.start()
    try:
        yield
    finally:
        done.set()
        follower.join()
        gauge.stop()
        remove(root, pids.mark(os.getpid()))


def _follow(gauge: Gauge, announcer: Announcer, done: threading.Event) -> None:
    while not done.wait(_LOOK_SECONDS):
        with suppress(OSError):  # a full disk: it is tried again, and the web serves without
            announcer.follow(gauge.reading)


def _writer(root: Path) -> Mark | None:
    try:
        said = json.loads((root / PID).read_text())
        return Mark(int(said["pid"]), str(said["startToken"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _clear(root: Path) -> None:
    for name in reversed(NAMES):
        (root / name).unlink(missing_ok=True)


def _bootstrap(server: Announced, info: dict[str, Any]) -> dict[str, Any]:
    known = info.get("postgres") or {}
    initialized = bool(known.get("initialized"))
    return {
        "initialized": initialized,
        "schemaVersion": known.get("schemaVersion", 0),
        "appliedAt": server.started.isoformat(timespec="milliseconds") if initialized else None,
    }


def _boundaries(info: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {
        name: {"status": part["status"], "reason": part["reason"]}
        for name, part in (info.get("boundaries") or {}).items()
    }


def _put(path: Path, text: str) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    fresh.replace(path)


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"
