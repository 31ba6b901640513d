"""What is asked of the database for all who listen, in threads: nothing here knows who they are."""

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import InterfaceError, InternalError, OperationalError, close_old_connections
from django.db.models import Count, Q

from claudemem.stream import items
from claudemem.stream.items import Item
from observations import journal
from observations.errors import StorageAway
from observations.journal import Horizon, Place
from observations.models import ApiKey
from queueing import states
from queueing.models import GenerationJob

AWAY: Final = (OperationalError, InterfaceError, InternalError, StorageAway)
# So many entries are read at once.
PAGE: Final = 200

Depths = dict[tuple[str, str], dict[str, dict[str, int]]]


@dataclass(frozen=True, slots=True)
class Page:
    """Items up to `place`; `whole` where nothing settled is left behind them."""

    items: list[Item]
    place: Place
    whole: bool


class Look:
    """Follows the journal from where it is settled at the first look."""

    def __init__(self) -> None:
        self._horizon = Horizon()
        self._at: Place | None = None
        self._sure = time.monotonic()

    @property
    def behind(self) -> float:
        """For how long (s) transactions have kept it from going on."""
        return time.monotonic() - self._sure

    def take(self, teams: Collection[str]) -> tuple[Place | None, list[Item]]:
        """How far the journal is settled, and the items of `teams` since the last time.

        None for a place as long as nothing is known of it.
        """
        began, settled = time.monotonic(), self._horizon.look()
        if settled is None:
            return self._at, []
        self._sure = began
        if settled == self._at:
            return settled, []
        found = [] if self._at is None else list(_between(self._at, settled, teams))
        self._at = settled
        return settled, found


def _between(after: Place, upto: Place, teams: Collection[str]) -> Iterator[Item]:
    number = after.number
    while lines := journal.read(number, upto.number, teams, PAGE):
        yield from items.of(lines)
        number = lines[-1].place.number


def page(after: Place, upto: Place, team_id: str, project_id: str | None) -> Page:
    """What a listener missed that comes back: the first part of it, after an entry."""
    lines = journal.read(after.number, upto.number, [team_id], PAGE, project_id)
    whole = len(lines) < PAGE
    return Page(items.of(lines), upto if whole else lines[-1].place, whole)


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


def working(keys: Collection[str], now: datetime) -> set[str]:
    """Those of the keys that were neither revoked nor have expired."""
    unexpired = Q(expires_at__isnull=True) | Q(expires_at__gt=now)
    rows = ApiKey.objects.filter(unexpired, pk__in=list(keys), revoked_at__isnull=True)
    return set(rows.values_list("pk", flat=True))


def asked(question: Any, *given: Any) -> Any:
    """What `question` answers; whoever has asked leaves no connection behind."""
    try:
        return question(*given)
    finally:
        close_old_connections()
