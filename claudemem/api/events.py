"""Events: capture one or many, look at one and at what was made of it."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from ninja import Router
from pydantic import AliasChoices, Field, TypeAdapter

from claudemem.api import audited, bodies, entities, queries, reach, waiting, wire
from claudemem.api.answers import Answer, from_epoch
from claudemem.api.calls import Call, Flags, Needs, flags, origin, team
from claudemem.api.documents import says
from claudemem.api.shapes import Body, Epoch, Metadata, Name, ShortName, Text
from claudemem.api.waiting import Waited
from observations import ingest, recall, scopes
from observations.captured import Captured
from observations.ingest import NewEvent, SessionRef
from queueing import kinds

router = Router(tags=["events"])

MOST_EVENTS = 500


class EventBody(Body):
    """An event as a client reports it."""

    project_id: Name
    source_type: Literal["hook", "worker", "provider", "server", "api"]
    event_type: Text
    occurred_at_epoch: Epoch
    server_session_id: Name | None = None
    content_session_id: Name | None = None
    platform_source: ShortName | None = None
    source_event_id: Name | None = Field(
        None, validation_alias=AliasChoices("sourceEventId", "toolUseId")
    )
    payload: Any = None
    metadata: Metadata = Field(default_factory=dict)

    def new_event(self, flags: Flags) -> NewEvent:
        """The same for the domain."""
        return NewEvent(
            project_id=self.project_id,
            event_type=self.event_type,
            source_adapter=self.source_type,
            payload={} if self.payload is None else self.payload,
            occurred_at=from_epoch(self.occurred_at_epoch),
            session=SessionRef(
                self.server_session_id,
                self.content_session_id,
                platform_given="platform_source" in self.model_fields_set,
            ),
            platform_source=self.platform_source,
            source_event_id=self.source_event_id,
            metadata=self.metadata,
            generate=flags.generate,
        )


ONE = TypeAdapter(EventBody)
MANY = TypeAdapter(Annotated[list[EventBody], Field(min_length=1, max_length=MOST_EVENTS)])
EXAMPLE = {
    "projectId": "my-project",
    "sourceType": "api",
    "eventType": "tool_use",
    "occurredAtEpoch": 1_700_000_000_123,
    "contentSessionId": "08896821-bb12-4dd4-97b2-ba180f81edf3",
    "payload": {"tool_name": "Bash", "tool_input": {"command": "make test"}},
}


@router.post(
    "/events",
    auth=Needs(scopes.WRITE_EVENTS),
    openapi_extra=says(
        takes=ONE, example=EXAMPLE, query=queries.EventFlags, answers={201: wire.EventStored}
    ),
)
def create(request: Call) -> Answer[wire.EventStored]:
    """Store an event; 201, for one that is known already too."""
    asked = flags(request)
    new = bodies.read(request, ONE).new_event(asked)
    reach.check_project(request.auth, new.project_id)
    source = origin(request, "http_post_v1_events")
    captured = ingest.capture(team(request), [new], origin=source, kind=kinds.EVENT)
    return Answer(_told(captured, asked)[0], status=201)


@router.post(
    "/events/batch",
    auth=Needs(scopes.WRITE_EVENTS),
    openapi_extra=says(
        takes=MANY, example=[EXAMPLE], query=queries.EventFlags, answers={201: wire.EventsStored}
    ),
)
def create_batch(request: Call) -> Answer[wire.EventsStored]:
    """Store up to 500 events, all or none; the answers are in their order."""
    asked = flags(request)
    new = [each.new_event(asked) for each in bodies.read(request, MANY)]
    for project_id in {each.project_id for each in new}:
        reach.check_project(request.auth, project_id)
    source = origin(request, "http_post_v1_events_batch")
    captured = ingest.capture(team(request), new, origin=source, kind=kinds.EVENT_BATCH)
    told = _told(captured, asked)
    stored: wire.EventsStored = {"events": told}
    if any("waitTimedOut" in each for each in told):
        stored["waitTimedOut"] = True
    return Answer(stored, status=201)


@router.get(
    "/events/{event_id}",
    auth=Needs(scopes.READ_MEMORY),
    openapi_extra=says(answers={200: wire.OneEvent}),
)
def show(request: Call, event_id: str) -> Answer[wire.OneEvent]:
    """One event."""
    return Answer({"event": entities.event(reach.event(request.auth, event_id))})


@router.get(
    "/events/{event_id}/observations",
    auth=Needs(scopes.READ_MEMORY),
    openapi_extra=says(answers={200: wire.EventObservations}),
)
def observations(request: Call, event_id: str) -> Answer[wire.EventObservations]:
    """What was made of an event, oldest first."""
    event = reach.event(request.auth, event_id)
    sources = recall.of_event(event.team_id, event.id)
    found = [entities.sourced_observation(source.observation, source) for source in sources]
    audited.shown(
        request,
        "event_observations",
        [source.observation for source in sources],
        project_id=event.project_id,
        resource_id=event.id,
    )
    return Answer({"eventId": event.id, "observations": found})


def _told(captured: Sequence[Captured], asked: Flags) -> list[wire.EventStored]:
    if not asked.generate:
        return [_stored(one, waited=asked.wait) for one in captured]
    return _waited(captured) if asked.wait else [_described(one) for one in captured]


def _stored(one: Captured, *, waited: bool) -> wire.EventStored:
    event = entities.event(one.event)
    return {"event": event, "generationJob": None} if waited else {"event": event}


def _described(one: Captured) -> wire.EventStored:
    told = _stored(one, waited=False)
    if job := one.job:
        told["generationJob"] = entities.job_descriptor(job, one.transport)
    return told


def _waited(captured: Sequence[Captured]) -> list[wire.EventStored]:
    waited = waiting.wait({one.job_id for one in captured if one.job_id})
    return [_with_outcome(one, waited) for one in captured]


def _with_outcome(one: Captured, waited: Waited) -> wire.EventStored:
    told = _stored(one, waited=True)
    if job := one.job:
        job = waited.jobs.get(job.id, job)
        told["generationJob"] = entities.waited_job(job, one.transport)
        if job.id in waited.late:
            told["waitTimedOut"] = True
    return told
