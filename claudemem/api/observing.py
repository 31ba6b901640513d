"""What observations and memories have in common, which is everything but what they are called."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Self

from django.http import HttpRequest, HttpResponse
from django.utils.http import parse_etags
from pydantic import ConfigDict, Field, TypeAdapter, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from claudemem.api import asking, audited, bodies, pages, reach
from claudemem.api.answers import Answer
from claudemem.api.asking import Filter, Filters, When
from claudemem.api.calls import Call, origin, team
from claudemem.api.documents import Media
from claudemem.api.pages import PageQuery
from claudemem.api.shapes import Body, Metadata, Name, ShortName
from claudemem.api.wire.fields import AN_ID
from observations import memories, recall
from observations.entries import Origin
from observations.errors import InvalidInput, NotFound
from observations.listings import COUNTED, OF_PROJECT, micros
from observations.memories import Revision
from observations.models import Observation
from observations.search import Filters as Wanted


@dataclass(frozen=True, slots=True)
class Noun:
    """What one and many are called in answers, how one is told, and who asks, by the verb."""

    one: str
    many: str
    told: Callable[[Observation], Any]
    source: str

    def answer(self, row: Observation, status: int = 200) -> Answer:
        """One of them, with the tag by which a change can be bound to what was read."""
        return Answer({self.one: self.told(row)}, status=status, headers={"ETag": tag(row)})


class NewBody(Body):
    """A memory. Its words may stand under any of four names: the first that is there counts."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": [name]} for name in ("content", "narrative", "text", "title")]
        }
    )

    project_id: Name
    content: str | None = None
    narrative: str | None = None
    text: str | None = None
    title: str | None = None
    type: str | None = None
    kind: ShortName = memories.MANUAL
    server_session_id: Name | None = None
    metadata: Metadata = Field(default_factory=dict)

    @property
    def words(self) -> str:
        """What is to be remembered."""
        return self.content or self.narrative or self.text or self.title or ""

    @property
    def details(self) -> Metadata:
        """The metadata, with what clients say besides."""
        said = {"type": self.type, "title": self.title}
        return {name: value for name, value in said.items() if value} | self.metadata

    def remembered(self, team_id: str, origin: Origin) -> Observation:
        """The memory as it is stored, as `origin` asks. Raises what `memories.remember` does."""
        return memories.remember(
            team_id,
            self.project_id,
            content=self.words,
            kind=self.kind,
            title=self.title,
            session_id=self.server_session_id,
            metadata=self.details,
            origin=origin,
        )

    @model_validator(mode="after")
    def _has_words(self) -> Self:
        if self.words:
            return self
        missing = PydanticCustomError("missing", "Field required (or narrative, text or title)")
        details = InitErrorDetails(type=missing, loc=("content",), input=None)
        raise ValidationError.from_exception_data("NewBody", [details])


class ChangeBody(Body):
    """What is to be changed of a memory; what is left out, or null, stays as it is."""

    project_id: Name | None = None
    content: str | None = None
    narrative: str | None = None
    text: str | None = None
    title: str | None = None
    kind: ShortName | None = None
    concepts: Annotated[list[ShortName], Field(max_length=memories.MAX_CONCEPTS)] | None = None
    metadata: Metadata | None = None

    @property
    def revision(self) -> Revision:
        """The same for the domain. Raises InvalidInput where nothing is said."""
        words = [self.content, self.narrative, self.text]
        revision = Revision(
            content=next((each for each in words if each is not None), None),
            title=self.title,
            kind=self.kind,
            concepts=None if self.concepts is None else tuple(self.concepts),
            metadata=self.metadata,
            project_id=self.project_id,
        )
        if revision == Revision():
            raise InvalidInput("name one of content, title, kind, concepts, metadata")
        return revision


