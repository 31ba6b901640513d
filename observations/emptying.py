"""Forget all that a project remembers; the project, its keys and its audit stay.

That somebody asked for it is a row, until all is gone: whoever asked waits for as long as it wants
to, and workers finish the rest, also what a process that died has left.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet

from observations import audit, entries, portions
from observations.clearances import Clearance
from observations.entries import BY_PROGRAM, Origin
from observations.errors import Conflict, NotFound
from observations.models import Project, ProjectMerge
from observations.portions import Busy, Counts
from queueing import direct, retention
from queueing.errors import JobConflict
from queueing.retention import Budget

# Who sees to a project and deletes nothing for so long is gone: no portion takes longer.
SILENCE: Final = timedelta(seconds=30)
# A worker gives a pass so many seconds; the next goes on.
PASS_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1
_OVER: Final = object()


@dataclass(frozen=True, slots=True)
class Emptied:
    """How much went so far of what was there at `asked_at`, and whether that was all."""

    counts: Counts
    asked_at: datetime
    done: bool
    given_up_at: datetime | None = None


def empty(
    team_id: str,
    project_id: str,
    *,
    origin: Origin = BY_PROGRAM,
    allowed: Budget | None = None,
    tell: Callable[[Counts], None] = lambda _: None,
    anew: bool = False,
) -> Emptied:
    """Delete the project's jobs, observations, events and sessions, as far as is `allowed`.

    By default until all is done; workers go on with what is left. Workers that hold one of its jobs
    lose their lease. `origin` is who asks; `tell` is called with the counts after each portion.
    While that is under way whoever asks again joins in, and what came since it was asked for first
    stays; with `anew` that goes as well.
    Raises NotFound where the project is not the team's, Conflict where it is merged into another,
    while an undone merge still brings back what was its own or is in it, or where somebody gives it
    up. Must not be called inside a transaction.
    """
    now = _asked(team_id, project_id, origin, anew)
    allowed = allowed or retention.budget(math.inf)
    while (wish := _found(project_id)) is not None:
        now = _of(wish)
        if now.given_up_at:
            raise Conflict(
                "An operator has stopped this deletion: what was not deleted yet stays. Ask for it "
                "again to delete what is there then"
            )
        if allowed.is_spent:
            return now
        if not _taken(project_id):
            tell(now.counts)
            time.sleep(_LOOK_SECONDS)
        else:
            now = _pursued(project_id, allowed, tell) or now
            if now.done:
                return now
    return replace(now, done=True)


def last(project_id: str) -> Emptied | None:
    """How far the emptying of the project is, or came until it was given up.

    None where there is none, or it is done.
    """
    wish = _found(project_id)
    return _of(wish) if wish else None


def give_up(project_id: str) -> None:
    """Leave what of the project's memory is not deleted yet where it is; the row tells of it."""
    with transaction.atomic():
        wish = _wanted().select_for_update(no_key=True).filter(pk=project_id).first()
        if wish is not None:
            told = {**Counts.of(wish.counts).told, "givenUp": True}
            about = (wish.project_id, wish.project.team_id, wish.origin, told)
            audit.write([entries.project(entries.MEMORY_PURGED, *about)])
            wish.given_up_at, wish.worked_at = direct.now(), None
            wish.save(update_fields=["given_up_at", "worked_at"])


def go_on(allowed: Budget) -> int:
    """Go on with what was asked for and is not done; how many projects are done with."""
    done = 0
    for project_id in list(_free().values_list("pk", flat=True)):
        if not allowed.is_spent and _taken(project_id):
            far = _pursued(project_id, allowed, lambda _: None)
            done += far is not None and far.done
    return done


