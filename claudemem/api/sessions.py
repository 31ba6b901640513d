"""Sessions: start, look at, end, clear the queue of."""

from ninja import Router
from pydantic import Field, TypeAdapter

from claudemem.api import asking, bodies, entities, pages, reach, wire
from claudemem.api.answers import Answer
from claudemem.api.asking import Filter, Flag, When
from claudemem.api.calls import Call, Needs, origin, team
from claudemem.api.documents import says
from claudemem.api.pages import PageQuery
from claudemem.api.shapes import Body, Metadata, Name, ShortName
from claudemem.api.wire.fields import AN_ID
from observations import history, scopes, sessions
from observations.history import SessionFilters
from observations.listings import SESSIONS
from observations.sessions import NewSession
from queueing import operations

router = Router(tags=["sessions"])


class StartBody(Body):
    """A session as its client names it."""

    project_id: Name
    external_session_id: Name | None = None
    content_session_id: Name | None = None
    agent_id: Name | None = None
    agent_type: Name | None = None
    platform_source: ShortName | None = None
    metadata: Metadata = Field(default_factory=dict)


class SessionsQuery(PageQuery):
    """Which sessions of a project are listed."""

    project_id: Filter | None = None
    external_session_id: Filter | None = None
    content_session_id: Filter | None = None
    platform_source: Filter | None = None
    ended: Flag | None = None
    since: When | None = None
    until: When | None = None

    @property
    def wanted(self) -> SessionFilters:
        """The filters for the domain."""
        return SessionFilters(
            external_session_id=self.external_session_id,
            content_session_id=self.content_session_id,
            platform_source=self.platform_source,
            ended=self.ended,
            since=self.since,
            until=self.until,
        )


START = TypeAdapter(StartBody)
EXAMPLE = {
    "projectId": AN_ID,
    "externalSessionId": "run-17",
    "agentType": "reviewer",
    "platformSource": "claude-code",
}


@router.post(
    "/sessions/start",
    auth=Needs(scopes.WRITE_SESSIONS),
    openapi_extra=says(
        takes=START,
        example=EXAMPLE,
        answers={201: wire.sessions.OneSession, 200: wire.sessions.OneSession},
    ),
)
def start(request: Call) -> Answer[wire.sessions.OneSession]:
    """Start a session, or find the one that was started under these names: 201 or 200."""
    body = bodies.read(request, START)
    reach.check_project(request.auth, body.project_id)
    session, created = sessions.start(
        team(request),
        NewSession(**dict(body)),
        origin=origin(request, "http_post_v1_sessions_start"),
    )
    return Answer({"session": entities.session(session)}, status=201 if created else 200)


@router.get(
    "/sessions",
    auth=Needs(scopes.READ_MEMORY),
    openapi_extra=says(query=SessionsQuery, answers={200: wire.sessions.Sessions}),
)
def show_all(request: Call) -> Answer[wire.sessions.Sessions]:
    """The sessions of a project, that which started last first."""
    asked = asking.read(request, SessionsQuery)
    project_id = reach.listed_project(request.auth, asked.project_id)
    bound_to = pages.about("sessions", [project_id], asked)
    window = pages.window(asked, bound_to, SESSIONS.sorts)
    found = history.sessions(project_id, asked.wanted, window)
    told = [entities.session(row) for row in found.rows]
    return Answer({"sessions": told, "nextCursor": pages.cursor(found.goes_on, bound_to)})


@router.get(
    "/sessions/{session_id}",
    auth=Needs(scopes.READ_MEMORY),
    openapi_extra=says(answers={200: wire.sessions.OneSession}),
)
def show(request: Call, session_id: str) -> Answer[wire.sessions.OneSession]:
    """One session."""
    session = reach.session(request.auth, session_id)
    return Answer({"session": entities.session(session)})


@router.post(
    "/sessions/{session_id}/end",
    auth=Needs(scopes.WRITE_SESSIONS),
    openapi_extra=says(answers={200: wire.sessions.SessionEnded}),
)
def end(request: Call, session_id: str) -> Answer[wire.sessions.SessionEnded]:
    """End a session and have it summarised. The body is ignored."""
    session, job, transport = sessions.end(
        team(request),
        session_id,
        project_id=request.auth.project_id,
        origin=origin(request, "http_post_v1_sessions_end"),
    )
    descriptor = entities.job_descriptor(job, transport)
    return Answer({"session": entities.session(session), "generationJob": descriptor})


@router.post(
    "/sessions/{session_id}/clear-queue",
    auth=Needs(scopes.WRITE_MEMORY),
    openapi_extra=says(answers={200: wire.sessions.QueueCleared}),
)
def clear_queue(request: Call, session_id: str) -> Answer[wire.sessions.QueueCleared]:
    """Cancel all jobs of a session that wait or are worked. The body is ignored."""
    session = reach.session(request.auth, session_id)
    by = origin(request, "operator_clear_queue")
    cancelled = operations.clear(session.lane_key, session.id, by)
    return Answer(
        {"sessionId": session.id, "cancelled": cancelled, "requestId": request.request_id}
    )
