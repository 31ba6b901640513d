"""One holder at a time, over all processes of this machine; a lock dies with its holder."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from queueing.errors import QueueingError


class NoLocks(QueueingError):
    """This system has no such locks."""


@contextmanager
def hold(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock that is the file `path`, which is made if it is missing, within this block.

    Without `wait`, raises BlockingIOError if somebody else holds it. Raises NoLocks on Windows,
    OSError where the file cannot be opened.
    """
    try:
        import fcntl
    except ImportError:
        raise NoLocks(
            "this command needs Linux or macOS: on Windows, run claudemem in WSL or in a container"
        ) from None
    how = fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB
    while True:
        file = _opened(path)
        try:
            fcntl.flock(file, how)
            # Whoever held it may have removed it: then others hold another file of that name.
            if _is_at(file, path):
                yield
                return
        finally:
            os.close(file)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        # On a disk that became read-only there still is something to be found and stopped.
        if error.errno != errno.EROFS or not path.exists():
            raise
        return os.open(path, os.O_RDONLY)


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
