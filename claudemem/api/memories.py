"""Memories: add one by hand, delete one."""

from typing import Self

from ninja import Router
from pydantic import ConfigDict, Field, TypeAdapter, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from claudemem.api import bodies, entities, reach, wire
from claudemem.api.answers import Answer
from claudemem.api.calls import Call, Needs, origin, team
from claudemem.api.documents import says
from claudemem.api.shapes import Body, Metadata, Name, ShortName
from observations import memories, scopes

router = Router(tags=["memories"])


class MemoryBody(Body):
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

    @model_validator(mode="after")
    def _has_words(self) -> Self:
        if self.words:
            return self
        missing = PydanticCustomError("missing", "Field required (or narrative, text or title)")
        details = InitErrorDetails(type=missing, loc=("content",), input=None)
        raise ValidationError.from_exception_data("MemoryBody", [details])


ADD = TypeAdapter(MemoryBody)
EXAMPLE = {"projectId": "my-project", "content": "Retries wait five seconds at first."}


@router.post(
    "/memories",
    auth=Needs(scopes.WRITE_MEMORY),
    openapi_extra=says(takes=ADD, example=EXAMPLE, answers={201: wire.OneMemory}),
)
def add(request: Call) -> Answer[wire.OneMemory]:
    """Store a memory as it is told; nothing is generated."""
    body = bodies.read(request, ADD)
    reach.check_project(request.auth, body.project_id)
    memory = memories.remember(
        team(request),
        body.project_id,
        content=body.words,
        kind=body.kind,
        title=body.title,
        session_id=body.server_session_id,
        metadata=body.details,
        origin=origin(request, "http_post_v1_memories"),
    )
    return Answer({"memory": entities.observation(memory)}, status=201)


@router.delete(
    "/memories/{memory_id}",
    auth=Needs(scopes.WRITE_MEMORY),
    openapi_extra=says(answers={200: wire.MemoryDeleted, 404: wire.NotThere}),
)
def delete(request: Call, memory_id: str) -> Answer[wire.MemoryDeleted | wire.NotThere]:
    """Delete a memory and its links; 404 where there is none in the caller's reach."""
    source = origin(request, "http_delete_v1_memories")
    if memories.forget(team(request), request.auth.project_id, memory_id, origin=source):
        return Answer({"deleted": True, "id": memory_id})
    return Answer({"error": "not_found"}, status=404)
