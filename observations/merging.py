"""Two projects that are one: all of the one is put into the other, and comes back if asked for.

From the first moment on whatever is named or known as the one is the other (`merged_into`). Then
its rows follow in portions, each noted, so that its undoing finds them; what is interrupted is gone
on with by the next look. Keys of sessions, lanes and deliveries are made by the id of the project
that a session began in (`Session.home_id`) and stay what they are, so that whatever is sent again
is known again, and jobs that wait or are worked go on.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce

from observations import audit, entries
from observations.entries import BY_PROGRAM, Origin
from observations.errors import Conflict, NotFound
from observations.models import (
    ApiKey,
    Clearance,
    Event,
    MovedRow,
    Observation,
    Project,
    ProjectAlias,
    ProjectMerge,
    Session,
)
from queueing import direct, outbox, retention, states
from queueing.models import GenerationJob, Lane
from queueing.retention import Budget

# So many rows go in one transaction, and of sessions and lanes with all that is theirs so many.
AT_ONCE: Final = 100
WHOLE: Final = 5
# A look goes on for so many seconds: it comes every minute, and the next goes on.
LOOK_SECONDS: Final = 50.0
# So often at most another project is merged into one that is about to be merged.
_MOST_COLLISIONS: Final = 5
# So long after an undoing something may still be written that was under way when it began.
UNDER_WAY: Final = timedelta(minutes=10)

_SESSION, _LANE, _KEY, _PROJECT = "session", "lane", "key", "project"
# What of a project may hang on no session.
_ALONE: Final[dict[str, Any]] = {"event": Event, "observation": Observation}


class _Spent(Exception):
    """It took as long as it may; the rest is gone on with by the next look."""


@dataclass(frozen=True, slots=True)
class Contents:
    """How much a project has; of `jobs` those that wait or are worked."""

    sessions: int
    events: int
    observations: int
    jobs: int
    aliases: int
    keys: int


def contents(project_id: str) -> Contents:
    """What would be put into another project with this one."""
    of = {"project_id": project_id}
    return Contents(
        Session.objects.filter(**of).count(),
        Event.objects.filter(**of).count(),
        Observation.objects.filter(**of).count(),
        GenerationJob.objects.filter(state__in=states.OPEN, **of).count(),
        ProjectAlias.objects.filter(Q(**of) | Q(project__merged_into=project_id)).count(),
        ApiKey.objects.filter(**of).count(),
    )


def merge(
    team_id: str,
    source_id: str,
    target_id: str,
    *,
    origin: Origin = BY_PROGRAM,
    allowed: Budget | None = None,
) -> ProjectMerge:
    """Put all that the project `source_id` has into `target_id`, as `origin` asks.

    Its rows follow as far as is `allowed`, by default all of them; `finished_at` says that they
    have. Its keys are bound to the other then, and what is captured where it was known goes there.
    Use that was entered and the audit stay with it. Raises NotFound for what is not the team's,
    Conflict for one that is merged already or being emptied. Must not be called inside a
    transaction.
    """
    with transaction.atomic():
        source, target = _with_merged(team_id, source_id, target_id)
        _check(source, target)
        made = ProjectMerge.objects.create(
            team_id=team_id, source=source, target=target, origin=dict(origin),
            created_at=direct.now(),
        )  # fmt: skip
        _note(made, _PROJECT, source.merged.values_list("pk", flat=True))
        _note(made, _KEY, source.keys.values_list("pk", flat=True))
        source.merged.update(merged_into=target)
        _in_order(source.keys.all()).update(project=target)
        Project.objects.filter(pk=source.pk).update(merged_into=target)
        audit.write([entries.merge(entries.PROJECT_MERGED, made, origin)])
    with suppress(_Spent):
        _put(made, allowed or _all())
    return made


def undo(
    team_id: str, merge_id: str, *, origin: Origin = BY_PROGRAM, allowed: Budget | None = None
) -> ProjectMerge:
    """Bring back what a merge moved, as `origin` asks and as far as is `allowed`, like `merge`.

    `settled_at` says that all is back. Sessions come with all that has become of them, and so do
    those that began since where the project is known; what else came to the other project stays
    there. Raises NotFound for a merge of another team, Conflict for one that is undone, or whose
    other project is merged itself or being emptied. Must not be called inside a transaction.
    """
    with transaction.atomic():
        found = ProjectMerge.objects.filter(pk=merge_id, team_id=team_id)
        made = found.select_for_update(no_key=True).first()
        if made is None:
            raise NotFound("There is no such merge")
        came_along = _noted(made, _PROJECT)
        source, target = _both(team_id, made.source_id, made.target_id, came_along)
        if made.undone_at:
            raise Conflict(f"That {source} was merged into {target} is undone already")
        if target.merged_into_id:
            raise Conflict(f"{target} was merged itself since: undo that first")
        _check_it_stays(target)
        Project.objects.filter(pk=source.pk).update(merged_into=None)
        ours = Project.objects.filter(pk__in=came_along, merged_into=target)
        ours.update(merged_into=source)
        bound = ApiKey.objects.filter(pk__in=_noted(made, _KEY), project=target)
        _in_order(bound).update(project=source)
        made.undone_at = direct.now()
        made.save(update_fields=["undone_at"])
        audit.write([entries.merge(entries.MERGE_UNDONE, made, origin)])
    with suppress(_Spent):
        _bring_back(made, allowed or _all())
    return made


def gather(allowed: Budget | None = None) -> int:
    """Go on with what was interrupted, and bring home what was under way meanwhile.

    As far as is `allowed`, by default all of it. Returns how many merges there were to see to.
    """
    allowed = allowed or _all()
    has_more = Q(finished_at__isnull=True)
    models: tuple[Any, ...] = (Session, Event, Observation, Lane)
    for model in models:
        has_more |= Q(Exists(model.objects.filter(project_id=OuterRef("source_id"))))
    merges = list(ProjectMerge.objects.filter(has_more, undone_at__isnull=True))
    for each in merges:
        with suppress(_Spent):
            _put(each, allowed)
    recent = Q(settled_at__isnull=True) | Q(settled_at__gte=direct.now() - UNDER_WAY)
    undone = ProjectMerge.objects.filter(recent, undone_at__isnull=False)
    those = list(undone.filter(source__merged_into__isnull=True))
    for each in those:
        with suppress(_Spent):
            _bring_back(each, allowed)
    return len(merges) + len(those)


def _with_merged(team_id: str, source_id: str, target_id: str) -> tuple[Project, Project]:
    """As `_both`, with all that is merged into the first."""
    merged = Project.objects.filter(merged_into=source_id)
    for _ in range(_MOST_COLLISIONS):
        known = set(merged.values_list("pk", flat=True))
        savepoint = transaction.savepoint()
        both = _both(team_id, source_id, target_id, known)
        # Now that it is locked nothing more is merged into it; but it may have been before.
        if known.issuperset(merged.values_list("pk", flat=True)):
            transaction.savepoint_commit(savepoint)
            return both
        transaction.savepoint_rollback(savepoint)
    raise Conflict("Other projects are just being merged into it: try again in a minute")


def _both(
    team_id: str, source_id: str, target_id: str, more: Iterable[str] = ()
) -> tuple[Project, Project]:
    """The two projects, locked with `more` in the order of their keys: others merge as well.

    Of a chain of merges each wants several; whoever took first the two and then the rest, and
    whoever undoes a merge of those, would wait for each other.
    """
    rows = Project.objects.select_for_update(no_key=True).filter(team_id=team_id).order_by("pk")
    found = {row.pk: row for row in rows.filter(pk__in={source_id, target_id, *more})}
    if not {source_id, target_id} <= found.keys():
        raise NotFound("Project not found")
    return found[source_id], found[target_id]


def _check(source: Project, target: Project) -> None:
    if source.pk == target.pk:
        raise Conflict("A project cannot be merged into itself")
    for project in (source, target):
        if project.merged_into_id:
            raise Conflict(f"{project} is merged into another project")
        _check_it_stays(project)
    undone = ProjectMerge.objects.filter(undone_at__isnull=False, settled_at__isnull=True)
    if undone.filter(source=source).exists():
        raise Conflict(f"A merge of {source} is still being undone: try again in a minute")


def _check_it_stays(project: Project) -> None:
    # What is moved in would go with what is there, and what is moved out would stay.
    if Clearance.objects.filter(project=project, given_up_at__isnull=True).exists():
        raise Conflict(f"What {project} remembers is being deleted: try again when that is done")


def _put(made: ProjectMerge, allowed: Budget) -> None:
    source, target = made.source_id, made.target_id
    for some in _portions(Session.objects.filter(project_id=source), allowed, WHOLE):
        with retention.turn():
            held = _held(some, [source])
            home = Coalesce("home_id", Value(source))
            Session.objects.filter(pk__in=held).update(project_id=target, home_id=home)
            _follow(held, target)
            _note(made, _SESSION, held)
    for sort, model in _ALONE.items():
        for some in _portions(model.objects.filter(project_id=source), allowed):
            with retention.turn():
                _note(made, sort, some)
                _in_order(model.objects.filter(pk__in=some)).update(project_id=target)
    for some in _portions(Lane.objects.filter(project_id=source), allowed, WHOLE):
        _note(made, _LANE, some)
        _hand_over(Lane.objects.filter(pk__in=some), target)
    if made.finished_at is None:
        made.finished_at = direct.now()
        made.save(update_fields=["finished_at"])


def _bring_back(made: ProjectMerge, allowed: Budget) -> None:
    source, target = made.source_id, made.target_id
    for some in _in_portions(_noted(made, _SESSION), allowed, WHOLE):
        _return(some, made)
    homes = [source, *_noted(made, _PROJECT)]
    # Those that began since where it is known.
    began = Session.objects.filter(project_id=target, home_id__in=homes)
    for some in _portions(began, allowed, WHOLE):
        _return(some, made)
    for some in _portions(_strayed(source, target), allowed, WHOLE):
        _return(some, made)
    for sort, model in _ALONE.items():
        for noted in _in_portions(_noted(made, sort), allowed):
            with retention.turn():
                rows = model.objects.filter(pk__in=noted, project_id=target)
                _in_order(rows).update(project_id=source)
    for noted in _in_portions(_noted(made, _LANE), allowed, WHOLE):
        _hand_over(Lane.objects.filter(pk__in=noted, project_id=target), source)
    if made.settled_at is None:
        made.settled_at = direct.now()
        made.save(update_fields=["settled_at"])


def _strayed(source: str, target: str) -> "QuerySet[Session]":
    """Sessions that are back, for which somebody wrote who still took them for the other's."""
    there = Q(Exists(_lanes_of(target).filter(key=OuterRef("lane_key"))))
    for model in _ALONE.values():
        rows = model.objects.filter(session_id=OuterRef("pk"), project_id=target)
        there |= Q(Exists(rows))
    return Session.objects.filter(there, project_id=source)


