"""Whose turn it is, by weights. Pure: who asks says who waits, and who was served.

Everybody has a mark, which each service moves on by 1/weight; the lowest mark has the turn. Who had
nothing to do begins where the others are, so that nothing is saved up by idling, and before those
who stand at the same mark, so that a single job waits for one turn of somebody else's at most.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from heapq import nsmallest


@dataclass
class Turns:
    """The marks of those who take turns."""

    _marks: dict[str, float] = field(default_factory=dict)
    _served: dict[str, int] = field(default_factory=dict)
    _now: float = 0.0
    _services: int = 0

    def next(self, waiting: Iterable[str]) -> str:
        """Who of those that wait has the turn. There must be one."""
        chosen = min(waiting, key=self._place)
        self._now = self._mark(chosen)
        return chosen

    def foremost(self, waiting: Iterable[str], most: int) -> list[str]:
        """So many of those that wait, at most, whose turns would be the next: none else has one."""
        return nsmallest(most, waiting, key=self._place)

    def serve(self, who: str, weight: int) -> None:
        """Note that it was served, whether it had the turn or not."""
        self._services += 1
        self._served[who] = self._services
        self._marks[who] = self._mark(who) + 1 / weight

    def keep(self, waiting: Collection[str]) -> None:
        """Forget all but those that wait. Who comes back begins where the others are then."""
        self._marks = {who: mark for who, mark in self._marks.items() if who in waiting}
        self._served = {who: self._served[who] for who in self._marks}

    def fork(self) -> "Turns":
        """The same marks, to see what would follow."""
        return Turns(dict(self._marks), dict(self._served), self._now, self._services)

    def _place(self, who: str) -> tuple[float, int, str]:
        return self._mark(who), self._served.get(who, 0), who

    def _mark(self, who: str) -> float:
        return max(self._marks.get(who, 0.0), self._now)
