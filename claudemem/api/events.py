"""Events: capture one or many, look at one and at what was made of it."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from ninja import Router
from pydantic import Field, TypeAdapter

from claudemem.api import (
    asking,
    audited,
    bodies,
    entities,
    pages,
    queries,
    reach,
    waiting,
    wire,
)
from claudemem.api.answers import Answer, from_epoch
from claudemem.api.asking import Filter, Filters, When
from claudemem.api.calls import Call, Flags, Needs, flags, origin, team
from claudemem.api.documents import says
from claudemem.api.pages import PageQuery
from claudemem.api.shapes import Body, Epoch, Metadata, Name, ShortName, Text
from claudemem.api.waiting import Waited
from claudemem.api.wire.fields import AN_ID
from observations import history, ingest, recall, scopes
from observations.captured import Captured
from observations.errors import NotFound
from observations.history import EventFilters
from observations.ingest import NewEvent, SessionRef
from observations.listings import COUNTED, Listed, part
from observations.models import ObservationSource
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
    memory_session_id: Name | None = None
    platform_source: ShortName | None = None
    source_event_id: Name | None = None
    tool_use_id: Name | None = None
    payload: Any = None
    metadata: Metadata = Field(default_factory=dict)

    @property
    def details(self) -> Metadata:
        """The metadata, with what no column holds."""
        if self.memory_session_id is None:
            return self.metadata
        return {"memorySessionId": self.memory_session_id} | self.metadata

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
            tool_use_id=self.tool_use_id,
            metadata=self.details,
            generate=flags.generate,
        )


class EventsQuery(PageQuery):
    """Which events are listed: those of a project, or of one of its sessions."""

    project_id: Filter | None = None
    session_id: Filter | None = None
    event_type: Filters = ()
    source_type: Filter | None = None
    platform_source: Filter | None = None
    since: When | None = None
    until: When | None = None

    @property
    def wanted(self) -> EventFilters:
        """The filters for the domain."""
        return EventFilters(
            event_types=self.event_type,
            source_adapter=self.source_type,
            platform_source=self.platform_source,
            since=self.since,
            until=self.until,
        )


ONE = TypeAdapter(EventBody)
MANY = TypeAdapter(Annotated[list[EventBody], Field(min_length=1, max_length=MOST_EVENTS)])
EXAMPLE = {
    "projectId": AN_ID,
    "sourceType": "api",
    "eventType": "tool_use",
    "occurredAtEpoch": 1_700_000_000_123,
    "contentSessionId": "08896821-bb12-4dd4-97b2-ba180f81edf3",
    "payload": {
        "tool_name": "Bash",
        "tool_input": {"command": "make test"},
        "tool_response": "12 passed",
    },
}


@router.post(
    "/events",
    auth=Needs(scopes.WRITE_EVENTS),
    openapi_extra=says(
        takes=ONE, example=EXAMPLE, query=queries.EventFlags, answers={201: wire.events.EventStored}
    ),
)
def create(request: Call) -> Answer[wire.events.EventStored]:
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
        takes=MANY,
        example=[EXAMPLE],
        query=queries.EventFlags,
        answers={201: wire.events.EventsStored},
    ),
)
def create_batch(request: Call) -> Answer[wire.events.EventsStored]:
    """Store up to 500 events, all or none; the answers are in their order."""
    asked = flags(request)
    new = [each.new_event(asked) for each in bodies.read(request, MANY)]
    for project_id in {each.project_id for each in new}:
        reach.check_project(request.auth, project_id)
    source = origin(request, "http_post_v1_events_batch")
    captured = ingest.capture(team(request), new, origin=source, kind=kinds.EVENT_BATCH)
    told = _told(captured, asked)
    stored: wire.events.EventsStored = {"events": told}
    if any("waitTimedOut" in each for each in told):
        stored["waitTimedOut"] = True
    return Answer(stored, status=201)


@router.get(
    "/events",
    auth=Needs(scopes.READ_MEMORY),
    openapi_extra=says(query=EventsQuery, answers={200: wire.events.Events}, refusals=(NotFound,)),
)
def show_all(request: Call) -> Answer[wire.events.Events]:
    """The events of a project or of a session, newest first."""
    asked = asking.read(request, EventsQuery)
    named = asked.project_id
    if asked.session_id is not None:
        session = reach.session(request.auth, asked.session_id)
        named = named or session.project_id
    project_id = reach.listed_project(request.auth, named)
    order = history.order(asked.session_id)
    bound_to = pages.about("events", [project_id], asked)
    window = pages.window(asked, bound_to, order.sorts)
    found = history.events(project_id, asked.session_id, asked.wanted, window)
    told = [entities.event(row) for row in found.rows]
    return Answer({"events": told, "nextCursor": pages.cursor(found.goes_on, bound_to)})


@router.get(
    "/events/{event_id}",
    auth=Needs(scopes.READ_MEMORY),
    openapi_extra=says(answers={200: wire.events.OneEvent}),
)
def show(request: Call, event_id: str) -> Answer[wire.events.OneEvent]:
    """One event."""
    return Answer({"event": entities.event(reach.event(request.auth, event_id))})


@router.get(
    "/events/{event_id}/observations",
    auth=Needs(scopes.READ_MEMORY),
    openapi_extra=says(query=PageQuery, answers={200: wire.observations.EventObservations}),
)
def observations(request: Call, event_id: str) -> Answer[wire.observations.EventObservations]:
    """What was made of an event, oldest first; a page of it, if `limit` or `cursor` is given."""
    event = reach.event(request.auth, event_id)
    asked = asking.read(request, PageQuery)
    bound_to = pages.about("event_observations", [event.id], asked)
    listed = _part(recall.of_event(event.team_id, event.id), asked, bound_to)
    sources = listed.rows
    found = [entities.sourced_observation(source.observation, source) for source in sources]
    audited.shown(
        request,
        "event_observations",
        [source.observation for source in sources],
        project_id=event.project_id,
        resource_id=event.id,
    )
    told: wire.observations.EventObservations = {"eventId": event.id, "observations": found}
    if asked.model_fields_set:
        told["nextCursor"] = pages.cursor(listed.goes_on, bound_to)
    return Answer(told)


def _part(
    rows: Sequence[ObservationSource], asked: PageQuery, bound_to: list[Any]
) -> Listed[ObservationSource]:
    window = pages.window(asked, bound_to, COUNTED)
    return part(rows, window) if asked.model_fields_set else Listed(tuple(rows), None)


def _told(captured: Sequence[Captured], asked: Flags) -> list[wire.events.EventStored]:
    if not asked.generate:
        return [_stored(one, waited=asked.wait) for one in captured]
    return _waited(captured) if asked.wait else [_described(one) for one in captured]


def _stored(one: Captured, *, waited: bool) -> wire.events.EventStored:
    event = entities.event(one.event)
    return {"event": event, "generationJob": None} if waited else {"event": event}


def _described(one: Captured) -> wire.events.EventStored:
    told = _stored(one, waited=False)
    if job := one.job:
        told["generationJob"] = entities.job_descriptor(job, one.transport)
    return told


def _waited(captured: Sequence[Captured]) -> list[wire.events.EventStored]:
    waited = waiting.wait({one.job_id for one in captured if one.job_id})
    return [_with_outcome(one, waited) for one in captured]


def _with_outcome(one: Captured, waited: Waited) -> wire.events.EventStored:
    told = _stored(one, waited=True)
    if job := one.job:
        job = waited.jobs.get(job.id, job)
        told["generationJob"] = entities.waited_job(job, one.transport)
        if job.id in waited.late:
            told["waitTimedOut"] = True
    return told
