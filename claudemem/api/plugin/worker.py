"""What claude-mem's worker told its hooks and tools of memory: rows, searches, timelines."""

import math
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

from django.conf import settings
from django.http import HttpRequest
from ninja import Router
from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from claudemem.api import audited, bodies
from claudemem.api.answers import Answer
from claudemem.api.calls import Call
from claudemem.api.documents import says
from claudemem.api.errors import BadRequest
from claudemem.api.plugin import contexts, here, rows
from claudemem.api.plugin.here import NAMELESS, READ, Asked, Names
from claudemem.api.shapes import Body, Whole
from claudemem.api.wire import plugin as wire
from observations import briefing, context_page, recall
from observations.models import Observation
from observations.search import Filters

router = Router(tags=["claude-mem"])


MOST, USUAL = 100, 20
MOST_FILES, USUAL_FILES = 100, 40
_FAR = 10_000


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
    "/observations",
    auth=READ,
    openapi_extra=says(query=Listing, answers={200: wire.Rows}, refusals=NAMELESS),
)
def listed(request: Call) -> Answer[wire.Rows]:
    """Observations, newest first: `limit` of them after `offset`."""
    asked = here.asked(request)
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
    paths = here.few([path for path in request.GET.getlist("path") if path], "paths")
    if not paths:
        raise BadRequest("Name at least one path: path=<path>")
    asked = here.asked(request)
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
    openapi_extra=says(
        takes=BATCH, example={"ids": [12, 7]}, answers={200: list[wire.Row]}, refusals=NAMELESS
    ),
)
def batch(request: Call) -> Answer[list[wire.Row]]:
    """The observations of these numbers that are in reach; newest first, or `date_asc`."""
    body = bodies.read(request, BATCH)
    asked = here.asked(request, here.all_of(request))
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
    asked = here.asked(request)
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
    text = context_page.index(recall.items(found), contexts.mode(), settings.TIMEZONE)
    return Answer(_content(text))


@router.get(
    "/timeline",
    auth=READ,
    openapi_extra=says(query=Anchor, answers={200: wire.Content}, refusals=NAMELESS),
)
def timeline(request: Call) -> Answer[wire.Content]:
    """What happened around an observation: by its number as `anchor`, or by a `query`."""
    asked = here.asked(request)
    anchor = _anchor(request, asked)
    if anchor is None:
        return Answer(_content(context_page.index((), contexts.mode(), settings.TIMEZONE)))
    before = _number(request, "depth_before", 10, most=MOST)
    after = _number(request, "depth_after", 10, most=MOST)
    found = briefing.around(asked.place, anchor, before=before, after=after)
    audited.shown(request, "timeline", found, project_id=request.auth.project_id)
    items, zone = recall.items(found), settings.TIMEZONE
    text = context_page.index(items, contexts.mode(), zone, marked=anchor.number)
    return Answer(_content(text))


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


def _content(text: str) -> wire.Content:
    return {"content": [{"type": "text", "text": text}]}
