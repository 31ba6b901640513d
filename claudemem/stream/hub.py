"""One poller a process for all who listen, only while somebody does.

It runs in the event loop; the database is asked in threads of its own. What comes is built once and
given to each listener that may see it; none is waited for.
"""

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

from claudemem import broadcast
from claudemem.api.stream import QUEUE, Cursor
from claudemem.stream import items, looking
from claudemem.stream.items import Item
from claudemem.stream.listening import Listener, covers
from claudemem.stream.looking import Depths, Look
from observations.journal import Place
from queueing import kinds, states

log = logging.getLogger(__name__)

# The journal is looked at so often (s), keys and the depth of queues so often, and who hears
# nothing else hears after so long that the line stands.
LOOK_SECONDS: Final = 0.25
KEY_SECONDS: Final = 5.0
DEPTH_SECONDS: Final = 1.0
BEAT_SECONDS: Final = 15.0
AWAY_SECONDS: Final = 1.0
# So many may listen in one process, and of one team: connections must be left for others.
MOST_LISTENERS: Final = 2000
MOST_OF_A_TEAM: Final = 1000
WAITING: Final = b": waiting for the database\n\n"


class Hub:
    """Who listens in this process, and what they are told.

    A listener enters, learns how far the journal is settled, catches up to there, and joins: from
    then on it is given what is found. Between two awaits nothing here moves.
    """

    def __init__(self, closing: asyncio.Event) -> None:
        self.settled: Place | None = None
        self._closing = closing
        self._entered: dict[Listener, int] = {}
        self._teams: Counter[str] = Counter()
        self._joined: defaultdict[str, set[Listener]] = defaultdict(set)
        self._askers = ThreadPoolExecutor(2, "stream")
        self._looker = ThreadPoolExecutor(1, "stream-journal")
        self._poller: asyncio.Task[None] | None = None
        self._look = Look()
        self._looks = self._looked = 0
        self._moved = asyncio.Event()
        self._due = {"keys": 0.0, "depths": 0.0, "beat": 0.0}

    @property
    def is_full(self) -> bool:
        """Whether nobody else may listen."""
        return len(self._entered) >= MOST_LISTENERS

    def is_full_for(self, team_id: str) -> bool:
        """Whether nobody else of that team may listen."""
        return self.is_full or self._teams[team_id] >= MOST_OF_A_TEAM

    @property
    def is_closing(self) -> bool:
        """Whether the web ends, and every stream with it."""
        return self._closing.is_set()

    async def ask(self, question: Any, *given: Any) -> Any:
        """What `question` answers in a thread."""
        return await self._in(self._askers, question, *given)

    def enter(self, listener: Listener) -> None:
        """Follow the journal for it from now on, until it leaves."""
        # A look that has begun knows nothing of a team that is new.
        known = self._teams[listener.wish.team_id] > 0
        self._entered[listener] = self._looks + (0 if known else 1)
        self._teams[listener.wish.team_id] += 1
        broadcast.here.listeners = len(self._entered)
        if self._poller is None:
            self._poller = asyncio.create_task(self._poll())

    async def place(self, listener: Listener, least: int) -> Place:
        """How far the journal is settled for `listener`, once that is at least as far as `least`.

        Another process may have been further.
        """
        while (
            self.settled is None
            or self.settled.number < least
            or self._looked < self._entered[listener]
        ):
            await self._moved.wait()
        return self.settled

    def join(self, listener: Listener) -> None:
        """Give it what comes after `settled`."""
        self._joined[listener.wish.team_id].add(listener)
        self._due["depths"] = 0.0

    def leave(self, listener: Listener) -> None:
        """Forget it; with the last the poller ends."""
        del self._entered[listener]
        self._teams -= Counter([listener.wish.team_id])
        self._joined[listener.wish.team_id].discard(listener)
        if not self._joined[listener.wish.team_id]:
            del self._joined[listener.wish.team_id]
        broadcast.here.listeners = len(self._entered)
        if not self._entered and self._poller:
            self._poller.cancel()
            self._poller, self.settled, self._look = None, None, Look()
            broadcast.here.behind, broadcast.here.away = 0.0, ""

    async def _in(self, threads: ThreadPoolExecutor, question: Any, *given: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(threads, looking.asked, question, *given)

    async def _poll(self) -> None:
        while not self._closing.is_set():
            try:
                await self._step()
                pause = 0.0 if self._look.has_more else LOOK_SECONDS
            except looking.AWAY as error:
                self._miss(error)
                pause = AWAY_SECONDS
            except Exception:  # the poller's door: those who listen come back, and begin anew
                log.exception("the stream could not go on")
                self._end()
                pause = AWAY_SECONDS
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), pause)
        self._end()

    async def _step(self) -> None:
        self._looks += 1
        looks, began = self._looks, time.monotonic()
        settled, found = await self._in(self._looker, self._look.take, list(self._teams))
        # From here to the last of these lines nobody joins.
        self._give(found)
        self.settled, self._looked = settled, looks
        self._moved.set()
        self._moved = asyncio.Event()
        broadcast.here.away = ""
        broadcast.here.behind = self._look.behind
        if self._is_due("keys", KEY_SECONDS, began):
            await self._check_keys()
        if self._is_due("depths", DEPTH_SECONDS, began):
            await self._tell_depths()
        if self._is_due("beat", BEAT_SECONDS, began) and self.settled:
            told = f"id: {Cursor(self.settled)}\n: still here\n\n".encode()
            for listener in self._listening():
                listener.beat(told)

    def _give(self, found: Iterable[Item]) -> None:
        for item in found:
            for listener in self._joined.get(item.team_id, ()):
                if covers(listener.wish, item):
                    listener.put(item.frame)

    async def _check_keys(self) -> None:
        # Without a key one calls from the server's own machine, and may go on.
        held = {key for one in self._entered if (key := one.wish.principal.api_key_id)}
        good = await self._in(self._looker, looking.hearing, held)
        for listener in list(self._entered):
            if listener.wish.principal.api_key_id in held - good:
                listener.end()

    async def _tell_depths(self) -> None:
        wanting = [each for each in self._listening() if QUEUE in each.wish.types]
        if not wanting:
            return
        teams = {listener.wish.team_id for listener in wanting}
        counted: Depths = await self._in(self._looker, looking.depths, teams)
        for listener in wanting:
            told = _depth(counted, listener.wish.team_id, listener.wish.project_id)
            if told != listener.depth:
                listener.depth = told
                listener.put(items.frame(QUEUE, told))

    def _miss(self, error: Exception) -> None:
        if not broadcast.here.away:
            log.warning("the stream waits for the database: %s", error)
            for listener in self._listening():
                listener.put(WAITING)
        broadcast.here.away = str(error)
        if self._is_due("beat", BEAT_SECONDS, time.monotonic()):
            for listener in self._listening():
                listener.beat(WAITING)

    def _end(self) -> None:
        for listener in list(self._entered):
            listener.end()

    def _listening(self) -> list[Listener]:
        return [listener for team in self._joined.values() for listener in team]

    def _is_due(self, what: str, seconds: float, now: float) -> bool:
        if now - self._due[what] < seconds:
            return False
        self._due[what] = now
        return True


def _depth(counted: Depths, team_id: str, project_id: str | None) -> dict[str, Any]:
    total: dict[str, dict[str, int]] = {
        kind: dict.fromkeys(states.OPEN, 0) for kind in kinds.BY_NAME
    }
    for (team, project), found in counted.items():
        if team == team_id and project_id in (None, project):
            for kind, by_state in found.items():
                for state, count in by_state.items():
                    total[kind][state] += count
    depth = sum(count for by_state in total.values() for count in by_state.values())
    return {"queueDepth": depth, "kinds": total}
