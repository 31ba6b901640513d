"""What answers look like: the keys of each, and what they hold. The document is made of these."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field

# The standard library's own tells pydantic too little on Python 3.11.
from typing_extensions import TypedDict

from queueing import kinds, states


def one_of(*words: str, **said: Any) -> Any:
    """A field that holds one of these words; `said` is told of it besides."""
    return Field(json_schema_extra={"enum": list(words)}, **said)


Epoch = Annotated[int, Field(description="Milliseconds since 1970", examples=[1_700_000_000_123])]
Id = Annotated[
    str, Field(description="A UUIDv7", examples=["0192f0c1-2345-7890-abcd-ef0123456789"])
]
RequestId = Annotated[str, Field(description="The same as `X-Request-Id`")]
Metadata = Annotated[dict[str, Any], Field(description="Whatever its client said besides")]
State = Annotated[str, one_of(*states.ALL, description="The state of a job")]
KindName = Annotated[str, one_of(*kinds.BY_NAME, description="A kind of job")]
Transport = Annotated[
    str,
    one_of(
        *("enqueued", "queued_only", "skipped"),
        description="What became of the job: the queue store has it; the database alone has it, "
        "and it is worked when the queue store is back; there is none",
    ),
]
QueueJobId = Annotated[
    str, Field(description="What the job is about, as a key", examples=["evt_6c1a0f52"])
]
JobPayload = Annotated[
    dict[str, Any],
    Field(
        description="What it works on and who asked for it; for administrators who ask for it "
        "with `include=payload`"
    ),
]
TimedOut = Annotated[
    Literal[True], Field(description="What was waited for was not settled in time")
]
NextCursor = Annotated[
    str | None, Field(description="The `cursor` of the next page; null where this is the last")
]
Total = Annotated[int, Field(description="How many there are on all pages", ge=0)]
Limit = Annotated[int, Field(description="How many there are on a page", ge=1)]
Offset = Annotated[int, Field(description="How many come before this page", ge=0)]


# --- what went wrong ------------------------------------------------------------------------------


class Problem(TypedDict):
    """What went wrong: one word for programs, a sentence for people."""

    error: str
    message: str


class Spent(Problem):
    """A cap that is reached: how much it is, and how much was used."""

    used: int
    cap: int


Path = Annotated[
    list[str | int],
    Field(description="The keys to it from the outside in; none for the body itself"),
]


class Issue(TypedDict):
    """One thing in a request that is not as it must be."""

    path: Path
    message: str


class Invalid(TypedDict):
    """A request that is not as it must be, and where."""

    error: Literal["ValidationError"]
    issues: list[Issue]


class NotThere(TypedDict):
    """There is nothing to delete, or nothing that the key may reach."""

    error: Literal["not_found"]


# --- jobs, as told to whoever asks for something else ------------------------------------------


class JobDescriptor(TypedDict):
    """A job as told to whoever caused it."""

    id: Id
    status: State
    bullmqJobId: QueueJobId | None
    sourceType: str
    sourceId: str
    transport: Transport
    createdAtEpoch: Epoch
    updatedAtEpoch: Epoch


class WaitedJob(TypedDict):
    """A job as told to whoever waited for it."""

    id: Id
    status: State
    transport: Transport
    bullmqJobId: QueueJobId | None
    sourceType: str
    sourceId: str
    attempts: int
    maxAttempts: int
    createdAtEpoch: Epoch
    updatedAtEpoch: Epoch


Outcome = Annotated[
    JobDescriptor | WaitedJob | None,
    Field(description="Left out where no job is wanted; after waiting as it is then, or null"),
]


# --- sessions -------------------------------------------------------------------------------------


class Session(TypedDict):
    """One run of an agent in a project."""

    id: Id
    projectId: str
    teamId: str
    externalSessionId: Annotated[
        str | None, Field(description="The name by which its client finds it again")
    ]
    contentSessionId: Annotated[str | None, Field(description="The name that its agent gave it")]
    agentId: str | None
    agentType: str | None
    platformSource: str | None
    generationStatus: str
    metadata: Metadata
    startedAtEpoch: Epoch
    endedAtEpoch: Epoch | None
    lastGeneratedAtEpoch: Epoch | None
    createdAtEpoch: Epoch
    updatedAtEpoch: Epoch


class OneSession(TypedDict):
    """A session."""

    session: Session


class Sessions(TypedDict):
    """A page of a project's sessions."""

    sessions: list[Session]
    nextCursor: NextCursor


