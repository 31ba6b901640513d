"""Bodies on their way in: what has come of one is kept here, and no thread waits for the rest."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

# A sender that is silent for so long (s) is given up, and one that has not ended after the other.
SILENT_SECONDS: Final = 20.0
WHOLE_SECONDS: Final = 300.0
_LOOK_SECONDS: Final = 2.0
# What is longer than the first (bytes) counts, and so much of that may be on its way at once.
SMALL: Final = 64 * 1024
ROOM: Final = 64 * 1024 * 1024
# What is left of a refused body is read so far before its sender gets the answer: one that still
# sends when its connection is closed sees a broken connection in place of the answer.
DRAIN_BYTES: Final = 64 * 1024 * 1024
# Whoever has no key that works shares a room of its own: there bodies that never end keep out those
# of other strangers alone.
STRANGERS: Final = 16 * 1024 * 1024


class Gone(Exception):
    """The sender closed the connection."""


class TooSlow(Exception):
    """The sender was silent for too long, or took too long altogether."""


class Room:
    """Lets in so many bytes at once; whoever finds no room is called when there is some."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._lock = threading.Lock()

    def enter(self, size: int, go: Callable[[], None]) -> None:
        """Call `go` as soon as `size` bytes are free, in the thread that made them so."""
        with self._lock:
            if self._waiting or self._free < size:
                self._waiting.append((size, go))
                return
            self._free -= size
        go()

    def leave(self, size: int) -> None:
        """Give back what `enter` took."""
        with self._lock:
            self._free += size
            let_in = []
            while self._waiting and self._waiting[0][0] <= self._free:
                taken, go = self._waiting.popleft()
                self._free -= taken
                let_in.append(go)
        for go in let_in:
            go()


class Arrival:
    """One body: `done` is called once with how it ended, in whichever thread sees it end.

    That is None where `length` bytes are there, or the sender's last; else Gone or TooSlow. With
    `keep` false what comes is thrown away.
    """

    __slots__ = ("_awaited", "_begun", "_done", "_heard", "_keep", "_left", "_receive", "ended",
                 "pieces")  # fmt: skip

    def __init__(
        self,
        receive: Callable[[], Any],
        length: int,
        done: Callable[[Exception | None], None],
        *,
        keep: bool = True,
    ) -> None:
        self.pieces: list[bytes] = []
        self.ended = False
        self._receive = receive
        self._left = length
        self._done = done
        self._keep = keep
        self._awaited: Any = None
        self._begun = self._heard = time.monotonic()

    def begin(self) -> None:
        """Take what comes; a thread is had only while something does."""
        self._begun = self._heard = time.monotonic()
        _watched[id(self)] = self
        self._wait()

    def give_up(self, now: float) -> None:
        """End it if it is late at `now`, a moment of the monotonic clock (s)."""
        if now - self._heard > SILENT_SECONDS or now - self._begun > WHOLE_SECONDS:
            self._awaited.cancel()

    def _wait(self) -> None:
        while True:
            asked = self._awaited = self._receive()
            if not hasattr(asked, "add_done_callback"):
                self._end(Gone())
                return
            if not asked.done():
                # Called at once, and here, where it is done by now.
                asked.add_done_callback(self._go_on)
                return
            if not self._take(asked):
                return

    def _go_on(self, asked: Any) -> None:
        if self._take(asked):
            self._wait()

    def _take(self, asked: Any) -> bool:
        """Whether there is more to come."""
        if asked.cancelled():
            return self._end(TooSlow())
        message = asked.result()
        if message["type"] != "http.request":
            return self._end(Gone())
        self._heard = time.monotonic()
        piece = message["body"]
        self._left -= len(piece)
        if self._keep:
            self.pieces.append(piece)
        self.ended = not message["more_body"]
        return True if self._left > 0 and not self.ended else self._end(None)

    def _end(self, why: Exception | None) -> bool:
        del _watched[id(self)]
        self._done(why)
        return False


_watched: dict[int, Arrival] = {}


def watch() -> None:
    """Give those up that are late, for ever: the work of a thread."""
    while True:
        time.sleep(_LOOK_SECONDS)
        now = time.monotonic()
        for arrival in list(_watched.values()):
            arrival.give_up(now)
