"""All that a project remembers, deleted a portion at a time, so that nobody waits long for it.

Jobs go first, so that workers drop what they have in hand; then what was made of events, the
events, and their sessions with what came to them meanwhile.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

from django.db.models import OuterRef, Q, Subquery

from observations.entries import BY_PROGRAM
from observations.models import Session
from queueing import direct, operations, outbox, retention, states
from queueing.models import GenerationJob, Lane

# So many rows go in one transaction: some ten milliseconds.
AT_ONCE: Final = 200
# So many lanes, or sessions, are seen to in one transaction.
LANES: Final = 20
# So often at most the lanes of sessions are deleted that others keep making.
_MOST_TRIES: Final = 5

# Rows are locked before what hangs on them is deleted: nothing is added to it then.
_LOCKED = {"sqlite": "", "postgresql": "FOR UPDATE SKIP LOCKED"}
_AWAITED = {"sqlite": "", "postgresql": "FOR UPDATE"}
# The keys of rows.
_KEYS = {"observations_observation": "number", "observations_event": "id"}
_FIND = {
    table: f"SELECT {key} FROM {table} WHERE project_id = %s AND created_at <= %s "  # noqa: S608
    "LIMIT %s {locked}"
    for table, key in _KEYS.items()
}
# What hangs on such rows, before the rows themselves.
_OBSERVATIONS = (
    "DELETE FROM observations_observationsource WHERE observation_id IN ({list})",
    "DELETE FROM observations_observation WHERE number IN ({list}) RETURNING 1",
)
_EVENTS = (
    "DELETE FROM observations_observationsource WHERE event_id IN ({list})",
    "DELETE FROM observations_event WHERE id IN ({list}) RETURNING 1",
)
_SESSIONS = (
    "DELETE FROM observations_telling WHERE session_id IN ({list})",
    "DELETE FROM observations_session WHERE id IN ({list}) RETURNING 1",
)


class Busy(Exception):
    """Sessions are written to so fast that they cannot be deleted just now."""


@dataclass(slots=True)
class Counts:
    """How much is gone."""

    observations: int = 0
    events: int = 0
    sessions: int = 0
    jobs: int = 0

    @property
    def told(self) -> dict[str, int]:
        """The same in the words of the wire."""
        return {
            "observations": self.observations,
            "agentEvents": self.events,
            "sessions": self.sessions,
            "jobs": self.jobs,
        }

    @classmethod
    def of(cls, told: Mapping[str, int]) -> "Counts":
        """What was `told` once; nothing of what it does not name."""
        names = ("observations", "agentEvents", "sessions", "jobs")
        return cls(*(int(told.get(name, 0)) for name in names))


def delete(project_id: str, until: datetime, counts: Counts) -> Iterator[None]:
    """Delete what was there at `until`; a portion each time that the next item is asked for.

    Each is to be asked for in a transaction of its own, and adds to `counts`. What comes in
    meanwhile stays, unless it belongs to a session that goes. What was interrupted is finished by
    calling it again. Raises Busy.
    """
    yield from _jobs(project_id, until, counts)
    while gone := _rows("observations_observation", _OBSERVATIONS, project_id, until):
        counts.observations += gone
        yield
    while gone := _rows("observations_event", _EVENTS, project_id, until):
        counts.events += gone
        yield
    sessions = Session.objects.filter(project_id=project_id, created_at__lte=until).order_by("pk")
    while some := list(sessions.values_list("pk", flat=True)[:LANES]):
        yield from _sessions(some, counts)


def _jobs(project_id: str, until: datetime, counts: Counts) -> Iterator[None]:
    newest = GenerationJob.objects.filter(lane=OuterRef("pk")).order_by("-seq")
    lanes = Lane.objects.filter(project_id=project_id).order_by("key")
    # A lane of which something is newer belongs to what stays, or goes with its session.
    lanes = lanes.alias(newest=Subquery(newest.values("created_at")[:1]))
    old = lanes.filter(Q(newest__isnull=True) | Q(newest__lte=until))
    while keys := list(old.values_list("key", flat=True)[:LANES]):
        yield from _lanes(keys, counts)
    # Of those that stay for now the old jobs are not worked any more: their events go next.
    open_ones = GenerationJob.objects.filter(state__in=states.OPEN, created_at__lte=until)
    for key in set(open_ones.filter(lane__in=lanes).values_list("lane__key", flat=True)):
        operations.clear_until(key, until, BY_PROGRAM)
        yield


def _lanes(keys: Sequence[str], counts: Counts) -> Iterator[None]:
    while gone := retention.thin(keys):
        counts.jobs += gone
        yield
    counts.jobs += GenerationJob.objects.filter(lane__key__in=keys).count()
    outbox.forget(keys)
    yield


def _rows(table: str, deletions: Sequence[str], project_id: str, until: datetime) -> int:
    """Delete some rows with what hangs on them; how many, 0 if there is none left."""
    ids = _ids(table, project_id, until, _LOCKED[direct.vendor()])
    # What somebody has locked is waited for last, and not left.
    return _delete(deletions, ids or _awaited(table, _ids(table, project_id, until, "")))


def _ids(table: str, project_id: str, until: datetime, locked: str) -> list[Any]:
    found = _FIND[table].replace("{locked}", locked)
    return [row[0] for row in direct.fetch(found, [project_id, direct.stored(until), AT_ONCE])]


def _awaited(table: str, ids: Sequence[Any]) -> list[Any]:
    """Those of these rows that are there once they can be had, locked in the order of their keys.

    By their keys: a planner that is asked for the first few rows of a project might walk along all.
    """
    key, locked = _KEYS[table], _AWAITED[direct.vendor()]
    text = f"SELECT {key} FROM {table} WHERE {key} IN ({{list}}) ORDER BY {key} {locked}"  # noqa: S608
    return [row[0] for row in direct.fetch(_text(text, len(ids)), ids)] if ids else []


def _delete(deletions: Sequence[str], ids: Sequence[Any]) -> int:
    """Delete rows of these keys by the last of the statements; how many.

    However many came to a session, a statement of each database takes so many keys.
    """
    gone = 0
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        for text in deletions[:-1]:
            direct.fetch(_text(text, len(some)), some)
        gone += len(direct.fetch(_text(deletions[-1], len(some)), some))
    return gone


def _sessions(sessions: Sequence[str], counts: Counts) -> Iterator[None]:
    """Delete sessions with what has come since; captures for them wait, and then make new ones."""
    for _ in range(_MOST_TRIES):
        rows = Session.objects.select_for_update().filter(pk__in=sessions).order_by("pk")
        keys = [row.lane_key for row in rows]
        busy = list(Lane.objects.filter(key__in=keys).values_list("key", flat=True))
        if not busy:
            _end(sessions, counts)
            yield
            return
        # Lanes before sessions would be the other way round than workers lock them.
        yield
        yield from _lanes(busy, counts)
    raise Busy


def _end(sessions: Sequence[str], counts: Counts) -> None:
    counts.observations += _delete(_OBSERVATIONS, _of("observations_observation", sessions))
    counts.events += _delete(_EVENTS, _of("observations_event", sessions))
    counts.sessions += _delete(_SESSIONS, sessions)


def _of(table: str, sessions: Sequence[str]) -> list[Any]:
    text = f"SELECT {_KEYS[table]} FROM {table} WHERE session_id IN ({{list}})"  # noqa: S608
    return [row[0] for row in direct.fetch(_text(text, len(sessions)), sessions)]


@cache
def _text(text: str, items: int) -> str:
    return text.replace("{list}", ", ".join(["%s"] * items))
