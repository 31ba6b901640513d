"""What the answers look like that claude-mem's hooks and tools read, and those to operators."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from claudemem.api.wire import Epoch, Id, Transport

Number = Annotated[int, Field(description="The number by which pages name an observation")]
ListText = Annotated[str, Field(description="A list, as JSON text", examples=['["src/app.py"]'])]


# --- hooks ----------------------------------------------------------------------------------------


class Prompted(TypedDict):
    """A prompt that was taken."""

    sessionDbId: Annotated[int, Field(description="Made of the session's id; nothing takes it")]
    promptNumber: Annotated[int, Field(ge=0, description="How many prompts the session has")]
    skipped: Annotated[bool, Field(description="Nothing of the prompt may be stored")]
    reason: NotRequired[Literal["private"]]
    sessionId: Id
    serverSessionId: Id


class Observed(TypedDict):
    """A tool use that is stored, and the job that makes an observation of it."""

    status: Literal["queued"]
    observationCount: int
    sessionId: Id
    serverSessionId: Id
    eventId: Id
    generationJobId: str | None
    transport: Transport


class Summarizing(TypedDict):
    """A session that is at its end, and the job that summarises it."""

    status: Literal["queued"]
    sessionId: Id
    serverSessionId: Id
    generationJobId: str
    transport: Transport


class Skipped(TypedDict):
    """An end that is no session's, but a subagent's."""

    status: Literal["skipped"]
    reason: Literal["subagent_context"]


class SessionGone(TypedDict):
    """The session was deleted meanwhile."""

    status: Literal["not_found"]
    reason: Literal["session_not_found"]


# --- memory ---------------------------------------------------------------------------------------


class Row(TypedDict):
    """An observation as a row of claude-mem's own database."""

    id: Number
    observation_id: Id
    memory_session_id: str | None
    project: str
    type: str
    title: str | None
    subtitle: str | None
    narrative: str
    text: None
    facts: ListText
    concepts: ListText
    files_read: ListText
    files_modified: ListText
    prompt_number: None
    discovery_tokens: Annotated[int, Field(ge=0, description="What the work cost, 0: unknown")]
    created_at: Annotated[str, Field(description="The time of what it is about, as ISO 8601")]
    created_at_epoch: Epoch


class Semantic(TypedDict):
    """What bears on a prompt, as one text, and how many observations that is."""

    context: str
    count: int


class Rows(TypedDict):
    """A part of the observations, newest first."""

    items: list[Row]
    hasMore: bool
    offset: int
    limit: int


class OfFile(TypedDict):
    """The observations about a file, newest first."""

    observations: list[Row]
    count: int


class Text(TypedDict):
    """A text for an agent."""

    type: Literal["text"]
    text: str


class Content(TypedDict):
    """What a tool hands to an agent."""

    content: list[Text]


class FoundRows(TypedDict):
    """What answers a question, best first, for programs."""

    observations: list[Row]
    sessions: list[Any]
    prompts: list[Any]
    totalResults: int
    query: str


class Wrong(TypedDict):
    """What is wrong with the question."""

    error: str


# --- operators ------------------------------------------------------------------------------------


class Restarting(TypedDict):
    """Every process is being replaced."""

    status: Literal["restarting"]


class ShuttingDown(TypedDict):
    """Everything is being stopped."""

    status: Literal["shutting_down"]


class Supervisor(TypedDict):
    """What keeps the processes running, and for how long this one does."""

    running: bool
    pid: int | None
    uptime: str


class Process(TypedDict):
    """A process of the server."""

    id: str
    pid: int
    type: str
    status: Literal["alive", "dead"]
    startedAtEpoch: Epoch


class Part(TypedDict):
    """How something is that the server depends on."""

    name: str
    status: str
    message: str


class Dependencies(TypedDict):
    """How everything is that the server depends on."""

    degraded: bool
    statuses: list[Part]


class Diagnosis(TypedDict):
    """What is wrong, if anything."""

    deadProcessPids: list[int]
    envClean: Annotated[bool, Field(description="No variable looks like a setting and is none")]
    dependencies: Dependencies


class Doctor(TypedDict):
    """The processes of the server, and how its parts are."""

    supervisor: Supervisor
    processes: list[Process]
    health: Diagnosis
