"""What there is to tell of a project, read from the database, for whichever page shows it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from django.db.models import Exists, OuterRef, Q, QuerySet, TextField, prefetch_related_objects
from django.db.models.functions import Cast, Coalesce

from observations import recall
from observations.context_page import Briefing, Layout, Remembered, Summed
from observations.errors import NotFound
from observations.identity import platform
from observations.models import Event, Observation, ObservationSource, Project, Session
from observations.modes import Mode
from observations.search import Filters

SUMMARY = "summary"
# `full` tells of everything; this is many times what a context holds, and fits into memory.
EVERYTHING = 10_000
# Of so many observations that name a file of that name it is looked which file it is.
MOST_LOOKED_AT = 500
_SAID = ("Stop", "assistant_message")


@dataclass(frozen=True, slots=True)
class Place:
    """Where is read: projects, the last of them the one that the page is about.

    `names` are what sessions say that they belong to, where one project holds the memory of
    several directories; None: all of it.
    """

    team_id: str
    project_ids: tuple[str, ...]
    names: tuple[str, ...] | None = None


def place(team_id: str, project_id: str | None, names: Sequence[str]) -> Place:
    """Where a caller who is bound to `project_id`, or to none, finds what is called `names`.

    The bound project itself, by its name or id, is all of it; any other name is that part of it
    whose sessions say that they belong to a project or directory of that name. Who is bound to none
    finds the team's projects of those names. Nothing outside the team or the bound project is found
    by any name.
    """
    ours = Project.objects.filter(team_id=team_id)
    if project_id is None:
        meant = Coalesce("merged_into", "pk")
        found = dict(ours.filter(name__in=names).values_list("name", meant))
        # Two of the names may be of projects that are one.
        those = dict.fromkeys(found[name] for name in names if name in found)
        return Place(team_id, tuple(those))
    bound = ours.filter(pk=project_id).values_list("name", flat=True).first()
    if not names or bound in names or project_id in names:
        return Place(team_id, (project_id,))
    return Place(team_id, (project_id,), tuple(names))


def rows(where: Place, platform_source: str | None = None) -> QuerySet[Observation]:
    """The observations there, newest first; those of sessions of one platform, if it is named."""
    found = Observation.objects.filter(team_id=where.team_id, project_id__in=where.project_ids)
    if where.names is not None:
        # What was remembered by hand, outside of any session, concerns each of them.
        found = found.filter(Q(session__isnull=True) | Q(session_id__in=_sessions(where)))
    if platform_source:
        found = found.filter(_of_platform(platform(platform_source)))
    return found.select_related("session", "project")


def briefing(
    where: Place,
    *,
    title: str,
    mode: Mode,
    layout: Layout,
    full: bool = False,
    platform_source: str | None = None,
    warning: str = "",
) -> Briefing:
    """What a session that begins there is told; `full` tells of everything."""
    there = rows(where, platform_source)
    observations, sessions = (
        (EVERYTHING, EVERYTHING) if full else (layout.observations, layout.sessions + 1)
    )
    named = there.annotate(words=Cast("concepts", TextField()))
    shown = named.exclude(kind=SUMMARY).filter(_in_mode(mode))[:observations]
    summaries = there.filter(kind=SUMMARY)[:sessions]
    told = tuple(_remembered(row) for row in shown)
    summed = tuple(_summed(row) for row in summaries)
    return Briefing(
        project=title,
        mode=mode,
        observations=told,
        summaries=summed,
        said=_said(where) if layout.last_message else "",
        warning=warning,
        fresh=not told and not summed and not rows(where).exists(),
    )


def of_files(where: Place, paths: Iterable[str], *, limit: int) -> tuple[Observation, ...]:
    """The newest observations that read or modified one of these files.

    A path matches a longer or a shorter one that ends alike.
    """
    wanted = [_parts(path) for path in paths]
    named = Q()
    for name in {parts[-1] for parts in wanted if parts}:
        for stored in _as_stored(name):
            named |= Q(touched__contains=stored)
    if not named:
        return ()
    read = rows(where).annotate(touched=Cast("files_read", TextField())).filter(named)
    written = rows(where).annotate(touched=Cast("files_modified", TextField())).filter(named)
    found = {row.number: row for row in (*read[:MOST_LOOKED_AT], *written[:MOST_LOOKED_AT])}
    ordered = sorted(found.values(), key=lambda row: (row.occurred_at, row.number), reverse=True)
    return tuple(row for row in ordered if _touches(row, wanted))[:limit]


def listed(where: Place, wanted: Filters, limit: int) -> tuple[Observation, ...]:
    """The newest observations there that are as wanted, as far as kinds, times and platform go."""
    found = rows(where, wanted.platform_source)
    if wanted.kinds:
        found = found.filter(kind__in=wanted.kinds)
    if wanted.since:
        found = found.filter(occurred_at__gte=wanted.since)
    if wanted.until:
        found = found.filter(occurred_at__lt=wanted.until)
    return tuple(found[:limit])


def search(where: Place, query: str, wanted: Filters, *, limit: int) -> tuple[Observation, ...]:
    """What answers a question best, best first: of all that the last of the projects remembers.

    The names of a place do not narrow it: whoever asks means whatever is known.
    """
    if not where.project_ids:
        return ()
    page = recall.search(
        where.project_ids[-1],
        query,
        limit=limit,
        filters=wanted,
        platform_source=wanted.platform_source,
    )
    prefetch_related_objects(page.observations, "session", "project")
    return page.observations


def around(
    where: Place, anchor: Observation, *, before: int, after: int
) -> tuple[Observation, ...]:
    """An observation and its neighbours in time, oldest first."""
    return recall.neighbours(rows(where), anchor, before=before, after=after)


def nearest(where: Place, moment: datetime) -> Observation | None:
    """The last observation up to a moment, or else the first after it."""
    there = rows(where)
    return there.filter(occurred_at__lte=moment).first() or there.last()


def numbered(where: Place, numbers: Sequence[int]) -> tuple[Observation, ...]:
    """The observations of these numbers that are there, newest first."""
    return tuple(rows(where).filter(number__in=numbers))


def one(where: Place, number: int) -> Observation:
    """The observation of that number. Raises NotFound."""
    found = numbered(where, [number])
    if not found:
        raise NotFound(f"There is no observation {number} in reach")
    return found[0]


def work_tokens(row: Observation) -> int:
    """What the work cost of which it was made; 0 where that is not known."""
    cost = row.metadata.get("discovery_tokens", 0)
    return cost if isinstance(cost, int) and cost > 0 else 0


def project_of(row: Observation) -> str:
    """What its session says that it belongs to, by metadata or directory; else its project."""
    session = row.session
    said = session.metadata.get("project") if session else None
    if isinstance(said, str) and said:
        return said
    return (PurePosixPath(session.cwd).name if session else "") or row.project.name


def _sessions(where: Place) -> Iterable[object]:
    of_name = Q(metadata__project__in=where.names)
    for name in where.names or ():
        of_name |= Q(metadata__project__isnull=True, cwd__endswith=f"/{name}")
    return Session.objects.filter(of_name, project_id__in=where.project_ids).values("pk")


def _of_platform(name: str | None) -> Q:
    made_of = ObservationSource.objects.filter(
        observation=OuterRef("pk"), event__platform_source=name
    )
    by_hand = Q(created_by_job_id__isnull=True)
    outside = Q(session__isnull=True) & (by_hand | Q(Exists(made_of)))
    return outside | Q(session__platform_source=name)


def _in_mode(mode: Mode) -> Q:
    """Of the mode's types, with one of its concepts; or remembered by hand, by whatever name."""
    concepts = Q()
    for concept in mode.concept_ids:
        concepts |= Q(words__contains=f'"{concept}"')
    return Q(kind__in=mode.type_ids) & concepts | Q(created_by_job_id__isnull=True)


