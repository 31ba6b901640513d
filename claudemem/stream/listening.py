"""A listener: what it may and wants to see, and what waits to be sent to it."""

import asyncio
from collections import deque
from typing import Final

from claudemem.api.stream import Wish
from claudemem.stream.items import Item

# So many bytes wait for a listener at most: one that is slower is ended, and comes back. They are
# the same bytes for all who hear of the same.
MOST_WAITING: Final = 1024 * 1024
# So many go out at once, and not many more.
PIECE: Final = 32 * 1024


def covers(wish: Wish, item: Item) -> bool:
    """Whether the item is for whoever has this wish."""
    return (
        item.sort in wish.types
        and item.team_id == wish.team_id
        and wish.project_id in (None, item.project_id)
    )


class Listener:
    """Frames on their way to one connection; used in the event loop alone."""

    __slots__ = ("_frames", "_size", "_some", "depth", "telling", "wish")

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        # Writes to the connection; whoever cancels it ends the listener.
        self.telling: asyncio.Task[None] | None = None
        # What it was last told of the queue.
        self.depth: object = None
        self._frames: deque[bytes] = deque()
        self._size = 0
        self._some = asyncio.Event()

    def put(self, frame: bytes) -> None:
        """Have this sent; ends the listener if too much waits for it already."""
        self._frames.append(frame)
        self._size += len(frame)
        self._some.set()
        if self._size > MOST_WAITING:
            self.end()

    def beat(self, frame: bytes) -> None:
        """Have this sent if nothing else waits: it says only that all is well."""
        if not self._frames:
            self.put(frame)

    def end(self) -> None:
        """Have the connection ended: what was not sent is sent when its client comes back."""
        if self.telling:
            self.telling.cancel()

    async def next(self) -> bytes:
        """What waits, or the first piece of that, once something does."""
        await self._some.wait()
        told: list[bytes] = []
        size = 0
        while self._frames and size < PIECE:
            told.append(self._frames.popleft())
            size += len(told[-1])
        self._size -= size
        if not self._frames:
            self._some.clear()
        return b"".join(told)