class SessionEnded(TypedDict):
    """A session that is at its end, and the job that summarises it."""

    session: Session
    generationJob: JobDescriptor


class QueueCleared(TypedDict):
    """How many jobs of a session were cancelled."""

    sessionId: Id
    cancelled: Annotated[int, Field(ge=0)]
    requestId: RequestId


# --- events ---------------------------------------------------------------------------------------


class Event(TypedDict):
    """What was reported, as it was stored: without secrets and private text."""

    id: Id
    projectId: str
    teamId: str
    serverSessionId: str | None
    sourceAdapter: Annotated[str, Field(description="What the request calls `sourceType`")]
    sourceEventId: str | None
    eventType: str
    platformSource: str | None
    payload: Any
    metadata: Metadata
    occurredAtEpoch: Epoch
    receivedAtEpoch: Epoch
    createdAtEpoch: Epoch


class OneEvent(TypedDict):
    """An event."""

    event: Event


class Events(TypedDict):
    """A page of events."""

    events: list[Event]
    nextCursor: NextCursor


class EventStored(TypedDict):
    """An event, and the job that makes an observation of it."""

    event: Event
    generationJob: NotRequired[Outcome]
    waitTimedOut: NotRequired[TimedOut]


class EventsStored(TypedDict):
    """The events of a batch, in its order."""

    events: list[EventStored]
    waitTimedOut: NotRequired[TimedOut]


class Nothing(TypedDict):
    """An empty object: agents read what a hook is answered as instructions."""


# --- observations ---------------------------------------------------------------------------------


class Observation(TypedDict):
    """A memory: what was made of events, or what was told to be kept."""

    id: Id
    projectId: str
    teamId: str
    serverSessionId: str | None
    kind: str
    content: str
    metadata: Metadata
    createdAtEpoch: Epoch
    updatedAtEpoch: Epoch


class Source(TypedDict):
    """What an observation was made of."""

    id: Id
    sourceType: str
    sourceId: str
    generationJobId: str | None
    createdAtEpoch: Epoch


class SourcedObservation(TypedDict):
    """An observation, with one of its sources."""

    id: Id
    projectId: str
    teamId: str
    serverSessionId: str | None
    kind: str
    content: str
    metadata: Metadata
    generationKey: str | None
    createdByJobId: str | None
    createdAtEpoch: Epoch
    updatedAtEpoch: Epoch
    source: Source


class EventObservations(TypedDict):
    """What was made of an event, oldest first."""

    eventId: Id
    observations: list[SourcedObservation]
    nextCursor: NotRequired[NextCursor]


class WholeObservation(TypedDict):
    """An observation with all that is known of it."""

    id: Id
    projectId: str
    teamId: str
    serverSessionId: str | None
    kind: str
    content: Annotated[str, Field(description="Title, subtitle, narrative and facts as one text")]
    metadata: Metadata
    number: Annotated[int, Field(description="Its short name, as contexts show it")]
    title: str
    subtitle: str
    narrative: str
    facts: list[str]
    concepts: list[str]
    filesRead: list[str]
    filesModified: list[str]
    createdByJobId: str | None
    occurredAtEpoch: Epoch
    createdAtEpoch: Epoch
    updatedAtEpoch: Epoch


class OneObservation(TypedDict):
    """An observation."""

    observation: WholeObservation


class Observations(TypedDict):
    """A page of observations."""

    observations: list[WholeObservation]
    nextCursor: NextCursor


class OneMemory(TypedDict):
    """A memory."""

    memory: Observation


class Memories(TypedDict):
    """A page of memories."""

    memories: list[Observation]
    nextCursor: NextCursor


class MemoryDeleted(TypedDict):
    """A memory that is gone, with its links."""

    deleted: Literal[True]
    id: str


class More(TypedDict, total=False):
    """The way to the next page, for whoever asked for it."""

    nextCursor: NextCursor


class Found(TypedDict):
    """What answers a question, best first."""

    observations: list[Observation]
    nextCursor: NotRequired[NextCursor]