def _said(where: Place) -> str:
    """What the agent said at the end of the last turn that is known."""
    found = Event.objects.filter(project_id__in=where.project_ids, event_type__in=_SAID)
    if where.names is not None:
        found = found.filter(session_id__in=_sessions(where))
    event = found.order_by("-received_at").first()
    payload = event.payload if event else None
    said = payload.get("last_assistant_message") if isinstance(payload, dict) else None
    return said if isinstance(said, str) else ""


def _remembered(row: Observation) -> Remembered:
    return Remembered(recall.item(row), work_tokens(row))


def _summed(row: Observation) -> Summed:
    names = ("request", "investigated", "learned", "completed", "next_steps")
    said = {name: row.metadata.get(name) for name in names}
    return Summed(
        row.number, row.occurred_at, **{n: v for n, v in said.items() if isinstance(v, str)}
    )


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.replace("\\", "/").split("/") if part not in ("", ".", ".."))


def _as_stored(name: str) -> set[str]:
    """The end of a path of that name as it stands in a list's JSON, by each who may write one."""
    return {json.dumps(name, ensure_ascii=plain)[1:] for plain in (False, True)}


def _touches(row: Observation, wanted: Sequence[tuple[str, ...]]) -> bool:
    return any(
        ours[-len(theirs) :] == theirs[-len(ours) :]
        for ours in map(_parts, (*row.files_modified, *row.files_read))
        for theirs in wanted
        if ours and theirs
    )
