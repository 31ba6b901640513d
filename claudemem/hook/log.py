"""`hook.log`: what became of payloads that did not go straight to the server. Never what is in
them, and never a key.
"""

from __future__ import annotations

import os
import time

_MOST = 1024 * 1024
_TAIL = 1024


class Log:
    """The log in `folder`, of calls of `agent`. Where nothing can be written, nothing is said."""

    def __init__(self, folder: str, agent: str) -> None:
        self._path = os.path.join(folder, "hook.log")
        self._agent = agent

    def say(self, message: str) -> None:
        """Add a line."""
        self._add(message, twice=True)

    def state(self, message: str) -> None:
        """Add a line, unless it is what the last one says."""
        self._add(message, twice=False)

    def _add(self, message: str, *, twice: bool) -> None:
        text = "".join(letter if letter.isprintable() else " " for letter in message)
        line = f"{self._agent}: {text}"
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        how = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        try:
            handle = os.open(self._path, how | getattr(os, "O_NONBLOCK", 0), 0o600)
            try:
                size = os.fstat(handle).st_size
                if size > _MOST:
                    os.replace(self._path, f"{self._path}.1")
                    self._add(message, twice=twice)
                elif twice or not _ends_with(handle, size, line):
                    os.write(handle, f"{now} {line}\n".encode("utf-8", "replace"))
            finally:
                os.close(handle)
        except OSError:
            pass


def _ends_with(handle: int, size: int, line: str) -> bool:
    os.lseek(handle, max(0, size - _TAIL), os.SEEK_SET)
    last = os.read(handle, _TAIL).rstrip(b"\n").rpartition(b"\n")[2]
    return last.partition(b" ")[2] == line.encode("utf-8", "replace")
