"""What is asked of the database for all who listen, in threads: nothing here knows who they are."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import close_old_connections
from django.db.models import Count

from claudemem.stream import items
from claudemem.stream.items import Item
from observations import journal, keys, scopes
from observations.errors import StorageAway
from observations.journal import Horizon, Line, Place
from observations.models import ApiKey
from queueing import direct, states
from queueing.models import GenerationJob

AWAY: Final = (*direct.AWAY, StorageAway)
# So many entries are read at once.
PAGE: Final = 200
# A batch is one entry, and may hold 500 events.
MOST_EVENTS: Final = 500

Depths = dict[tuple[str, str], dict[str, dict[str, int]]]


@dataclass(frozen=True, slots=True)
class Page:
    """Items up to `place`; `whole` where nothing settled is left behind them."""

    items: list[Item]
    place: Place
    whole: bool


class Look:
    """Follows the journal from where it is settled at the first look.

    `has_more` says that a look has left something for the next one, which need not wait.
    """

    def __init__(self) -> None:
        self.has_more = False
        self._horizon = Horizon()
        self._at: Place | None = None
        self._settled = Place()
        self._sure = time.monotonic()

    @property
    def behind(self) -> float:
        """For how long (s) transactions have kept it from going on."""
        return time.monotonic() - self._sure

    def take(self, teams: Collection[str]) -> tuple[Place | None, list[Item]]:
        """A place in the journal, and the items of `teams` up to there since the last look.

        None for a place as long as nothing is known of it.
        """
        began, settled = time.monotonic(), self._horizon.look()
        if settled is not None:
            self._sure, self._settled = began, settled
            self._at = self._at or settled
        if self._at is None or self._at == self._settled:
            return self._at, []
        found = page(self._at, self._settled, teams)
        self._at, self.has_more = found.place, not found.whole
        return found.place, found.items


def page(after: Place, upto: Place, teams: Collection[str], project_id: str | None = None) -> Page:
    """The first part of what is told of `teams`, or of one project, between two entries."""
    read = journal.read(after.number, upto.number, teams, PAGE, project_id)
    lines = _few(read)
    whole = len(read) < PAGE and len(lines) == len(read)
    return Page(items.of(lines), upto if whole else lines[-1].place, whole)


def _few(lines: Sequence[Line]) -> list[Line]:
    """The first of them, with not many more than MOST_EVENTS events; one at least."""
    few: list[Line] = []
    events = 0
    for line in lines:
        if events >= MOST_EVENTS:
            break
        few.append(line)
        events += len(line.details.get("eventIds", ()))
    return few


def depths(teams: Collection[str]) -> Depths:
    """How many jobs wait or are worked, by team and project, then by kind and state."""
    counted: Depths = {}
    rows = (
        GenerationJob.objects.filter(state__in=states.OPEN, team_id__in=list(teams))
        .order_by()
        .values_list("team_id", "project_id", "kind", "state")
        .annotate(count=Count("pk"))
    )
    for team, project, kind, state, count in rows:
        counted.setdefault((team, project), {}).setdefault(kind, {})[state] = count
    return counted


def hearing(named: Collection[str]) -> set[str]:
    """Those of the keys with these ids that may listen still: they work, and were not narrowed."""
    rows = keys.working(ApiKey.objects.filter(pk__in=list(named)))
    held = rows.values_list("pk", "scopes")
    return {key for key, names in held if scopes.allows(names, scopes.READ_STREAM)}


def asked(question: Any, *given: Any) -> Any:
    """What `question` answers; whoever has asked leaves no connection behind."""
    try:
        return question(*given)
    finally:
        close_old_connections()
