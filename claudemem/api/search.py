"""Search, and context: the same found, and put into one text."""

from typing import Annotated, Any

from ninja import Router
from pydantic import Field, TypeAdapter

from claudemem.api import audited, bodies, entities, reach, wire
from claudemem.api.answers import Answer
from claudemem.api.calls import Call, Needs
from claudemem.api.documents import says
from claudemem.api.shapes import Body, Name, ShortName, Text, Whole
from observations import recall, scopes
from observations.recall import Page

router = Router(tags=["search"])


class SearchBody(Body):
    """A question in plain words about a project."""

    project_id: Name
    query: Text
    limit: Annotated[Whole, Field(ge=1, le=100)] = 20
    platform_source: ShortName | None = None


class ContextBody(SearchBody):
    """The same, for what is to be put before an agent."""

    limit: Annotated[Whole, Field(ge=1, le=50)] = 10


SEARCH = TypeAdapter(SearchBody)
CONTEXT = TypeAdapter(ContextBody)
EXAMPLE = {"projectId": "my-project", "query": "why do retries wait so long", "limit": 10}


@router.post(
    "/search",
    auth=Needs(scopes.READ_MEMORY),
    openapi_extra=says(takes=SEARCH, example=EXAMPLE, answers={200: wire.Found}),
)
def search(request: Call) -> Answer[wire.Found]:
    """What answers the question best, best first."""
    page = _page(request, "search", SEARCH)
    return Answer({"observations": _observations(page)})


@router.post(
    "/context",
    auth=Needs(scopes.READ_MEMORY),
    openapi_extra=says(takes=CONTEXT, example=EXAMPLE, answers={200: wire.Context}),
)
def context(request: Call) -> Answer[wire.Context]:
    """The same, and as one text."""
    page = _page(request, "context", CONTEXT)
    return Answer({"observations": _observations(page), "context": page.text})


_FIND = {"search": recall.search, "context": recall.context}


def _page(request: Call, mode: str, shape: TypeAdapter[Any]) -> Page:
    body: SearchBody = bodies.read(request, shape)
    page = _FIND[mode](
        reach.project(request.auth, body.project_id),
        body.query,
        limit=body.limit,
        platform_source=body.platform_source,
    )
    # The question stays out of it: what people look for is theirs.
    audited.shown(request, mode, page.observations, project_id=body.project_id, limit=body.limit)
    return page


def _observations(page: Page) -> list[wire.Observation]:
    return [entities.observation(row) for row in page.observations]