def _lanes_of(project_id: str) -> "QuerySet[Lane]":
    """Lanes that are a project's, or hold a job of it."""
    job = GenerationJob.objects.filter(lane_id=OuterRef("pk"), project_id=project_id)
    return Lane.objects.filter(Q(project_id=project_id) | Q(Exists(job)))


def _return(sessions: Sequence[Any], made: ProjectMerge) -> None:
    """Bring sessions back, those that are there still, with what is theirs."""
    source, target = made.source_id, made.target_id
    with retention.turn():
        held = _held(sessions, [source, target])
        home = Case(When(home_id=source, then=None), default=F("home_id"))
        Session.objects.filter(pk__in=held).update(project_id=source, home_id=home)
        _follow(held, source)
    lanes = Session.objects.filter(pk__in=held).values_list("lane_key", flat=True)
    _hand_over(_lanes_of(target).filter(key__in=list(lanes)), source)


def _held(sessions: Sequence[Any], projects: Sequence[str]) -> list[str]:
    """Those of the sessions that are in one of the projects: captures for them wait."""
    rows = Session.objects.filter(pk__in=sessions, project_id__in=projects).order_by("pk")
    return list(rows.select_for_update(no_key=True).values_list("pk", flat=True))


def _follow(sessions: Sequence[str], project_id: str) -> None:
    for model in _ALONE.values():
        rows = model.objects.filter(session_id__in=sessions)
        _in_order(rows.exclude(project_id=project_id)).update(project_id=project_id)


