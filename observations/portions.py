"""All that a project remembers, deleted a portion at a time, so that nobody waits long for it.

Jobs go first, so that workers drop what they have in hand; then what was made of events, the
events, and their sessions with what came to them meanwhile. A job goes only if what it is about
goes after it: an event that stays is worked.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from observations.models import Session
from queueing import direct, kinds, operations, outbox, states
from queueing.models import GenerationJob, Lane

# So many rows go in one transaction: some ten milliseconds.
AT_ONCE: Final = 200
# So many lanes, or sessions, are seen to in one transaction.
LANES: Final = 20
# The names of so many lanes are read at once.
_NAMES: Final = 1000
# So often at most the lanes of sessions are deleted that others keep making.
_MOST_TRIES: Final = 5

# Everything is younger.
_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)

# Rows are locked before what hangs on them is deleted: nothing is added to it then.
_LOCKED = {"sqlite": "", "postgresql": "FOR UPDATE SKIP LOCKED"}
_JOBS_LOCKED = {"sqlite": "", "postgresql": "FOR UPDATE OF job SKIP LOCKED"}
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

# By what a job is about, which is an event or the session that it summarises, and not by its own
# time: that is another clock's, and a moment later. Looked up for each, whatever a planner thinks
# of the tables. `_Younger` has the two moments.
_OF_SESSION = "(SELECT created_at FROM observations_session WHERE id = job.session_id)"
_STAYS = f"""
    coalesce(
        CASE job.kind WHEN '{kinds.SUMMARY.name}' THEN {_OF_SESSION}
            ELSE (SELECT created_at FROM observations_event WHERE id = job.source_id) END > %s
        AND coalesce({_OF_SESSION} > %s, true), false)"""  # noqa: S608
# Lanes with something that goes, or with nothing.
_BUSY = f"""
    SELECT key FROM queueing_lane lane WHERE key IN ({{list}}) AND (
        NOT EXISTS (SELECT 1 FROM queueing_generationjob job WHERE lane_id = lane.id)
        OR EXISTS (SELECT 1 FROM queueing_generationjob job
                   WHERE lane_id = lane.id AND NOT {_STAYS}))"""  # noqa: S608
_ENDED = f"""
    SELECT job.id FROM queueing_lane lane
    JOIN queueing_generationjob job ON job.lane_id = lane.id AND job.seq < lane.head
    WHERE lane.key IN ({{list}}) AND job.state NOT IN ({", ".join(map(repr, states.OPEN))})
        AND NOT {_STAYS}
    LIMIT %s {{locked}}"""  # noqa: S608
# More jobs than are deleted at once.
_LONG = """
    SELECT id FROM queueing_lane lane WHERE key IN ({list})
        AND (SELECT count(*) FROM queueing_generationjob WHERE lane_id = lane.id) > %s"""
_STAYING = f"""
    SELECT DISTINCT lane_id FROM queueing_generationjob job
    WHERE lane_id IN ({{list}}) AND {_STAYS}"""  # noqa: S608
_GOING = f"""
    SELECT id FROM queueing_generationjob job WHERE lane_id = %s AND NOT {_STAYS}
    ORDER BY seq DESC LIMIT %s"""  # noqa: S608


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


@dataclass(frozen=True, slots=True)
class _Younger:
    """Which jobs stay: what is about something younger, in a younger session if it has one."""

    about: datetime = _EVER
    session: datetime = _EVER

    @property
    def moments(self) -> list[object]:
        """As `_STAYS` takes them."""
        return [direct.stored(self.about), direct.stored(self.session)]


def delete(project_id: str, until: datetime, counts: Counts) -> Iterator[None]:
    """Delete what was there at `until`; a portion each time that the next item is asked for.

    Each is to be asked for in a transaction of its own, and adds to `counts`. What comes in
    meanwhile stays, unless it belongs to a session that goes. What was interrupted is finished by
    calling it again. Raises Busy.
    """
    yield from _jobs(project_id, _Younger(about=until), counts)
    while gone := _rows("observations_observation", _OBSERVATIONS, project_id, until):
        counts.observations += gone
        yield
    while gone := _rows("observations_event", _EVENTS, project_id, until):
        counts.events += gone
        yield
    # Those of events that were on their way at that moment, and came after their jobs were looked
    # for.
    yield from _jobs(project_id, _Younger(), counts)
    sessions = Session.objects.filter(project_id=project_id, created_at__lte=until).order_by("pk")
    while some := list(sessions.values_list("pk", flat=True)[:LANES]):
        yield from _sessions(some, _Younger(session=until), counts)


def _jobs(project_id: str, stays: _Younger, counts: Counts) -> Iterator[None]:
    for keys in _lanes_of(project_id):
        yield from _lanes(_found(_BUSY, keys, *stays.moments), stays, counts)


def _lanes_of(project_id: str) -> Iterator[list[str]]:
    """The names of its lanes in portions; each comes once, however many are there still."""
    lanes, last = Lane.objects.filter(project_id=project_id).order_by("key"), ""
    while keys := list(lanes.filter(key__gt=last).values_list("key", flat=True)[:_NAMES]):
        last = keys[-1]
        yield from (keys[start : start + LANES] for start in range(0, len(keys), LANES))


def _lanes(keys: Sequence[str], stays: _Younger, counts: Counts) -> Iterator[None]:
    """Delete of these lanes the jobs that go, and with all of theirs those in which none stays."""
    if not keys:
        return
    while ended := _found(_ENDED, keys, *stays.moments, AT_ONCE):
        counts.jobs += len(ended)
        outbox.drop_jobs(ended)
        yield
    for lane in _found(_LONG, keys, AT_ONCE):
        yield from _thinned(lane, stays, counts)
    lanes = outbox.hold(keys)
    # While they are held nothing comes in, and what came a moment ago is seen.
    staying = sorted(_found(_STAYING, lanes, *stays.moments))
    gone = [lane for lane in lanes if lane not in staying]
    counts.jobs += GenerationJob.objects.filter(lane__in=gone).count()
    outbox.drop(gone)
    yield
    for lane in staying:
        yield from _thinned(lane, stays, counts)


def _thinned(lane: int, stays: _Younger, counts: Counts) -> Iterator[None]:
    """Delete of a lane the jobs that go, from among those that stay.

    The last first: what is behind them would be begun otherwise.
    """
    while some := direct.fetch(_GOING, [lane, *stays.moments, AT_ONCE]):
        counts.jobs += operations.take_out(lane, [row[0] for row in some])
        yield


def _found(text: str, those: Sequence[Any], *more: object) -> list[Any]:
    """The first column of what is found of `those`."""
    if not those:
        return []
    text = text.replace("{locked}", _JOBS_LOCKED[direct.vendor()])
    return [row[0] for row in direct.fetch(_text(text, len(those)), [*those, *more])]


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


def _sessions(sessions: Sequence[str], stays: _Younger, counts: Counts) -> Iterator[None]:
    """Delete sessions with what has come since; captures for them wait, and then make new ones.

    What others have in the same lanes stays: sessions may be called alike.
    """
    for _ in range(_MOST_TRIES):
        rows = Session.objects.select_for_update().filter(pk__in=sessions).order_by("pk")
        keys = [row.lane_key for row in rows]
        busy = _found(_BUSY, keys, *stays.moments)
        if not busy:
            _end(sessions, counts)
            yield
            return
        # Lanes before sessions would be the other way round than workers lock them.
        yield
        yield from _lanes(busy, stays, counts)
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