def _asked(team_id: str, project_id: str, origin: Origin, anew: bool) -> Emptied:
    with transaction.atomic():
        # As merges do: one of the two sees the other.
        ours = Project.objects.select_for_update(no_key=True).filter(pk=project_id, team_id=team_id)
        if (project := ours.first()) is None:
            raise NotFound("Project not found")
        if project.merged_into_id:
            raise Conflict(
                f"{project} is merged into the project {project.merged_into_id}, which has all "
                "that it remembered: empty that one, or undo the merge first"
            )
        either = Q(source=project) | Q(target=project)
        undone = ProjectMerge.objects.filter(either, undone_at__isnull=False)
        if undone.filter(settled_at__isnull=True).exists():
            raise Conflict(f"A merge with {project} is still being undone: try again in a minute")
        Clearance.objects.filter(pk=project_id, given_up_at__isnull=False).delete()
        asked = {"until": direct.now(), "origin": dict(origin)}
        ask = Clearance.objects.update_or_create if anew else Clearance.objects.get_or_create
        wish, _ = ask(project_id=project_id, defaults=asked)
        return _of(wish)


def _pursued(project_id: str, allowed: Budget, tell: Callable[[Counts], None]) -> Emptied | None:
    """Delete as far as is allowed, while nobody else does; the turn is given back then.

    None where somebody was done with it, or gave it up, just now.
    """
    wish = _wanted().filter(pk=project_id).first()
    if wish is None:
        return None
    counts = Counts.of(wish.counts)
    steps = _steps(project_id, wish.until, counts)
    # Jobs that cannot be had are left to the next pass, like sessions.
    with _turn(project_id), suppress(Busy, JobConflict):
        while not allowed.is_spent:
            with retention.turn():
                more = next(steps, _OVER) is not _OVER
                wanted = _noted(project_id, counts)
            tell(counts)
            if not (more and wanted):
                return Emptied(counts, wish.until, done=not more and _concluded(wish, counts))
    return Emptied(counts, wish.until, done=False)


def _steps(project_id: str, until: datetime, counts: Counts) -> Iterator[None]:
    """The portions of the project. What of one that was merged into it is still to follow is its.

    That goes first: what is moved meanwhile is found where it is moved to.
    """
    merged = Project.objects.filter(merged_into=project_id).order_by("pk")
    those = [*merged.values_list("pk", flat=True), project_id]
    return chain.from_iterable(portions.delete(each, until, counts) for each in those)


def _of(wish: Clearance) -> Emptied:
    return Emptied(Counts.of(wish.counts), wish.until, done=False, given_up_at=wish.given_up_at)


def _found(project_id: str) -> Clearance | None:
    return Clearance.objects.filter(pk=project_id).first()


def _wanted() -> QuerySet[Clearance]:
    return Clearance.objects.filter(given_up_at__isnull=True)


def _free() -> QuerySet[Clearance]:
    """Those that nobody sees to."""
    silent = Q(worked_at__isnull=True) | Q(worked_at__lt=direct.now() - SILENCE)
    return _wanted().filter(silent)


def _taken(project_id: str) -> bool:
    """Whether the caller is the one to see to the project."""
    return bool(_free().filter(pk=project_id).update(worked_at=direct.now()))


def _noted(project_id: str, counts: Counts) -> bool:
    """Note how far it is; whether it is wanted still."""
    noted = _wanted().filter(pk=project_id)
    return bool(noted.update(counts=counts.told, worked_at=direct.now()))


@contextmanager
def _turn(project_id: str) -> Iterator[None]:
    try:
        yield
    finally:
        Clearance.objects.filter(pk=project_id).update(worked_at=None)


def _concluded(wish: Clearance, counts: Counts) -> bool:
    """Enter in the audit what went; False if somebody asked again meanwhile, or gave it up."""
    with transaction.atomic():
        asked = _wanted().select_related("project").filter(pk=wish.pk, until=wish.until)
        now = asked.select_for_update(of=("self",), no_key=True).first()
        if now is None:
            return False
        about = (now.project_id, now.project.team_id, now.origin, counts.told)
        audit.write([entries.project(entries.MEMORY_PURGED, *about)])
        now.delete()
    return True
