"""Where a listener is: an entry of the journal, and how many of its items it has seen."""

import re
from dataclasses import dataclass

from observations.errors import InvalidInput
from observations.journal import Place

_FORM = re.compile(r"(\d{1,18})-(\d{1,18})(?:-(\d{1,6}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cursor:
    """After `seen` items of the entry at `place`; after all of them where `seen` is None."""

    place: Place
    seen: int | None = None

    def covers(self, other: "Cursor") -> bool:
        """Whether whoever is here has seen the item at `other`, of this entry or a later one."""
        if other.place.number != self.place.number or self.seen is None:
            return False
        return other.seen is not None and other.seen <= self.seen

    def __str__(self) -> str:
        whole = f"{self.place.number}-{self.place.moment}"
        return whole if self.seen is None else f"{whole}-{self.seen}"


def parse(text: str) -> Cursor:
    """The cursor that was told as `text`. Raises InvalidInput."""
    found = _FORM.fullmatch(text)
    if not found:
        raise InvalidInput("expected the id of an item of this stream", ("cursor",))
    number, moment, seen = found.groups()
    return Cursor(Place(int(number), int(moment)), int(seen) if seen else None)
