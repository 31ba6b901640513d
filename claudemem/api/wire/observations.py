"""Observations: what was made of events, and what was told to be kept."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from claudemem.api.wire.fields import Epoch, Id, Metadata, NextCursor


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
