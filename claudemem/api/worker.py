"""What claude-mem's worker answered to its hooks and its MCP server: memory, as pages and rows."""

import math
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import Annotated

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router
from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from claudemem.api import audited, bodies, here, rows
from claudemem.api import worker_wire as wire
from claudemem.api.answers import Answer
from claudemem.api.calls import Call
from claudemem.api.documents import Media, says
from claudemem.api.errors import BadRequest
from claudemem.api.here import Asked, Here
from claudemem.api.shapes import Body, Whole, Word
from observations import briefing, context_page, modes, recall, scopes
from observations.context_page import Layout
from observations.errors import NotFound
from observations.models import Observation
from observations.modes import Mode
from observations.search import Filters
from queueing import pauses

router = Router(tags=["claude-mem"])
Names = Annotated[str, Field(description="Names with commas between; the last is the own one")]
READ = Here(scopes.READ_MEMORY)

MOST, USUAL = 100, 20
MOST_FILES, USUAL_FILES = 100, 40
MOST_SEMANTIC, USUAL_SEMANTIC = 20, 5
_FAR = 10_000
# So often in a row a provider refuses before a page says so.
_TELLING = 3
_TROUBLE = (
    "the provider refuses every job, so nothing new is made of what is captured; it waits, and "
    "`claudemem status` says why"
)
# Whoever is bound to no project has to name one.
NAMELESS = (BadRequest, NotFound)
PAGE = Media("text/plain; charset=utf-8")


class Inject(TypedDict, total=False):
    """Which projects, for whom."""

    projects: Names
    project: str
    platformSource: str
    colors: Annotated[str, Field(description="`true`: coloured, for a terminal")]
    full: Annotated[str, Field(description="`true`: all there is, not the newest alone")]


class Listing(TypedDict, total=False):
    """A part of what there is."""

    projects: Names
    project: str
    platformSource: str
    limit: Annotated[str, Field(description="1 to 100, 20 where it is none of them")]
    offset: str


class Files(TypedDict, total=False):
    """Paths of one file."""

    path: list[str]
    projects: Names
    limit: Annotated[str, Field(description="1 to 100, 40 where it is none of them")]


class Question(Listing, total=False):
    """What is looked for. What is not understood is ignored."""

    query: str
    type: Annotated[str, Field(description="`observations`, or `sessions` for summaries alone")]
    obs_type: Annotated[str, Field(description="Types with commas between")]
    dateStart: Annotated[str, Field(description="ISO 8601, or milliseconds since 1970")]
    dateEnd: str
    orderBy: Annotated[str, Field(description="`relevance`, `date_desc` or `date_asc`")]
    format: Annotated[str, Field(description="`json`: rows in place of a text")]


class Anchor(TypedDict, total=False):
    """Around what, and how much."""

    anchor: Annotated[str, Field(description="A number, or a time as ISO 8601")]
    query: str
    depth_before: str
    depth_after: str
    projects: Names
    project: str


@router.get(
    "/context/inject",
    auth=READ,
    openapi_extra=says(
        query=Inject, answers={200: Media("text/plain; charset=utf-8")}, refusals=NAMELESS
    ),
)
def inject(request: Call) -> HttpResponse:
    """What a session of these projects begins with, as text; the last project is its own."""
    asked = here.asked(request, here.names(request))
    layout = layout_in_force()
    told = briefing.briefing(
        asked.place,
        title=asked.title,
        mode=mode(),
        layout=layout,
        full=_flag(request, "full"),
        platform_source=request.GET.get("platformSource") or None,
        warning=_warning(),
    )
    ids = [each.item.id for each in told.observations]
    audited.shown_ids(request, "inject", ids, project_id=request.auth.project_id)
    colours, zone = _flag(request, "colors"), settings.TIMEZONE
    text = context_page.page(told, layout, now=timezone.now(), zone=zone, colours=colours)
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


class SemanticBody(Body):
    """A prompt, for which something is looked for that may help."""

    q: str = ""
    project: Word | None = None
    limit: Annotated[Whole, Field(ge=1)] = USUAL_SEMANTIC
    platform_source: Word | None = None


SEMANTIC = TypeAdapter(SemanticBody)


