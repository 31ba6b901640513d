"""What the agent writes to our standard input: read in a thread, since it may never end."""

from __future__ import annotations

import _thread
import json
import os
import time

from claudemem.hook.call import is_too_fine
from claudemem.hook.deadline import Deadline

# Three times what the server takes: enough to cut it down from.
MOST = 16 * 1024 * 1024
_PIECE = 1024 * 1024
# A payload that looks complete is taken if nothing follows it for so long.
_PAUSE = 0.05


class Incoming:
    """Standard input, from now on."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._pieces: list[bytes] = []
        self._size = 0
        self._ended = False
        _thread.start_new_thread(self._read, ())

    @property
    def is_late(self) -> bool:
        """Whether the agent has not ended what it writes."""
        return not self._ended

    @property
    def too_large(self) -> bool:
        """Whether more came than is read."""
        return self._size > MOST

    def payload(self) -> bytes:
        """What was written until its end, or until it is a whole JSON text with nothing behind it.

        At the deadline, whatever there is.
        """
        seen = -1
        while not self._ended:
            before = self._size
            self._deadline.wait(min(self._deadline.agent, time.monotonic() + _PAUSE))
            if self._ended or time.monotonic() >= self._deadline.agent:
                break
            if before == self._size != seen:
                seen = before
                if _is_whole(b"".join(self._pieces)):
                    break
        return b"".join(self._pieces)

    def drain(self) -> None:
        """Let the agent write it all, and forget it."""
        while not self._ended and time.monotonic() < self._deadline.agent:
            self._deadline.wait(self._deadline.agent)

    def _read(self) -> None:
        try:
            while piece := os.read(0, _PIECE):
                self._size += len(piece)
                # What is too much is read all the same: an agent may not expect a closed pipe.
                if self._size <= MOST:
                    self._pieces.append(piece)
        except OSError:
            pass
        self._ended = True
        self._deadline.ring()


def _is_whole(text: bytes) -> bool:
    if not text.rstrip().endswith(b"}") or is_too_fine(text):
        return False
    try:
        json.loads(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return False
    return True