def _in_order(rows: "QuerySet[Any, Any]") -> "QuerySet[Any, Any]":
    """The rows, to be locked in the order of their keys, as others do who write several."""
    locked = rows.order_by("pk").select_for_update(no_key=True)
    found: QuerySet[Any, Any] = rows.model._default_manager.filter(pk__in=locked.values("pk"))
    return found


def _hand_over(lanes: QuerySet[Lane], project_id: str) -> None:
    # Not with the sessions: captures lock these first, and workers lanes.
    if keys := list(lanes.values_list("key", flat=True)):
        with retention.turn():
            outbox.hand_over(keys, project_id)


def _note(made: ProjectMerge, sort: str, rows: "Sequence[Any] | QuerySet[Any, Any]") -> None:
    noted = [MovedRow(merge=made, sort=sort, row=str(row)) for row in rows]
    MovedRow.objects.bulk_create(noted, ignore_conflicts=True)


def _noted(made: ProjectMerge, sort: str) -> list[str]:
    rows = MovedRow.objects.filter(merge=made, sort=sort)
    return list(rows.values_list("row", flat=True))


def _all() -> Budget:
    return retention.budget(math.inf)


def _portions(rows: "QuerySet[Any]", allowed: Budget, size: int = AT_ONCE) -> Iterator[list[Any]]:
    """The keys of a few of the rows that there are, until there are none. Raises _Spent."""
    keys = rows.order_by("pk").values_list("pk", flat=True)
    while some := list(keys[:size]):
        if allowed.is_spent:
            raise _Spent
        yield some


def _in_portions(
    rows: Sequence[str], allowed: Budget, size: int = AT_ONCE
) -> Iterator[Sequence[str]]:
    for start in range(0, len(rows), size):
        if allowed.is_spent:
            raise _Spent
        yield rows[start : start + size]