@router.post(
    "/context/semantic",
    auth=READ,
    openapi_extra=says(takes=SEMANTIC, answers={200: wire.Semantic}, refusals=NAMELESS),
)
def semantic(request: Call) -> Answer[wire.Semantic]:
    """What bears on a prompt, as text; an empty text where nothing does."""
    body = bodies.read(request, SEMANTIC)
    asked = here.asked(request, [body.project] if body.project else _all_of(request))
    limit = min(body.limit, MOST_SEMANTIC)
    wanted = Filters(platform_source=body.platform_source or None)
    found = briefing.search(asked.place, body.q, wanted, limit=limit)
    audited.shown(request, "semantic", found, project_id=request.auth.project_id, limit=limit)
    text = context_page.excerpts(recall.items(found), settings.TIMEZONE)
    return Answer({"context": text, "count": len(found)})


@router.get(
    "/observations",
    auth=READ,
    openapi_extra=says(query=Listing, answers={200: wire.Rows}, refusals=NAMELESS),
)
def listed(request: Call) -> Answer[wire.Rows]:
    """Observations, newest first: `limit` of them after `offset`."""
    asked = here.asked(request, here.names(request) or _all_of(request))
    limit, offset = _number(request, "limit", USUAL, most=MOST), _number(request, "offset", 0)
    there = briefing.rows(asked.place, request.GET.get("platformSource") or None)
    found = tuple(there[offset : offset + limit + 1])
    audited.shown(request, "recent", found[:limit], project_id=request.auth.project_id)
    more = len(found) > limit
    items = rows.many(found[:limit])
    return Answer({"items": items, "hasMore": more, "offset": offset, "limit": limit})


@router.get(
    "/observations/by-file",
    auth=READ,
    openapi_extra=says(query=Files, answers={200: wire.OfFile}, refusals=NAMELESS),
)
def by_file(request: Call) -> Answer[wire.OfFile]:
    """The newest observations about a file, by any of its paths: `path` may be repeated."""
    paths = [path for path in request.GET.getlist("path") if path]
    if not paths:
        raise BadRequest("Name at least one path: path=<path>")
    asked = here.asked(request, here.names(request) or _all_of(request))
    limit = _number(request, "limit", USUAL_FILES, most=MOST_FILES)
    found = briefing.of_files(asked.place, paths, limit=limit)
    audited.shown(request, "by_file", found, project_id=request.auth.project_id)
    return Answer({"observations": rows.many(found), "count": len(found)})


class BatchBody(Body):
    """Observations by their numbers, as pages name them."""

    ids: Annotated[list[Whole], Field(max_length=MOST)]
    order_by: str | None = None
    limit: Annotated[Whole, Field(ge=1)] | None = None


BATCH = TypeAdapter(BatchBody)


@router.post(
    "/observations/batch",
    auth=READ,
    openapi_extra=says(takes=BATCH, answers={200: list[wire.Row]}, refusals=NAMELESS),
)
def batch(request: Call) -> Answer[list[wire.Row]]:
    """The observations of these numbers that are in reach; newest first, or `date_asc`."""
    body = bodies.read(request, BATCH)
    asked = here.asked(request, _all_of(request))
    found = briefing.numbered(asked.place, [number for number in body.ids if abs(number) < 2**63])
    ordered = (found[::-1] if body.order_by == "date_asc" else found)[: body.limit]
    audited.shown(request, "batch", ordered, project_id=request.auth.project_id)
    return Answer(rows.many(ordered))


@router.get(
    "/search",
    auth=READ,
    openapi_extra=says(
        query=Question, answers={200: wire.Content | wire.FoundRows}, refusals=NAMELESS
    ),
)
def search(request: Call) -> Answer[wire.Content | wire.FoundRows]:
    """What answers a question: as text for an agent, or with `format=json` as rows."""
    asked = here.asked(request, here.names(request) or _all_of(request))
    found = _matching(request, asked)
    audited.shown(request, "search", found, project_id=request.auth.project_id)
    if request.GET.get("format") == "json":
        return Answer({
            "observations": rows.many(found),
            "sessions": [],
            "prompts": [],
            "totalResults": len(found),
            "query": request.GET.get("query", ""),
        })  # fmt: skip
    text = context_page.index(recall.items(found), mode(), settings.TIMEZONE)
    return Answer({"content": [{"type": "text", "text": text}]})


@router.get(
    "/timeline",
    auth=READ,
    openapi_extra=says(query=Anchor, answers={200: wire.Content}, refusals=NAMELESS),
)
def timeline(request: Call) -> Answer[wire.Content]:
    """What happened around an observation: by its number as `anchor`, or by a `query`."""
    asked = here.asked(request, here.names(request) or _all_of(request))
    anchor = _anchor(request, asked)
    if anchor is None:
        return _as_text(context_page.index((), mode(), settings.TIMEZONE))
    before = _number(request, "depth_before", 10, most=MOST)
    after = _number(request, "depth_after", 10, most=MOST)
    found = briefing.around(asked.place, anchor, before=before, after=after)
    audited.shown(request, "timeline", found, project_id=request.auth.project_id)
    items, zone = recall.items(found), settings.TIMEZONE
    return _as_text(context_page.index(items, mode(), zone, marked=anchor.number))


