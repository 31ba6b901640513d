"""Failed attempts, counted by who made them, so that nobody goes on guessing. In memory alone.

A count lasts for a window of time that begins with the first failure. There is room for so many
who fail; whose window began first gives way to one more, so that no flood of them costs more.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)

# A few megabytes at most.
MOST_WHO_FAIL = 10_000


@dataclass(slots=True)
class _Failures:
    ends: float
    count: int = 0


class Attempts:
    """The failures of the last `seconds` at what is called `at`, by the name of who failed.

    Safe among threads.
    """

    def __init__(
        self,
        at: str,
        seconds: float,
        room: int = MOST_WHO_FAIL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._at = at
        self._seconds = seconds
        self._room = room
        self._clock = clock
        self._lock = threading.Lock()
        # Windows are equally long, so that the first to begin is the first to end.
        self._failed: OrderedDict[str, _Failures] = OrderedDict()

    def fail(self, who: str, most: int) -> float:
        """Count a failure; for how many seconds `who` is barred, having failed more than `most`.

        0 while it has not, and where `most` is 0: that is no limit.
        """
        if not most:
            return 0.0
        now = self._clock()
        with self._lock:
            self._forget(now)
            found = self._failed.get(who) or self._begun(who, now)
            found.count = count = found.count + 1
        if count <= most:
            return 0.0
        if count == most + 1:
            log.warning("%r failed %d times at %s and is refused for now", who, most, self._at)
        return found.ends - now

    def forgive(self, who: str) -> None:
        """Take back a failure that was counted before its attempt, which has succeeded."""
        with self._lock:
            found = self._failed.get(who)
            if found and found.count:
                found.count -= 1

    def __len__(self) -> int:
        return len(self._failed)

    def _begun(self, who: str, now: float) -> _Failures:
        if len(self._failed) >= self._room:
            self._failed.popitem(last=False)
        begun = self._failed[who] = _Failures(now + self._seconds)
        return begun

    def _forget(self, now: float) -> None:
        while self._failed and next(iter(self._failed.values())).ends <= now:
            self._failed.popitem(last=False)
