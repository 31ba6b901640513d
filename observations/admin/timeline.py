"""A session told in order: prompts, what was done, what was made of it, the summary."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import islice

from observations.admin.gist import gist
from observations.models import Observation, Session

# A page shows the last so many entries; the lists have the rest.
MOST_ENTRIES = 200

_PROMPT = "UserPromptSubmit"


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One line. Ordered by time; an observation comes after the event of the same moment."""

    at: datetime
    rank: int
    number: int
    pk: str
    word: str
    text: str
    detail: str = ""

    @property
    def is_event(self) -> bool:
        """Whether it is an event, and not what was made of one."""
        return self.rank == 0

    @property
    def tone(self) -> str:
        """How it stands out: said, made, or done on the way."""
        if not self.is_event:
            return "made"
        return "said" if self.word == _PROMPT else "quiet"


@dataclass(frozen=True, slots=True)
class Timeline:
    """The last entries, oldest first. `is_whole`: there are none before them."""

    entries: tuple[Entry, ...]
    is_whole: bool


def of(session: Session) -> Timeline:
    """The session's latest entries, in two queries."""
    newest = merge(_events(session), _observations(session), reverse=True)
    entries = list(islice(newest, MOST_ENTRIES + 1))
    return Timeline(tuple(reversed(entries[:MOST_ENTRIES])), len(entries) <= MOST_ENTRIES)


def _events(session: Session) -> Iterator[Entry]:
    rows = session.events.order_by("-number")[: MOST_ENTRIES + 1]
    return _newest_first(
        Entry(row.occurred_at, 0, row.number or 0, row.pk, row.event_type, gist(row.payload))
        for row in rows
    )


def _observations(session: Session) -> Iterator[Entry]:
    rows = session.observations.defer("parts").order_by("-occurred_at", "-number")
    return _newest_first(
        Entry(row.occurred_at, 1, row.number, str(row.pk), row.kind, str(row), _detail(row))
        for row in rows[: MOST_ENTRIES + 1]
    )


def _newest_first(entries: Iterable[Entry]) -> Iterator[Entry]:
    return iter(sorted(entries, reverse=True))


def _detail(row: Observation) -> str:
    return row.content if row.kind == "summary" else row.subtitle
