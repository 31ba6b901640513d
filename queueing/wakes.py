"""The database engine's broker: workers look at the table of jobs, and are woken to do so at once.

A worker waits at a named pipe for each queue that it serves. Who publishes writes one byte, which
one of the workers that have a thread to spare reads. The pipes lie in the data directory, so they
reach the workers of this host; those of others look four times a second in any case. Nothing is
kept in a pipe but that: what is lost with it is found by looking.
"""

import errno
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain
from pathlib import Path
from stat import S_ISFIFO

from django.conf import settings
from django.db import InterfaceError, OperationalError

from queueing import kinds
from queueing.errors import QueueStoreAway
from queueing.statements import fetch

log = logging.getLogger(__name__)

_BYTE = b"\0"
_AT_ONCE = getattr(os, "O_NONBLOCK", 0)  # where there is none, there are no named pipes either


def publish(job_id: str, kind: str) -> None:  # noqa: ARG001 - who is woken looks for itself
    """Wake a worker of this host that serves the kind's queue; never waits, and needs none."""
    try:
        end = os.open(_pipe(kinds.BY_NAME[kind].queue), os.O_WRONLY | _AT_ONCE)
    except OSError:
        return  # nobody waits there: whoever comes next looks first
    try:
        # Full: so many bytes wait already that another one would change nothing.
        with suppress(BlockingIOError, BrokenPipeError):
            if S_ISFIFO(os.fstat(end).st_mode):
                os.write(end, _BYTE)
    finally:
        os.close(end)


publish_first = publish  # what a look finds first is a matter of the rows


def depths() -> dict[str, int]:
    """How many heads of each kind a worker could take now. Raises QueueStoreAway."""
    none = dict.fromkeys([*kinds.BY_NAME, kinds.UPKEEP], 0)
    try:
        return none | {str(kind): int(count) for kind, count in fetch("ready", [])}
    except (OperationalError, InterfaceError) as error:
        raise _away(error) from error


def can_lose() -> bool:
    """Whoever heard nothing finds the head all the same, as long as it is there."""
    return False


def faults() -> tuple[str, ...]:
    """Nothing: the database is what it is chosen to be."""
    return ()


def send_canary(queue: str, number: int) -> None:
    """Nothing more: its row is what workers find."""


def canary_waits(queue: str, number: int) -> bool:  # noqa: ARG001
    """A row waits until it is taken."""
    return True


class Ear:
    """A worker's ends of the pipes of `queues`; of none where there can be none."""

    def __init__(self, queues: Iterable[str]) -> None:
        self._pipes: list[tuple[int, int]] = []
        try:
            for queue in queues:
                self._pipes.append(_opened(_pipe(queue)))
        except (OSError, AttributeError) as error:
            # A system or a file system without named pipes, or a directory that is not ours.
            log.info("nobody can wake this worker, so it only looks: %s", error)
            self.close()

    @property
    def ends(self) -> list[int]:
        """What becomes readable when somebody wakes this worker, or another one on this host."""
        return [reading for reading, _ in self._pipes]

    def heard(self, most: int) -> bool:
        """Take up to `most` wakes from each pipe; whether there was one, for this worker alone."""
        return sum(_taken(end, most) for end in self.ends) > 0

    def close(self) -> None:
        """Wait at the pipes no more."""
        for end in chain.from_iterable(self._pipes):
            os.close(end)
        self._pipes = []


def _taken(end: int, most: int) -> int:
    with suppress(BlockingIOError):
        return len(os.read(end, most))
    return 0


def _opened(pipe: Path) -> tuple[int, int]:
    """Both ends: while one of our own is open, the other never comes to an end."""
    pipe.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.mkfifo(pipe, 0o600)
    if not pipe.is_fifo():
        raise FileExistsError(errno.EEXIST, "there is another file", str(pipe))
    reading = os.open(pipe, os.O_RDONLY | _AT_ONCE)
    try:
        return reading, os.open(pipe, os.O_WRONLY | _AT_ONCE)
    except OSError:
        os.close(reading)
        raise


def _directory() -> Path:
    directory: Path = settings.DATA_DIR.wake
    return directory


def _pipe(queue: str) -> Path:
    return _directory() / queue


def _away(error: Exception) -> QueueStoreAway:
    return QueueStoreAway(f"the database did not answer: {type(error).__name__}")
