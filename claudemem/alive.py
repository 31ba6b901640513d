"""Whether the role that runs here is alive: a small file that it touches, or its answer.

A container's health is asked for every few seconds, so nothing is imported for it that the answer
does not need.
"""

import os
import time
from pathlib import Path

from claudemem import peek

WEB, WORKER, BEAT, FLOWER = ROLES = ("web", "worker", "beat", "flower")
# A role that works touches its file so often; one that has not for `LATE_SECONDS` hangs.
PULSE_SECONDS = 5.0
LATE_SECONDS = 30.0
# Those that listen where nobody in the container itself can connect to.
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - the reverse of binding there


def announce(file: str, role: str) -> None:
    """Say in `file` which role runs here; nothing where `file` is empty. Raises OSError."""
    if file:
        Path(file).write_text(role)


def beat(file: str) -> None:
    """Say in `file` that the role is alive at this moment. Raises OSError."""
    os.utime(file)


class Touch:
    """Says so when it is called, in a file that may be none, but not more often than is wanted."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._last = float("-inf")

    def __call__(self) -> None:
        now = time.monotonic()
        if self._file and now - self._last > PULSE_SECONDS:
            self._last = now
            beat(self._file)


def role_of(file: str) -> str:
    """The role that announced itself in `file`, or "" where none did."""
    try:
        said = Path(file).read_text() if file else ""
    except FileNotFoundError:
        return ""
    return said if said in ROLES else ""


def silence(file: str, now: float) -> str:
    """What is wrong with the role of `file` at the time `now` (s since the epoch), or ""."""
    seconds = now - Path(file).stat().st_mtime
    if seconds < LATE_SECONDS:
        return ""
    return f"the {role_of(file)} has shown no life for {seconds:.0f} s: its log says why"


def unanswered(role: str, host: str, port: int, path: str) -> str:
    """What is wrong with a role that listens there and answers at `path`, or ""."""
    reachable = _ANYWHERE.get(host, host)
    if peek.healthy(reachable, port, path):
        return ""
    return f"the {role} does not answer at {reachable}:{port}"
