"""Whose turn it is, by weights. Pure: who asks says who waits, and who was served.

Everybody has a mark, which each service moves on by 1/weight; the lowest mark has the turn. Who had
nothing to do begins where the others are, so that nothing is saved up by idling, and before those
who stand at the same mark, so that a single job waits for one turn of somebody else's at most.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Marks of those who fell behind the others say nothing any more; so many of them are kept.
_KEPT = 1000


@dataclass
class Turns:
    """The marks of those who take turns."""

    _marks: dict[str, float] = field(default_factory=dict)
    _served: dict[str, int] = field(default_factory=dict)
    _now: float = 0.0
    _services: int = 0

    def next(self, waiting: Mapping[str, int]) -> str:
        """Who of those that wait, each with its weight, has the turn. There must be one."""
        chosen = min(waiting, key=lambda who: (self._mark(who), self._served.get(who, 0), who))
        self._now = self._mark(chosen)
        return chosen

    def serve(self, who: str, weight: int) -> None:
        """Note that it was served, whether it had the turn or not."""
        self._services += 1
        self._served[who] = self._services
        self._marks[who] = self._mark(who) + 1 / weight
        if len(self._marks) > _KEPT:
            self._forget()

    def fork(self) -> "Turns":
        """The same marks, to see what would follow."""
        return Turns(dict(self._marks), dict(self._served), self._now, self._services)

    def _mark(self, who: str) -> float:
        return max(self._marks.get(who, 0.0), self._now)

    def _forget(self) -> None:
        self._marks = {who: mark for who, mark in self._marks.items() if mark > self._now}
        self._served = {who: self._served[who] for who in self._marks}
