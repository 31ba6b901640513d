"""Forget all that a project remembers; the project, its keys and its audit stay.

A large project would hold other writers up for long, so it goes session by session and in portions.
What comes in meanwhile stays, unless it belongs to a session that goes. What was interrupted is
finished by asking again.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from django.db import transaction
from django.db.models import Model, QuerySet

from observations import audit, entries
from observations.entries import BY_PROGRAM, Origin
from observations.errors import Conflict, NotFound
from observations.models import Event, Observation, Project, Session
from queueing import direct, outbox
from queueing.models import GenerationJob, Lane

# So many lanes, sessions or rows go in one transaction.
AT_ONCE = 100
# So often at most the lanes of a session are deleted that others keep making.
_MOST_TRIES = 5
_LONGEST_PAUSE = 0.5

Row = TypeVar("Row", bound=Model)


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


def empty(team_id: str, project_id: str, *, origin: Origin = BY_PROGRAM) -> Counts:
    """Delete the project's jobs, observations, events and sessions; how many there were of each.

    Workers that hold one of its jobs lose their lease. `origin` is who asks. Raises NotFound where
    the project is not the team's, Conflict where a session is written to so fast that it cannot be
    deleted. Must not be called inside a transaction.
    """
    if not Project.objects.filter(pk=project_id, team_id=team_id).exists():
        raise NotFound("Project not found")
    counts = Counts()
    try:
        _empty(project_id, counts)
    finally:
        entry = entries.project(entries.MEMORY_PURGED, project_id, team_id, origin, counts.told)
        audit.write([entry])
    return counts


def _empty(project_id: str, counts: Counts) -> None:
    lanes = Lane.objects.filter(project_id=project_id).order_by("key")
    keys = list(lanes.values_list("key", flat=True))
    # After the lanes: what is captured from now on keeps its event, its lane and its job.
    now = direct.now()
    for start in range(0, len(keys), AT_ONCE):
        _forget(keys[start : start + AT_ONCE], counts)
    was_there = {"project_id": project_id, "created_at__lte": now}
    for some in _portions(Observation.objects.filter(**was_there)):
        counts.observations += _deleted(Observation.objects.filter(pk__in=some))
    for some in _portions(Event.objects.filter(**was_there)):
        counts.events += _deleted(Event.objects.filter(pk__in=some))
    for some in _portions(Session.objects.filter(**was_there)):
        _end(some, counts)


def _forget(keys: Sequence[str], counts: Counts) -> None:
    with transaction.atomic():
        jobs = GenerationJob.objects.filter(lane__key__in=keys).count()
        outbox.forget(keys)
    counts.jobs += jobs


def _deleted(rows: QuerySet[Row]) -> int:
    with transaction.atomic():
        _, gone = rows.delete()
    return gone.get(rows.model._meta.label, 0)


def _end(sessions: Sequence[str | int], counts: Counts) -> None:
    """Delete sessions with what has come since; captures for them wait, and then make new ones."""
    for _ in range(_MOST_TRIES):
        with transaction.atomic():
            rows = Session.objects.select_for_update().filter(pk__in=sessions).order_by("pk")
            keys = [row.lane_key for row in rows]
            busy = list(Lane.objects.filter(key__in=keys).values_list("key", flat=True))
            if not busy:
                _, gone = Session.objects.filter(pk__in=sessions).delete()
                counts.sessions += gone.get(Session._meta.label, 0)
                counts.events += gone.get(Event._meta.label, 0)
                counts.observations += gone.get(Observation._meta.label, 0)
                return
        # Lanes before sessions would be the other way round than workers lock them.
        _forget(busy, counts)
    raise Conflict("A session of the project is written to all the time: try again")


def _portions(rows: QuerySet[Row]) -> Iterator[list[str | int]]:
    """The keys of a few of the rows that there are, until there are none.

    After each as long a pause as it took: half of the time belongs to other writers.
    """
    keys = rows.order_by().values_list("pk", flat=True)
    while some := list(keys[:AT_ONCE]):
        begun = time.monotonic()
        yield some
        time.sleep(min(time.monotonic() - begun, _LONGEST_PAUSE))
