"""What ties a child to its supervisor, and its output to the file of the day.

The supervisor holds the other end of the child's standard input. It never writes there; when it
is gone, however it went, the system closes that end and the child ends too. A pipe or a socket does
this on every system, where a death signal is known to Linux alone. By a socket the child says that
it is ready.
"""

import os
import select
import threading
from contextlib import suppress
from datetime import date
from pathlib import Path

from queueing import pids
from queueing.pids import Mark

_LOOK_SECONDS = 60.0

# Whoever holds the other end, once this process is on a leash.
_supervisors: list[Mark] = []


def hold(logs: Path, name: str) -> None:
    """End this process as soon as its supervisor is gone, and write to a new log every day."""
    _supervisors.append(pids.mark(os.getppid()))
    threading.Thread(target=_watch, args=(logs, name), name="leash", daemon=True).start()


def supervisor() -> Mark | None:
    """The process that holds this one's leash; None where nobody does."""
    return _supervisors[-1] if _supervisors else None


def ready() -> None:
    """Tell the supervisor that this process does its work now; nobody else hears it."""
    with suppress(OSError):  # a pipe, of whoever does not want to know
        os.write(0, b"\0")


def open_log(logs: Path, name: str, day: date) -> int:
    """A descriptor that appends to this day's log of `name`, which only its owner may read."""
    path = logs / f"{name}-{day.isoformat()}.log"
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def today() -> date:
    """The day in the user's calendar, by which logs are named."""
    return date.today()  # noqa: DTZ011


def turn(logs: Path, name: str, day: date) -> None:
    """Let this process write into this day's log of `name` from now on. Raises OSError."""
    log = open_log(logs, name, day)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)


def _watch(logs: Path, name: str) -> None:
    day = today()
    while True:
        heard, _, _ = select.select([0], [], [], _LOOK_SECONDS)
        if heard and _gone():
            # At once: what was in hand is repaired as after any crash, and the supervisor's
            # successor must find the port free.
            os._exit(1)
        if day != today():
            day = today()
            turn(logs, name, day)


def _gone() -> bool:
    with suppress(ConnectionError):  # gone before it read what it was told
        return not os.read(0, 1024)
    return True