def layout_in_force() -> Layout:
    """How much a session is told, and how, as it is configured."""
    return Layout(
        observations=settings.CONTEXT_OBSERVATIONS,
        sessions=settings.CONTEXT_SESSION_COUNT,
        full=settings.CONTEXT_FULL_COUNT,
        full_field=settings.CONTEXT_FULL_FIELD,
        read_tokens=settings.CONTEXT_SHOW_READ_TOKENS,
        work_tokens=settings.CONTEXT_SHOW_WORK_TOKENS,
        savings_amount=settings.CONTEXT_SHOW_SAVINGS_AMOUNT,
        savings_percent=settings.CONTEXT_SHOW_SAVINGS_PERCENT,
        last_summary=settings.CONTEXT_SHOW_LAST_SUMMARY,
        last_message=settings.CONTEXT_SHOW_LAST_MESSAGE,
        welcome=settings.WELCOME_HINT_ENABLED,
    )


@cache
def mode() -> Mode:
    """The mode in force. Raises ModeError."""
    return modes.load(settings.MODE, [*settings.MODE_DIRECTORIES, modes.PACKAGED])


def _warning() -> str:
    pause = pauses.current()
    return _TROUBLE if pause and pause.failures >= _TELLING else ""


def _all_of(request: Call) -> list[str]:
    """The name of all that the caller is bound to; none of a caller that is bound to nothing."""
    return [request.auth.project_id] if request.auth.project_id else []


def _matching(request: HttpRequest, asked: Asked) -> tuple[Observation, ...]:
    limit, offset = _number(request, "limit", USUAL, most=MOST), _number(request, "offset", 0)
    if request.GET.get("type") == "prompts":
        return ()
    wanted = Filters(
        kinds=_kinds(request),
        platform_source=request.GET.get("platformSource") or None,
        since=_moment(request.GET.get("dateStart", "")),
        until=_moment(request.GET.get("dateEnd", "")),
    )
    query = request.GET.get("query", "")
    if query.strip():
        found = briefing.search(asked.place, query, wanted, limit=offset + limit)
    else:
        found = briefing.listed(asked.place, wanted, offset + limit)
    order = request.GET.get("orderBy")
    if order in ("date_desc", "date_asc"):
        found = tuple(sorted(found, key=_when, reverse=order == "date_desc"))
    return found[offset:]


def _when(row: Observation) -> tuple[datetime, int]:
    return row.occurred_at, row.number


def _kinds(request: HttpRequest) -> tuple[str, ...]:
    if request.GET.get("type") == "sessions":
        return (briefing.SUMMARY,)
    given = request.GET.get("obs_type", "")
    return tuple(kind.strip() for kind in given.split(",") if kind.strip())


def _anchor(request: HttpRequest, asked: Asked) -> Observation | None:
    """The observation that is meant. Raises BadRequest, and NotFound for a number out of reach."""
    given = request.GET.get("anchor", "").strip().removeprefix("S")
    if given.isdecimal() and given.isascii() and len(given) < 19:
        return briefing.one(asked.place, int(given))
    if moment := _moment(given):
        return briefing.nearest(asked.place, moment)
    query = request.GET.get("query", "")
    if given or not query.strip():
        raise BadRequest("Name an anchor (a number, or a time as ISO 8601) or a query")
    return next(iter(briefing.search(asked.place, query, Filters(), limit=1)), None)


def _moment(text: str) -> datetime | None:
    with suppress(ValueError, OverflowError, OSError):
        if text.isdecimal() and text.isascii():
            return datetime.fromtimestamp(int(text) / 1000, UTC)
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=found.tzinfo or settings.TIMEZONE).astimezone(UTC)
    return None


def _number(request: HttpRequest, name: str, usual: int, *, most: int = _FAR) -> int:
    """A whole number of the query; what is none is ignored, and one out of bounds brought in."""
    try:
        number = float(request.GET.get(name, ""))
    except ValueError:
        return usual
    least = 1 if name == "limit" else 0
    return max(least, min(int(number), most)) if math.isfinite(number) else usual


def _flag(request: HttpRequest, name: str) -> bool:
    return request.GET.get(name) == "true"


def _as_text(text: str) -> Answer[wire.Content]:
    return Answer({"content": [{"type": "text", "text": text}]})
