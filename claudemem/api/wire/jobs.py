"""Jobs, in full and as told to whoever asks for something else."""

from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from claudemem.api.wire.fields import (
    Epoch,
    Id,
    JobPayload,
    Limit,
    Offset,
    QueueJobId,
    RequestId,
    State,
    TimedOut,
    Total,
    Transport,
)


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

    id: Annotated[str, Field(description="Its place in the history of its job, from 1 on")]
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
