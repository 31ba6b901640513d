"""Events, and what becomes of them."""

from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from claudemem.api.wire.fields import Epoch, Id, Metadata, NextCursor, TimedOut
from claudemem.api.wire.jobs import Outcome


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


# What other agents are answered: each has words of its own for it.
Reply = dict[str, Any]


class Specific(TypedDict):
    """What is put before the model, in the answer to the hook of that name."""

    hookEventName: Annotated[str, Field(description="The hook that is answered")]
    additionalContext: Annotated[str, Field(description="What is remembered that helps now")]


class Told(TypedDict):
    """What a hook of Claude Code is answered: an empty object where there is nothing to say."""

    hookSpecificOutput: NotRequired[
        Annotated[Specific, Field(description="What the agent reads of the answer")]
    ]