class Context(TypedDict):
    """What answers a question, best first, and as one text for an agent."""

    observations: list[Observation]
    context: str
    nextCursor: NotRequired[NextCursor]


# --- projects -------------------------------------------------------------------------------------


class Project(TypedDict):
    """What a team works on: usually a repository."""

    id: Id
    teamId: str
    name: str
    slug: Annotated[str, Field(description="The name in letters, digits and dashes")]
    rootPath: Annotated[str | None, Field(description="Where its client said that it lies")]
    metadata: Metadata
    createdAtEpoch: Epoch
    updatedAtEpoch: Epoch


class OneProject(TypedDict):
    """A project."""

    project: Project


class Projects(TypedDict):
    """A page of projects, by name."""

    projects: list[Project]
    nextCursor: NextCursor


class Gone(TypedDict):
    """How much is deleted."""

    observations: Annotated[int, Field(ge=0)]
    agentEvents: Annotated[int, Field(ge=0)]
    sessions: Annotated[int, Field(ge=0)]
    jobs: Annotated[int, Field(ge=0)]


class ProjectEmptied(TypedDict):
    """A project that remembers nothing any more."""

    purged: Literal[True]
    projectId: str
    counts: Gone


# --- the audit ------------------------------------------------------------------------------------


class AuditEntry(TypedDict):
    """Who did what to what, and when."""

    id: Annotated[str, Field(description="A number that grows; its order is that of time")]
    teamId: str | None
    projectId: str | None
    actorId: Annotated[str | None, Field(description="Who came without a key")]
    apiKeyId: str | None
    action: str
    resourceType: str
    resourceId: str | None
    details: dict[str, Any]
    createdAtEpoch: Epoch


class Audit(TypedDict):
    """A page of the audit, newest first."""

    audit: list[AuditEntry]
    nextCursor: NextCursor


# --- jobs -----------------------------------------------------------------------------------------


class LastError(TypedDict):
    """Why a job's last attempt came to nothing."""

    reason: str
    classification: str | None


class Job(TypedDict):
    """A job in full."""

    id: Id
    projectId: str
    teamId: str
    sourceType: str
    sourceId: str
    agentEventId: str | None
    serverSessionId: str | None
    jobType: str
    status: State
    bullmqJobId: QueueJobId | None
    attempts: int
    maxAttempts: int
    nextAttemptAtEpoch: Epoch | None
    completedAtEpoch: Epoch | None
    failedAtEpoch: Epoch | None
    cancelledAtEpoch: Epoch | None
    lastError: LastError | None
    createdAtEpoch: Epoch
    updatedAtEpoch: Epoch


class OneJob(TypedDict):
    """A job."""

    generationJob: Job
    waitTimedOut: NotRequired[TimedOut]


class JobRetried(OneJob):
    """A job that is queued again, or was anyway."""

    retriedCount: Annotated[int, Field(ge=0)]
    alreadyQueued: bool
    requestId: RequestId


class JobCancelled(TypedDict):
    """A job that is cancelled, or was anyway."""

    generationJob: Job
    alreadyCancelled: bool
    requestId: RequestId


class JobEntry(TypedDict):
    """A job in a list."""

    id: Id
    projectId: str
    teamId: str
    sourceType: str
    sourceId: str
    status: State
    attempts: int
    maxAttempts: int
    createdAtEpoch: Epoch
    completedAtEpoch: Epoch | None
    failedAtEpoch: Epoch | None
    lastError: LastError | None
    payload: NotRequired[JobPayload]


class JobsPage(TypedDict):
    """A page of jobs, newest first."""

    jobs: list[JobEntry]
    total: Total
    limit: Limit
    offset: Offset


class RequestedJobsPage(JobsPage):
    """A page of jobs, newest first, and the request that it answers."""

    requestId: RequestId


class JobEvent(TypedDict):
    """A line of a job's history."""

    id: str
    generationJobId: Id
    eventType: str
    statusAfter: str
    attempt: int
    details: dict[str, Any]
    createdAtEpoch: Epoch


class JobHistory(TypedDict):
    """A page of a job's history, oldest first."""

    events: list[JobEvent]
    total: Total
    limit: Limit
    offset: Offset
    requestId: RequestId


