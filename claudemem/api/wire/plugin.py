"""What the answers look like that claude-mem's hooks and tools read, and those to operators."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from claudemem.api.wire.fields import Epoch, Id, Transport
from claudemem.api.wire.vitals import Dependencies

Count = Annotated[int, Field(ge=0, description="How many there are in the answer")]
Become = "What became of the call"
Queued = Annotated[Literal["queued"], Field(description=Become)]
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

    status: Queued
    observationCount: Annotated[int, Field(description="Always 1")]
    sessionId: Id
    serverSessionId: Id
    eventId: Id
    generationJobId: str | None
    transport: Transport


class Summarizing(TypedDict):
    """A session that is at its end, and the job that summarises it."""

    status: Queued
    sessionId: Id
    serverSessionId: Id
    generationJobId: str
    transport: Transport


class Skipped(TypedDict):
    """An end that is no session's, but a subagent's."""

    status: Annotated[Literal["skipped"], Field(description=Become)]
    reason: Literal["subagent_context"]


class SessionGone(TypedDict):
    """The session was deleted meanwhile."""

    status: Annotated[Literal["not_found"], Field(description=Become)]
    reason: Literal["session_not_found"]


# --- memory ---------------------------------------------------------------------------------------


class Row(TypedDict):
    """An observation as a row of claude-mem's own database."""

    id: Number
    observation_id: Id
    memory_session_id: Annotated[str | None, Field(description="The id of its session")]
    project: Annotated[str, Field(description="What its session belongs to, by its own word")]
    type: str
    title: str | None
    subtitle: Annotated[str | None, Field(description="One sentence about it")]
    narrative: str
    text: None
    facts: ListText
    concepts: ListText
    files_read: ListText
    files_modified: ListText
    prompt_number: Annotated[None, Field(description="Not known here")]
    discovery_tokens: Annotated[int, Field(ge=0, description="What the work cost, 0: unknown")]
    created_at: Annotated[str, Field(description="The time of what it is about, as ISO 8601")]
    created_at_epoch: Epoch


class Semantic(TypedDict):
    """What bears on a prompt, as one text, and how many observations that is."""

    context: str
    count: Count


class Rows(TypedDict):
    """A part of the observations, newest first."""

    items: Annotated[list[Row], Field(description="The observations, newest first")]
    hasMore: Annotated[bool, Field(description="There are more behind them")]
    offset: Annotated[int, Field(description="How many come before them")]
    limit: int


class OfFile(TypedDict):
    """The observations about a file, newest first."""

    observations: list[Row]
    count: Count


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
    sessions: Annotated[list[Any], Field(description="None: summaries are observations")]
    prompts: Annotated[list[Any], Field(description="None: prompts are not searched")]
    totalResults: Count
    query: str


class Wrong(TypedDict):
    """What is wrong with the question."""

    error: str


# --- operators ------------------------------------------------------------------------------------


class Restarting(TypedDict):
    """Every process is being replaced."""

    status: Annotated[Literal["restarting"], Field(description=Become)]


class ShuttingDown(TypedDict):
    """Everything is being stopped."""

    status: Annotated[Literal["shutting_down"], Field(description=Become)]


class Supervisor(TypedDict):
    """What keeps the processes running, and for how long this one does."""

    running: Annotated[bool, Field(description="Whether there is one")]
    pid: Annotated[int | None, Field(description="Its number")]
    uptime: Annotated[str, Field(description="For how long this web runs, to the minute")]


class Process(TypedDict):
    """A process of the server."""

    id: Annotated[str, Field(description="What it does")]
    pid: Annotated[int, Field(description="Its number")]
    type: Annotated[str, Field(description="The same as `id`")]
    status: Annotated[Literal["alive", "dead"], Field(description="Whether it still runs")]
    startedAtEpoch: Epoch


class Diagnosis(TypedDict):
    """What is wrong, if anything."""

    deadProcessPids: Annotated[list[int], Field(description="Those that have ended")]
    envClean: Annotated[bool, Field(description="No variable looks like a setting and is none")]
    dependencies: Annotated[Dependencies, Field(description="What it depends on")]


class Doctor(TypedDict):
    """The processes of the server, and how its parts are."""

    supervisor: Annotated[Supervisor, Field(description="What keeps them running")]
    processes: Annotated[list[Process], Field(description="Those that it started")]
    health: Annotated[Diagnosis, Field(description="What is wrong, if anything")]
