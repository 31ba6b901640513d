"""When to start again what has died: arithmetic on times, no clock."""

FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
# Whoever lived so long was well: its next end counts as the first.
STEADY_SECONDS = 60.0


def backoff(failures: int) -> float:
    """Seconds to wait before the next start, after so many failures in a row (at least one)."""
    return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures - 1, 10))


class Restarts:
    """The record of one member: its failures in a row, and its restarts in all."""

    def __init__(self, steady: float = STEADY_SECONDS) -> None:
        self.total = 0
        self._steady = steady
        self._failures = 0
        self._born: float | None = None
        self._due = 0.0

    def born(self, now: float) -> None:
        """It was started."""
        self._born = now

    def died(self, now: float) -> float:
        """It ended, or could not be started; the seconds until it is due again."""
        lived = 0.0 if self._born is None else now - self._born
        self._born = None
        self._failures = 1 if lived >= self._steady else self._failures + 1
        delay = backoff(self._failures)
        self._due = now + delay
        return delay

    def due(self, now: float) -> bool:
        """Whether it is time to start it again."""
        return now >= self._due