# --- keys -----------------------------------------------------------------------------------------


Moment = Annotated[
    str, Field(description="A time in UTC, as ISO 8601", examples=["2026-11-22T15:04:05.678Z"])
]
McpUrl = Annotated[
    str,
    Field(description="Where MCP clients connect", examples=["http://127.0.0.1:37877/v1/mcp"]),
]
ConnectCommand = Annotated[str, Field(description="What connects Claude Code with it")]


class KeyMade(TypedDict):
    """A key that was just made. It cannot be had again."""

    id: Id
    apiKey: str
    scopes: list[str]
    expiresAt: Moment | None
    mcpUrl: McpUrl
    connectCommand: ConnectCommand


class Connect(TypedDict):
    """How to connect, with a place for a key."""

    mcpUrl: McpUrl
    connectCommand: ConnectCommand
    hint: str


class Key(TypedDict):
    """What is known of a key."""

    id: Id
    name: Annotated[str, Field(description="What it is for")]
    teamId: str | None
    projectId: Annotated[str | None, Field(description="null: all projects of the team")]
    scopes: list[str]
    status: Annotated[str, one_of("active", "expired", "revoked", description="Whether it works")]
    lastUsedAt: Annotated[Moment | None, Field(description="To the minute")]
    expiresAt: Moment | None
    createdAt: Moment


class OneKey(TypedDict):
    """A key."""

    key: Key


class KeysPage(TypedDict):
    """A page of keys, newest first."""

    keys: list[Key]
    nextCursor: NextCursor


class KeyRevoked(TypedDict):
    """A key that works no more."""

    id: Id
    status: Annotated[Literal["revoked"], Field(description="It works no more")]


# --- what was used --------------------------------------------------------------------------------

Totals = Annotated[
    dict[str, int],
    Field(
        description="How much of each kind",
        examples=[{"request": 120, "tokens": 110, "input_tokens": 100, "output_tokens": 10}],
    ),
]


Day = Annotated[str, Field(description="A day in UTC", examples=["2026-01-31"])]


class Cap(TypedDict):
    """How much of a kind may be used in a month, how much was, and what is left of it."""

    cap: int
    used: int
    left: int


class Caps(TypedDict):
    """What is capped; null where there is no cap."""

    request: Cap | None
    tokens: Cap | None


class DayUsed(TypedDict):
    """What was used on a day in UTC."""

    day: Day
    usage: Totals


class ProjectUsed(TypedDict):
    """What was used by a project; null by what belongs to none."""

    projectId: str | None
    usage: Totals


class Used(TypedDict):
    """What a team used in a month, and what it may use."""

    since: Moment
    until: Moment
    usage: Totals
    metering: Annotated[bool, Field(description="Whether days and projects are written down")]
    caps: Caps
    requestsPerMinute: Annotated[int | None, Field(description="How many a key may make")]
    days: list[DayUsed]
    projects: list[ProjectUsed]


# --- the Model Context Protocol -------------------------------------------------------------------

MessageId = Annotated[str | int, Field(description="Its sender's name for it")]


JsonRpc = Annotated[Literal["2.0"], Field(description="The version of JSON-RPC")]


class McpMessage(TypedDict):
    """A message of JSON-RPC; one without `id` is not answered."""

    jsonrpc: JsonRpc
    id: NotRequired[MessageId]
    method: Annotated[str, Field(description="What is asked", examples=["tools/call"])]
    params: NotRequired[Annotated[dict[str, Any], Field(description="What it is asked with")]]


class McpError(TypedDict):
    """What is wrong with a message, or with the request that brought it."""

    code: Annotated[int, Field(description="Which error of JSON-RPC or of the protocol it is")]
    message: Annotated[str, Field(description="The same in words")]
    data: NotRequired[Annotated[Any, Field(description="What else is known of it")]]


class McpAnswer(TypedDict):
    """The answer to a message: its result, or what is wrong with it."""

    jsonrpc: JsonRpc
    id: Annotated[str | int | None, Field(description="That of the message; null if it had none")]
    result: NotRequired[Annotated[dict[str, Any], Field(description="What was asked for")]]
    error: NotRequired[Annotated[McpError, Field(description="What went wrong")]]
