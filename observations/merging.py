"""Two projects that are one: all of the one is put into the other, and comes back if asked for.

From the first moment on whatever is named or known as the one is the other (`merged_into`). Then
its rows follow in portions, each noted, so that its undoing finds them; what is interrupted is gone
on with by the next look. Keys of sessions, lanes and deliveries are made by the id of the project
that a session began in (`Session.home_id`) and stay what they are, so that whatever is sent again
is known again, and jobs that wait or are worked go on.
"""

from collections.abc import Iterator, Sequence
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
    Event,
    MovedRow,
    Observation,
    Project,
    ProjectAlias,
    ProjectMerge,
    Session,
)
from queueing import direct, outbox, states
from queueing.models import GenerationJob, Lane

# So many sessions, rows or lanes go in one transaction.
AT_ONCE: Final = 100
# So long after an undoing something may still be written that was under way when it began.
UNDER_WAY: Final = timedelta(minutes=10)

_SESSION, _LANE, _KEY, _PROJECT = "session", "lane", "key", "project"
# What of a project may hang on no session.
_ALONE: Final[dict[str, Any]] = {"event": Event, "observation": Observation}


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
    team_id: str, source_id: str, target_id: str, *, origin: Origin = BY_PROGRAM
) -> ProjectMerge:
    """Put all that the project `source_id` has into `target_id`, as `origin` asks.

    Its keys are bound to the other then, and what is captured where it was known goes there. Use
    that was entered and the audit stay with it. Raises NotFound for what is not the team's,
    Conflict for one that is merged already. Must not be called inside a transaction.
    """
    with transaction.atomic():
        source, target = _both(team_id, source_id, target_id)
        _check(source, target)
        made = ProjectMerge.objects.create(
            team_id=team_id, source=source, target=target, origin=dict(origin),
            created_at=direct.now(),
        )  # fmt: skip
        _note(made, _PROJECT, source.merged.values_list("pk", flat=True))
        _note(made, _KEY, source.keys.values_list("pk", flat=True))
        source.merged.update(merged_into=target)
        source.keys.update(project=target)
        Project.objects.filter(pk=source.pk).update(merged_into=target)
        audit.write([entries.merge(entries.PROJECT_MERGED, made, origin)])
    _put(made)
    return made


def undo(team_id: str, merge_id: str, *, origin: Origin = BY_PROGRAM) -> ProjectMerge:
    """Bring back what a merge moved, as `origin` asks.

    Sessions come with all that has become of them, and so do those that began since where the
    project is known; what else came to the other project stays there. Raises NotFound for a merge
    of another team, Conflict for one that is undone, or whose other project is merged itself. Must
    not be called inside a transaction.
    """
    with transaction.atomic():
        found = ProjectMerge.objects.select_for_update().filter(pk=merge_id, team_id=team_id)
        made = found.first()
        if made is None:
            raise NotFound("There is no such merge")
        source, target = _both(team_id, made.source_id, made.target_id)
        if made.undone_at:
            raise Conflict(f"That {source} was merged into {target} is undone already")
        if target.merged_into_id:
            raise Conflict(f"{target} was merged itself since: undo that first")
        Project.objects.filter(pk=source.pk).update(merged_into=None)
        ours = Project.objects.filter(pk__in=_noted(made, _PROJECT), merged_into=target)
        ours.update(merged_into=source)
        ApiKey.objects.filter(pk__in=_noted(made, _KEY), project=target).update(project=source)
        made.undone_at = direct.now()
        made.save(update_fields=["undone_at"])
        audit.write([entries.merge(entries.MERGE_UNDONE, made, origin)])
    _bring_back(made)
    return made


def gather() -> int:
    """Go on with what was interrupted, and bring home what was under way meanwhile.

    Returns how many merges there were to see to.
    """
    has_more = Q(finished_at__isnull=True)
    models: tuple[Any, ...] = (Session, Event, Observation, Lane)
    for model in models:
        has_more |= Q(Exists(model.objects.filter(project_id=OuterRef("source_id"))))
    merges = list(ProjectMerge.objects.filter(has_more, undone_at__isnull=True))
    for each in merges:
        _put(each)
    recent = Q(settled_at__isnull=True) | Q(settled_at__gte=direct.now() - UNDER_WAY)
    undone = ProjectMerge.objects.filter(recent, undone_at__isnull=False)
    those = list(undone.filter(source__merged_into__isnull=True))
    for each in those:
        _bring_back(each)
    return len(merges) + len(those)


