"""All reads of memory: search, context, recent, timeline, one, and what the next session gets.

Every read names its scope, a team or a project; whether the caller may read that is asked before.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from observations.errors import NotFound
from observations.identity import platform
from observations.listings import OF_PROJECT, Listed, Window, of_session, page, part, reached
from observations.models import Observation, ObservationSource, Project
from observations.rendering import ContextText, Item, context_block
from observations.search import Filters, keyword_index
from observations.search.terms import query_terms

KEYWORD = "keyword"
# How much the next session's context chooses from, each newest first; the budget decides.
SUMMARIES = 3
LASTING = 6
RECENT = 40
# So far a question's answers are told page by page.
MOST_RANKED = 500


@dataclass(frozen=True, slots=True)
class Page:
    """An answer: observations, best first, their scores in the same order, and how it was found.

    `arms` names the searches that ran. Scores compare only within one page.
    """

    observations: tuple[Observation, ...] = ()
    scores: tuple[float, ...] = ()
    arms: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The contents that are not empty, in order, with a blank line between them."""
        return as_text(self.observations)


def search(
    project_id: str,
    query: str,
    *,
    limit: int = 20,
    platform_source: str | None = None,
    filters: Filters | None = None,
) -> Page:
    """The `limit` observations of a project that answer a question in plain words best.

    `query` may be any text; one without a word to look for finds nothing, and no arm runs.
    """
    terms = query_terms(query)
    if not terms.any:
        return Page()
    wanted = _canonical(filters or Filters(), platform_source)
    hits = keyword_index().find(terms, wanted, project_ids=(project_id,), limit=limit)
    rows = Observation.objects.in_bulk([hit.number for hit in hits])
    # A row may have been forgotten between the two reads.
    there = [hit for hit in hits if hit.number in rows]
    return Page(
        tuple(rows[hit.number] for hit in there), tuple(hit.score for hit in there), (KEYWORD,)
    )


def ranked(project_id: str, query: str, filters: Filters, window: Window) -> Listed[Observation]:
    """A page of what answers a question best; its place is how many were shown before.

    It ends with the best `MOST_RANKED`. Whatever is stored between two pages may move the ranks.
    """
    enough = min(reached(window) + 1, MOST_RANKED)
    found = search(project_id, query, limit=enough, filters=filters).observations
    return part(found, window)


def context(
    project_id: str, query: str, *, limit: int = 10, platform_source: str | None = None
) -> Page:
    """What bears on a question, to be put before an agent as the page's `text`."""
    return search(project_id, query, limit=limit, platform_source=platform_source)


def as_text(rows: Iterable[Observation]) -> str:
    """The contents that are not empty, in order, with a blank line between them."""
    return "\n\n".join(row.content for row in rows if row.content)


def recent(project_id: str, limit: int = 20) -> tuple[Observation, ...]:
    """The newest observations of a project, newest first."""
    return tuple(_of(project_id)[:limit])


def timeline(
    project_id: str, *, session_id: str | None = None, around: str | None = None, limit: int = 20
) -> tuple[Observation, ...]:
    """Observations of a project or of one of its sessions, oldest first.

    The last `limit`; with `around`, the id of an observation, it and its neighbours, half of them
    from before. Raises NotFound if that one is not in the project.
    """
    rows = _of(project_id)
    if session_id is not None:
        rows = rows.filter(session_id=session_id)
    if around is None:
        return tuple(rows[:limit])[::-1]
    middle = _one(_of(project_id).filter(id=around))
    half = (limit - 1) // 2
    return neighbours(rows, middle, before=half, after=limit - 1 - half)


def neighbours(
    rows: QuerySet[Observation], middle: Observation, *, before: int, after: int
) -> tuple[Observation, ...]:
    """`middle`, and so many of `rows` from before it and after it, oldest first."""
    same_time = Q(occurred_at=middle.occurred_at)
    earlier = rows.filter(
        Q(occurred_at__lt=middle.occurred_at) | same_time & Q(number__lt=middle.number)
    )
    later = rows.filter(
        Q(occurred_at__gt=middle.occurred_at) | same_time & Q(number__gt=middle.number)
    ).reverse()
    return (*tuple(earlier[:before])[::-1], middle, *later[:after])


