"""What answers about the server itself look like: how it is, and what it is made of."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from claudemem.api.wire.fields import Epoch, KindName

Verdict = Literal["ok", "late", "failed", "unknown", "off"]
Count = Annotated[int, Field(ge=0)]


class Alive(TypedDict):
    """The process answers."""

    status: Literal["ok"]
    runtime: str


class Accepting(TypedDict):
    """Events can be accepted."""

    status: Literal["ready"]


class NotAccepting(TypedDict):
    """Events cannot be accepted now, and why."""

    status: Literal["not ready"]
    message: str


class Ready(TypedDict):
    """Events can be accepted, as older clients ask it."""

    status: Literal["ready"]
    mcpReady: bool


class Initializing(TypedDict):
    """Events cannot be accepted now, as older clients are told it."""

    status: Literal["initializing"]
    message: str


class Version(TypedDict):
    """The version of this program."""

    version: Annotated[str, Field(examples=["0.1.0"])]


class OpenOfKind(TypedDict):
    """How many jobs of a kind wait, and how many are worked."""

    queued: Count
    processing: Count


class Processing(TypedDict):
    """How many jobs wait or are worked."""

    isProcessing: bool
    queueDepth: Count
    kinds: Annotated[dict[str, OpenOfKind], Field(description="By kind of job")]


class LaneCounts(TypedDict):
    """How many jobs of a kind are in each state."""

    kind: KindName
    name: str
    waiting: Count
    active: Count
    completed: Count
    failed: Count
    delayed: Count
    stalled: Annotated[Count, Field(description="Their worker is gone; they wait for another")]
    unavailable: Annotated[bool, Field(description="The counts are not known")]


class Store(TypedDict):
    """The queue store, and whether it answers."""

    status: Literal["ok", "error"]
    mode: str
    host: str | None
    port: int | None
    prefix: str


class Queue(TypedDict):
    """What brings work to workers. `redis` is left out where that is the database."""

    engine: str
    transport: str
    redis: NotRequired[Store]
    lanes: list[LaneCounts]


class Provider(TypedDict):
    """The configured provider."""

    provider: str
    authMethod: str
    lastInteraction: dict[str, Any] | None


class Part(TypedDict):
    """What the server depends on, and how that is."""

    name: str
    status: Literal["ok", "error"]
    message: str


class Dependencies(TypedDict):
    """What the server depends on."""

    degraded: bool
    statuses: list[Part]


class Summary(TypedDict):
    """How everything is, as older clients ask it."""

    status: Literal["ok", "degraded"]
    runtime: str
    version: str
    workerPath: str
    uptime: Annotated[int, Field(description="In seconds", ge=0)]
    managed: bool
    hasIpc: bool
    platform: str
    pid: int
    initialized: bool
    mcpReady: bool
    ai: Provider
    dependencies: Dependencies
    rateLimits: dict[str, Any]
    queue: Queue


class Database(TypedDict):
    """Whether the database is prepared, whichever it is."""

    initialized: bool
    schemaVersion: int


class Boundary(TypedDict):
    """How one part is, and why."""

    status: Literal["active", "disabled", "errored"]
    reason: str
    details: dict[str, Any]


class Boundaries(TypedDict):
    """The parts."""

    queueManager: Boundary
    generationWorkerManager: Boundary
    providerRegistry: Boundary
    eventBroadcaster: Boundary


class Info(TypedDict):
    """What this server is, and how its parts are."""

    name: str
    runtime: str
    authMode: str
    postgres: Database
    boundaries: Boundaries
    queueLanes: list[LaneCounts]


class Check(TypedDict):
    """One part against its limit; what was measured is in seconds, or a number of jobs."""

    verdict: Verdict
    reason: str
    seconds: NotRequired[float | None]
    jobs: NotRequired[float | None]
    limit: float | None


class CanaryCheck(Check):
    """How long ago something came through a queue."""

    queue: str
    sentAtEpoch: Epoch | None
    seenAtEpoch: Epoch | None


class QueueCheck(Check):
    """How much waits in a queue: `rows` by state, and what the queue store holds of it."""

    queue: str
    rows: dict[str, int]
    heads: int
    paused: int
    messages: int | None
    missing: int | None


class Checks(TypedDict):
    """Each part."""

    database: Check
    queueStore: Check
    lag: Check
    lastSuccess: Check
    beat: Check
    workers: Check
    canaries: NotRequired[list[CanaryCheck | Check]]
    queues: NotRequired[list[QueueCheck | Check]]
    provider: Check
    pauses: Check


class Report(TypedDict):
    """Everything against its limits; `status` is the worst verdict."""

    status: Verdict
    checkedAtEpoch: Epoch
    engine: str
    checks: Checks