def _both(team_id: str, source_id: str, target_id: str) -> tuple[Project, Project]:
    rows = Project.objects.select_for_update().filter(team_id=team_id).order_by("pk")
    found = {row.pk: row for row in rows.filter(pk__in=[source_id, target_id])}
    if not {source_id, target_id} <= found.keys():
        raise NotFound("Project not found")
    return found[source_id], found[target_id]


def _check(source: Project, target: Project) -> None:
    if source.pk == target.pk:
        raise Conflict("A project cannot be merged into itself")
    for project in (source, target):
        if project.merged_into_id:
            raise Conflict(f"{project} is merged into another project")
    undone = ProjectMerge.objects.filter(undone_at__isnull=False, settled_at__isnull=True)
    if undone.filter(source=source).exists():
        raise Conflict(f"A merge of {source} is still being undone: try again in a minute")


def _put(made: ProjectMerge) -> None:
    source, target = made.source_id, made.target_id
    for some in _portions(Session.objects.filter(project_id=source)):
        with transaction.atomic():
            held = _held(some, [source])
            home = Coalesce("home_id", Value(source))
            Session.objects.filter(pk__in=held).update(project_id=target, home_id=home)
            _follow(held, target)
            _note(made, _SESSION, held)
    for sort, model in _ALONE.items():
        for some in _portions(model.objects.filter(project_id=source)):
            with transaction.atomic():
                _note(made, sort, some)
                model.objects.filter(pk__in=some).update(project_id=target)
    for some in _portions(Lane.objects.filter(project_id=source)):
        _note(made, _LANE, some)
        _hand_over(Lane.objects.filter(pk__in=some), target)
    if made.finished_at is None:
        made.finished_at = direct.now()
        made.save(update_fields=["finished_at"])


def _bring_back(made: ProjectMerge) -> None:
    source, target = made.source_id, made.target_id
    for some in _in_portions(_noted(made, _SESSION)):
        _return(some, made)
    homes = [source, *_noted(made, _PROJECT)]
    # Those that began since where it is known.
    for some in _portions(Session.objects.filter(project_id=target, home_id__in=homes)):
        _return(some, made)
    for sort, model in _ALONE.items():
        for noted in _in_portions(_noted(made, sort)):
            model.objects.filter(pk__in=noted, project_id=target).update(project_id=source)
    for noted in _in_portions(_noted(made, _LANE)):
        _hand_over(Lane.objects.filter(pk__in=noted, project_id=target), source)
    if made.settled_at is None:
        made.settled_at = direct.now()
        made.save(update_fields=["settled_at"])


def _return(sessions: Sequence[Any], made: ProjectMerge) -> None:
    """Bring sessions back, those that are there still, with what is theirs."""
    source, target = made.source_id, made.target_id
    with transaction.atomic():
        held = _held(sessions, [source, target])
        home = Case(When(home_id=source, then=None), default=F("home_id"))
        Session.objects.filter(pk__in=held).update(project_id=source, home_id=home)
        _follow(held, source)
    lanes = Session.objects.filter(pk__in=held).values_list("lane_key", flat=True)
    _hand_over(Lane.objects.filter(key__in=list(lanes), project_id=target), source)


def _held(sessions: Sequence[Any], projects: Sequence[str]) -> list[str]:
    """Those of the sessions that are in one of the projects: captures for them wait."""
    rows = Session.objects.select_for_update().filter(pk__in=sessions, project_id__in=projects)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def _follow(sessions: Sequence[str], project_id: str) -> None:
    for model in _ALONE.values():
        rows = model.objects.filter(session_id__in=sessions)
        rows.exclude(project_id=project_id).update(project_id=project_id)


def _hand_over(lanes: QuerySet[Lane], project_id: str) -> None:
    # Not with the sessions: captures lock these first, and workers lanes.
    if keys := list(lanes.values_list("key", flat=True)):
        with transaction.atomic():
            outbox.hand_over(keys, project_id)


def _note(made: ProjectMerge, sort: str, rows: "Sequence[Any] | QuerySet[Any, Any]") -> None:
    noted = [MovedRow(merge=made, sort=sort, row=str(row)) for row in rows]
    MovedRow.objects.bulk_create(noted, ignore_conflicts=True)


def _noted(made: ProjectMerge, sort: str) -> list[str]:
    rows = MovedRow.objects.filter(merge=made, sort=sort)
    return list(rows.values_list("row", flat=True))


def _portions(rows: "QuerySet[Any]") -> Iterator[list[Any]]:
    """The keys of a few of the rows that there are, until there are none."""
    keys = rows.order_by("pk").values_list("pk", flat=True)
    while some := list(keys[:AT_ONCE]):
        yield some


def _in_portions(rows: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(rows), AT_ONCE):
        yield rows[start : start + AT_ONCE]