def of_event(team_id: str, event_id: str) -> tuple[ObservationSource, ...]:
    """What was made of an event, in order of creation: the links, each with its observation."""
    links = ObservationSource.objects.filter(event_id=event_id, observation__team_id=team_id)
    return tuple(
        links.select_related("observation").order_by(
            "observation__created_at", "observation__number"
        )
    )


def get(team_id: str, observation_id: str, *, project_id: str | None = None) -> Observation:
    """One observation of a team, or of one of its projects, by its id. Raises NotFound."""
    rows = Observation.objects.filter(team_id=team_id, id=observation_id)
    return _one(rows.filter(project_id=project_id) if project_id else rows)


def listed(project_id: str, filters: Filters, window: Window) -> Listed[Observation]:
    """A page of a project's observations, or of those of one of its sessions, newest first."""
    rows = Observation.objects.filter(project_id=project_id)
    if filters.session_id is not None:
        rows = of_session(Observation.objects.all(), filters.session_id, project_id)
    if filters.since is not None:
        rows = rows.filter(occurred_at__gte=filters.since)
    if filters.until is not None:
        rows = rows.filter(occurred_at__lt=filters.until)
    others = _canonical(replace(filters, session_id=None, since=None, until=None), None)
    return page(rows, OF_PROJECT, window, _fitting(rows, others))


def session_context(project_id: str, *, budget_tokens: int = 800) -> ContextText:
    """What the next session of a project is told, within the budget. Raises NotFound.

    The newest summaries, then what lasts (decisions, gotchas, what was remembered by hand), then
    the newest of the rest.
    """
    name = Project.objects.filter(pk=project_id).values_list("name", flat=True).first()
    if name is None:
        raise NotFound("not_found")
    rows = _of(project_id)
    chosen = (
        *rows.filter(kind="summary")[:SUMMARIES],
        *_lasting(rows)[:LASTING],
        *rows.exclude(kind="summary")[:RECENT],
    )
    return context_block(items(chosen), project=name, budget_tokens=budget_tokens)


def item(row: Observation) -> Item:
    """The row as it is shown; a memory without narrative shows its content."""
    return Item(
        number=row.number,
        id=row.id,
        kind=row.kind,
        title=row.title,
        subtitle=row.subtitle,
        narrative=row.narrative or row.content,
        facts=tuple(row.facts),
        files_read=tuple(row.files_read),
        files_modified=tuple(row.files_modified),
        occurred_at=row.occurred_at,
        session_id=row.session_id,
    )


def items(rows: Iterable[Observation]) -> tuple[Item, ...]:
    """The rows as they are shown, each once, in their order."""
    return tuple(item(row) for row in {row.number: row for row in rows}.values())


def _of(project_id: str) -> QuerySet[Observation]:
    return Observation.objects.filter(project_id=project_id)


def _canonical(filters: Filters, platform_source: str | None) -> Filters:
    """The filters with the platform's canonical name."""
    named = platform_source or filters.platform_source
    return replace(filters, platform_source=platform(named)) if named else filters


def _fitting(rows: QuerySet[Observation], filters: Filters) -> QuerySet[Observation] | None:
    """Those of the rows that are as the filters say; None if these say nothing."""
    conditions = list(keyword_index().conditions(filters, Observation._meta.db_table))
    for sql, values in conditions:
        rows = rows.extra(where=[sql], params=list(values))  # noqa: S610 - the SQL is our own
    return rows if conditions else None


def _one(rows: QuerySet[Observation]) -> Observation:
    row = rows.first()
    if row is None:
        raise NotFound("not_found")
    return row


def _lasting(rows: QuerySet[Observation]) -> QuerySet[Observation]:
    gotcha = Q(words__contains='"gotcha"')
    named = rows.annotate(words=Cast("concepts", TextField()))
    return named.filter(Q(kind__in=("decision", "manual")) | gotcha)
