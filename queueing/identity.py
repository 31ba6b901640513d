"""Who holds a lease: the text in `leased_by`, made and read here alone.

    laptop/8c1f04be92d3a7f0/181734:4711

A host's name is for people; it and a process number are the same in a thousand containers. What
tells processes apart is the place in which a number means one process (this boot of this machine,
and on Linux a namespace of process numbers), and when the process began. Whoever is in the same
place can see whether it lives still; of other places nothing can be told.
"""

import os
import re
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from queueing import pids

_NAME_CHARACTERS = 40  # of 100 that the column has
_PLACE_CHARACTERS = 16
_SHAPE = re.compile(r"(?P<host>[^/]*)/(?P<place>[0-9a-f]*)/(?P<began>[^/:]*):(?P<pid>\d+)")
_UNSURE = "?"


@dataclass(frozen=True, slots=True)
class Identity:
    """One process for all time. `place` is empty where processes cannot be told apart."""

    host: str
    place: str
    began: str
    pid: int

    def __str__(self) -> str:
        return f"{self.host}/{self.place}/{self.began}:{self.pid}"

    @property
    def shown(self) -> str:
        """It as people name it: the host and the number of the process."""
        return f"{self.host}:{self.pid}"

    def is_gone(self) -> bool:
        """Whether this process certainly ended; False of one elsewhere, or that may not be seen."""
        if not self.place or self.place != place():
            return False
        return began(self.pid) not in (self.began, _UNSURE)


def mine() -> Identity:
    """This process."""
    return Identity(_name(), place(), began(os.getpid()), os.getpid())


def read(text: str) -> Identity | None:
    """Whom a text of this module names; None if it is none."""
    found = _SHAPE.fullmatch(text)
    return Identity(found[1], found[2], found[3], int(found[4])) if found else None


def shown(text: str) -> str:
    """The text as people read it; one that is none of this module's as it is."""
    known = read(text)
    return known.shown if known else text


def began(pid: int) -> str:
    """When the process of that number began, "" if there is none, "?" if that may not be known."""
    if token := pids.token_of(pid):
        return token.rpartition(":")[2]
    return "" if _is_nobody(pid) else _UNSURE


@cache
def place() -> str:
    """Where a process number means one process; "" where that cannot be told."""
    # All machines have the same number for their first namespace: without the boot it says nothing.
    boot, spaces = pids.boot(), _spaces()
    if not boot or spaces is None:
        return ""
    return sha256(f"{boot} {spaces}".encode()).hexdigest()[:_PLACE_CHARACTERS]


def _name() -> str:
    return re.sub(r"[^\w.-]", "-", socket.gethostname())[:_NAME_CHARACTERS]


def _is_nobody(pid: int) -> bool:
    """Whether there is no such process, or it waits to be reaped; others' may be hidden from us."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    # It can be signalled, so it is ours to see: what has no token has ended.
    return True


def _spaces() -> str | None:
    """The namespaces on which numbers and beginnings depend; None where they cannot be told."""
    if sys.platform != "linux":
        return ""  # there are none
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return None  # what it tells of numbers is of another namespace
        spaces = [os.readlink("/proc/self/ns/pid")]
        with suppress(FileNotFoundError):  # of time, since Linux 5.6: ticks since boot differ in it
            spaces.append(os.readlink("/proc/self/ns/time"))
    except OSError:
        return None
    return " ".join(spaces)
