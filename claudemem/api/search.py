"""Search, and context: the same found, and put into one text."""

from typing import Annotated, Any

from ninja import Router
from pydantic import Field, TypeAdapter

from claudemem.api import audited, bodies, entities, pages, reach, wire
from claudemem.api.answers import Answer
from claudemem.api.asking import MOST_VALUES, When
from claudemem.api.calls import Call, Needs
from claudemem.api.documents import says
from claudemem.api.pages import LONGEST_CURSOR
from claudemem.api.shapes import Body, Name, ShortName, Text, Whole
from claudemem.api.wire.fields import AN_ID
from observations import recall, scopes
from observations.listings import COUNTED, Listed, Window
from observations.models import Observation
from observations.search import Filters

router = Router(tags=["search"])


Names = Annotated[list[Name], Field(max_length=MOST_VALUES)]


class SearchBody(Body):
    """A question in plain words about a project; who names a cursor, even null, is told the next.

    Of several values of one filter any will do.
    """

    project_id: Name
    query: Text
    limit: Annotated[Whole, Field(ge=1, le=100)] = 20
    platform_source: ShortName | None = None
    session_id: Name | None = None
    kinds: Names = []
    concepts: Names = []
    files: Names = []
    since: When | None = None
    until: When | None = None
    cursor: Annotated[str, Field(max_length=LONGEST_CURSOR)] | None = None

    @property
    def filters(self) -> Filters:
        """The filters for the domain."""
        return Filters(
            kinds=tuple(self.kinds),
            concepts=tuple(self.concepts),
            files=tuple(self.files),
            session_id=self.session_id,
            platform_source=self.platform_source,
            since=self.since,
            until=self.until,
        )


class ContextBody(SearchBody):
    """The same, for what is to be put before an agent."""

    limit: Annotated[Whole, Field(ge=1, le=50)] = 10


SEARCH = TypeAdapter(SearchBody)
CONTEXT = TypeAdapter(ContextBody)
EXAMPLE = {"projectId": AN_ID, "query": "why do retries wait so long", "limit": 10}


@router.post(
    "/search",
    operation_id="searchFind",
    auth=Needs(scopes.READ_MEMORY),
    openapi_extra=says(takes=SEARCH, example=EXAMPLE, answers={200: wire.observations.Found}),
)
def search(request: Call) -> Answer[wire.observations.Found]:
    """What answers the question best, best first."""
    found, more = _found(request, "search", SEARCH)
    return Answer({"observations": _observations(found), **more})


@router.post(
    "/context",
    auth=Needs(scopes.READ_MEMORY),
    openapi_extra=says(takes=CONTEXT, example=EXAMPLE, answers={200: wire.observations.Context}),
)
def context(request: Call) -> Answer[wire.observations.Context]:
    """The same, and as one text."""
    found, more = _found(request, "context", CONTEXT)
    text = recall.as_text(found.rows)
    return Answer({"observations": _observations(found), "context": text, **more})


def _found(
    request: Call, mode: str, shape: TypeAdapter[Any]
) -> tuple[Listed[Observation], wire.observations.More]:
    """What answers the question, and the cursor to more, where one was asked for."""
    body: SearchBody = bodies.read(request, shape)
    project_id = reach.project(request.auth, body.project_id)
    bound_to = pages.about("ranked", [project_id], body)
    place = pages.opened(body.cursor, bound_to, COUNTED)
    found = recall.ranked(project_id, body.query, body.filters, Window(body.limit, place))
    # The question stays out of it: what people look for is theirs.
    audited.shown(request, mode, found.rows, project_id=project_id, limit=body.limit)
    asked = "cursor" in body.model_fields_set
    return found, {"nextCursor": pages.cursor(found.goes_on, bound_to)} if asked else {}


def _observations(found: Listed[Observation]) -> list[wire.observations.Observation]:
    return [entities.observation(row) for row in found.rows]
