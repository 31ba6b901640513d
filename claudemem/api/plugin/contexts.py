"""What claude-mem's worker told its hooks to put before an agent: at a start, and for a prompt."""

from functools import cache
from typing import Annotated

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router
from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from claudemem.api import audited, bodies
from claudemem.api.answers import Answer
from claudemem.api.calls import Call
from claudemem.api.documents import Media, says
from claudemem.api.plugin import here
from claudemem.api.plugin.here import NAMELESS, READ, Names
from claudemem.api.shapes import Body, Whole, Word
from claudemem.api.wire import plugin as wire
from observations import briefing, context_page, modes, recall
from observations.context_page import Briefing, Layout
from observations.modes import Mode
from observations.search import Filters
from queueing import pauses

router = Router(tags=["claude-mem"])

MOST_SEMANTIC, USUAL_SEMANTIC = 20, 5
PAGE = Media("text/plain; charset=utf-8")
# So often in a row a provider refuses before a page says so.
_TELLING = 3
_TROUBLE = (
    "the provider refuses every job, so nothing new is made of what is captured; it waits, and "
    "`claudemem status` says why"
)


class Inject(TypedDict, total=False):
    """Which projects, for whom."""

    projects: Names
    project: str
    platformSource: str
    colors: Annotated[str, Field(description="`true`: coloured, for a terminal")]
    full: Annotated[str, Field(description="`true`: all there is, not the newest alone")]


@router.get(
    "/context/inject",
    auth=READ,
    openapi_extra=says(query=Inject, answers={200: PAGE}, refusals=NAMELESS),
)
def inject(request: Call) -> HttpResponse:
    """What a session of these projects begins with, as text; the last project is its own."""
    layout, zone = layout_in_force(), settings.TIMEZONE
    told = _briefing(request, layout)
    ids = [each.item.id for each in told.observations]
    audited.shown_ids(request, "inject", ids, project_id=request.auth.project_id)
    colours = _flag(request, "colors")
    text = context_page.page(told, layout, now=timezone.now(), zone=zone, colours=colours)
    return HttpResponse(text, content_type=PAGE.type)


class SemanticBody(Body):
    """A prompt, for which something is looked for that may help."""

    q: str = ""
    project: Word | None = None
    limit: Annotated[Whole, Field(ge=1)] = USUAL_SEMANTIC
    platform_source: Word | None = None


SEMANTIC = TypeAdapter(SemanticBody)
EXAMPLE = {"q": "why do retries wait so long", "project": "shop"}


@router.post(
    "/context/semantic",
    auth=READ,
    openapi_extra=says(
        takes=SEMANTIC, example=EXAMPLE, answers={200: wire.Semantic}, refusals=NAMELESS
    ),
)
def semantic(request: Call) -> Answer[wire.Semantic]:
    """What bears on a prompt, as text; an empty text where nothing does."""
    body = bodies.read(request, SEMANTIC)
    asked = here.asked(request, [body.project] if body.project else here.all_of(request))
    limit = min(body.limit, MOST_SEMANTIC)
    wanted = Filters(platform_source=body.platform_source or None)
    found = briefing.search(asked.place, body.q, wanted, limit=limit)
    audited.shown(request, "semantic", found, project_id=request.auth.project_id, limit=limit)
    text = context_page.excerpts(recall.items(found), settings.TIMEZONE)
    return Answer({"context": text, "count": len(found)})


def _briefing(request: Call, layout: Layout) -> Briefing:
    asked = here.asked(request, here.names(request))
    return briefing.briefing(
        asked.place,
        title=asked.title,
        mode=mode(),
        layout=layout,
        full=_flag(request, "full"),
        platform_source=request.GET.get("platformSource") or None,
        warning=_warning(),
    )


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


def _flag(request: HttpRequest, name: str) -> bool:
    return request.GET.get(name) == "true"
