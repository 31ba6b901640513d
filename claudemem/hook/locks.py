"""A file that is locked for as long as it is held; a lock dies with its holder."""

from __future__ import annotations

import os
import time

_PAUSE = 0.002


class Busy(OSError):
    """Somebody else holds the lock, or the system knows no locks."""


class Held:
    """The file `path`, opened with `how`, locked within the block.

    The lock is waited for until a moment of the monotonic clock. Raises Busy after that, OSError
    where the file cannot be opened.
    """

    def __init__(self, path: str, how: int, until: float) -> None:
        self._path = path
        self._how = how
        self._until = until
        self._handle = -1

    def __enter__(self) -> int:
        while True:
            self._handle = os.open(self._path, self._how, 0o600)
            try:
                self._wait()
                # Who held it may have put another file in its place.
                if os.path.samestat(os.fstat(self._handle), os.stat(self._path)):
                    return self._handle
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(self._handle)
                raise
            os.close(self._handle)

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)

    def _wait(self) -> None:
        try:
            import fcntl
        except ImportError:
            raise Busy(0, "this system has no such locks", self._path) from None
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= self._until:
                    raise Busy(0, "somebody else holds it", self._path) from None
                time.sleep(_PAUSE)
