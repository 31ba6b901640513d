"""Sessions."""

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from claudemem.api.wire.fields import Epoch, Id, Metadata, NextCursor, RequestId
from claudemem.api.wire.jobs import JobDescriptor


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
    branch: Annotated[str | None, Field(description="Of the repository, when it began")]
    part: Annotated[str | None, Field(description="Of the repository: in which it began")]
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