class ListQuery(PageQuery):
    """Which observations are listed. Of several values of one filter any will do."""

    project_id: Filter | None = None
    session_id: Filter | None = None
    kind: Filters = ()
    concept: Filters = ()
    file: Filters = ()
    platform_source: Filter | None = None
    since: When | None = None
    until: When | None = None
    q: Annotated[str, Field(max_length=5_000)] | None = None

    @property
    def wanted(self) -> Wanted:
        """The filters for the domain."""
        return Wanted(
            kinds=self.kind,
            concepts=self.concept,
            files=self.file,
            session_id=self.session_id,
            platform_source=self.platform_source,
            since=self.since,
            until=self.until,
        )


TAGGED = {"ETag": "Names the observation as it is now, for `If-Match` and `If-None-Match`"}
UNCHANGED = Media("text/plain")
ADD = TypeAdapter(NewBody)
EXAMPLE = {"projectId": AN_ID, "content": "Retries wait five seconds at first."}
CHANGE = TypeAdapter(ChangeBody)
CHANGED = {"content": "Retries wait ten seconds at first.", "title": "How long retries wait"}


def add(request: Call, noun: Noun) -> Answer:
    """Store what the body tells. 201."""
    body = bodies.read(request, ADD)
    reach.check_project(request.auth, body.project_id)
    row = body.remembered(team(request), origin(request, noun.source.format("post")))
    return noun.answer(row, status=201)


def show_all(request: Call, noun: Noun) -> Answer:
    """A page of a project's observations."""
    asked = asking.read(request, ListQuery)
    project_id = reach.listed_project(request.auth, asked.project_id)
    bound_to = pages.about("observations", [project_id], asked)
    window = pages.window(asked, bound_to, COUNTED if asked.q else OF_PROJECT.sorts)
    found = (
        recall.ranked(project_id, asked.q, asked.wanted, window)
        if asked.q
        else recall.listed(project_id, asked.wanted, window)
    )
    audited.shown(
        request, "observations_list", found.rows, project_id=project_id, limit=window.limit
    )
    told = [noun.told(row) for row in found.rows]
    return Answer({noun.many: told, "nextCursor": pages.cursor(found.goes_on, bound_to)})


def show(request: Call, noun: Noun, named: str) -> HttpResponse:
    """One observation, by its id or its number; 304 where the caller has it as it is."""
    row = recall.get(team(request), reach.observation_id(request.auth, named))
    audited.shown(request, "observation", [row], project_id=row.project_id, resource_id=row.id)
    if _tags(request, "HTTP_IF_NONE_MATCH", row):
        return HttpResponse(status=304, headers={"ETag": tag(row)})
    return noun.answer(row)


def change(request: Call, noun: Noun, named: str) -> Answer:
    """Change an observation. 412 where `If-Match` names it as it was before."""
    revision = bodies.read(request, CHANGE).revision
    row = memories.revise(
        team(request),
        request.auth.project_id,
        reach.observation_id(request.auth, named),
        revision,
        unless=lambda row: (
            "HTTP_IF_MATCH" in request.META and not _tags(request, "HTTP_IF_MATCH", row)
        ),
        origin=origin(request, noun.source.format("patch")),
    )
    return noun.answer(row)


def delete(request: Call, noun: Noun, named: str) -> Answer:
    """Delete an observation. Raises NotFound."""
    found = reach.observation_id(request.auth, named)
    source = origin(request, noun.source.format("delete"))
    if not memories.forget(team(request), request.auth.project_id, found, origin=source):
        raise NotFound("Observation not found")
    return Answer({"deleted": True, "id": found})


def tag(row: Observation) -> str:
    """Names the row as it is now: the microsecond of its last change."""
    return f'"{micros(row.updated_at):x}"'


def _tags(request: HttpRequest, header: str, row: Observation) -> bool:
    """Whether the header names the row as it is."""
    named = {each.removeprefix("W/") for each in parse_etags(request.META.get(header, ""))}
    return bool(named & {"*", tag(row)})
