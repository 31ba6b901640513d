"""The audit as a journal to be followed: each entry once, in one order, and none missed.

Entries are numbered when they are written, and seen when they are committed: on PostgreSQL one may
be seen after others with higher numbers. So a reader goes no further than the numbers that are
settled: of those no entry will be seen that is not seen by now. That is known by two looks. The
first notes the highest number M that is seen, and takes a transaction id X. Whoever has drawn a
number below M has drawn it by then, and had a transaction id before that, as a trigger sees to, so
one below X. The second finds that no transaction below X runs any more: all up to M is settled.
SQLite has one writer: there whatever is seen is settled.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import orjson

from observations import entries
from observations.listings import micros
from queueing import direct

FOLLOWED = (
    entries.EVENT_RECEIVED, entries.BATCH_RECEIVED, entries.MEMORY_WRITE,
    entries.OBSERVATION_CREATED, entries.OBSERVATION_DELETED,
    entries.OBSERVATION_UPDATED, entries.MEMORY_PURGED,
    entries.JOB_PROCESSING,
    entries.JOB_COMPLETED, entries.JOB_STALLED, entries.JOB_FAILED, entries.JOB_RETRIED,
    entries.JOB_CANCELLED,
)  # fmt: skip

_LAST = "SELECT id, created_at FROM observations_auditentry ORDER BY id DESC LIMIT 1"
_LOOK = {
    "sqlite": f"SELECT id, created_at, 0 FROM ({_LAST})",  # noqa: S608
    # One row even where there is no entry: the look is to be noted then as well.
    "postgresql": f"""
        SELECT last.id, last.created_at, pg_current_xact_id()::text::bigint
        FROM (SELECT) AS one LEFT JOIN LATERAL ({_LAST}) AS last ON true""",  # noqa: S608
}
_OLDEST = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
_FIND = "SELECT created_at FROM observations_auditentry WHERE id = %s"


@dataclass(frozen=True, slots=True)
class Place:
    """An entry: its number and the moment of its writing (µs since the epoch).

    The moment tells it from one with the same number in a database that was put back.
    """

    number: int = 0
    moment: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """An entry, as far as whoever follows needs it."""

    place: Place
    action: str
    resource_id: str | None
    team_id: str
    project_id: str | None
    details: dict[str, Any]


class Horizon:
    """Finds out how far the journal is settled, in looks that one thread makes."""

    def __init__(self) -> None:
        self._noted: tuple[Place, int] | None = None

    def look(self) -> Place | None:
        """The highest place that is settled, or None while an older transaction still runs.

        Takes no locks and waits for nobody. Raises OperationalError and the like.
        """
        if self._noted is None:
            self._noted = _noted()
        place, transaction = self._noted
        if transaction and _oldest() < transaction:
            return None
        self._noted = None
        return place


def _micros(at: Any) -> int:
    """The moment `at`, as the database told it, in microseconds since 1970."""
    return micros(direct.moment(at))


def _noted() -> tuple[Place, int]:
    for number, at, transaction in direct.fetch(_LOOK[direct.vendor()], []):
        return (Place() if number is None else Place(number, _micros(at))), transaction
    return Place(), 0


def _oldest() -> int:
    ((transaction,),) = direct.fetch(_OLDEST, [])
    return int(transaction)


def holds(place: Place) -> bool:
    """Whether that entry is there still, and is the one that was meant."""
    if place.number == 0:
        return True
    return any(_micros(at) == place.moment for (at,) in direct.fetch(_FIND, [place.number]))


def read(
    after: int, upto: int, teams: Collection[str], limit: int, project_id: str | None = None
) -> list[Line]:
    """The first `limit` entries of `teams` with `after < number <= upto`, in their order.

    With `project_id` those of this project, and those of several.
    """
    if not teams or after >= upto:
        return []
    marks = ", ".join(["%s"] * len(teams))
    actions = ", ".join(f"'{action}'" for action in FOLLOWED)
    bound = "AND (project_id = %s OR project_id IS NULL)" if project_id else ""
    rows = direct.fetch(
        "SELECT id, created_at, action, resource_id, team_id, project_id, details "  # noqa: S608
        "FROM observations_auditentry "
        f"WHERE id > %s AND id <= %s AND team_id IN ({marks}) AND action IN ({actions}) {bound} "
        "ORDER BY id LIMIT %s",
        [after, upto, *teams, *([project_id] if project_id else []), limit],
    )
    return [_line(*row) for row in rows]


def _line(
    number: int, at: Any, action: str, resource: str | None, team: str, project: str | None,
    details: Any,
) -> Line:  # fmt: skip
    told = orjson.loads(details) if isinstance(details, str | bytes) else details
    return Line(Place(number, _micros(at)), action, resource, team, project, told)
