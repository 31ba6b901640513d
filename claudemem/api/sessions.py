"""Sessions: start, look at, end, clear the queue of."""

from ninja import Router
from pydantic import Field, TypeAdapter

from claudemem.api import bodies, entities, reach, wire
from claudemem.api.answers import Answer
from claudemem.api.calls import Call, Needs, origin, team
from claudemem.api.documents import says
from claudemem.api.shapes import Body, Metadata, Name, ShortName
from observations import scopes, sessions
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


START = TypeAdapter(StartBody)
EXAMPLE = {
    "projectId": "my-project",
    "externalSessionId": "run-17",
    "agentType": "reviewer",
    "platformSource": "claude-code",
}


@router.post(
    "/sessions/start",
    auth=Needs(scopes.WRITE_SESSIONS),
    openapi_extra=says(
        takes=START, example=EXAMPLE, answers={201: wire.OneSession, 200: wire.OneSession}
    ),
)
def start(request: Call) -> Answer[wire.OneSession]:
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
    "/sessions/{session_id}",
    auth=Needs(scopes.READ_MEMORY),
    openapi_extra=says(answers={200: wire.OneSession}),
)
def show(request: Call, session_id: str) -> Answer[wire.OneSession]:
    """One session."""
    session = reach.session(request.auth, session_id)
    return Answer({"session": entities.session(session)})


@router.post(
    "/sessions/{session_id}/end",
    auth=Needs(scopes.WRITE_SESSIONS),
    openapi_extra=says(answers={200: wire.SessionEnded}),
)
def end(request: Call, session_id: str) -> Answer[wire.SessionEnded]:
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
    openapi_extra=says(answers={200: wire.QueueCleared}),
)
def clear_queue(request: Call, session_id: str) -> Answer[wire.QueueCleared]:
    """Cancel all jobs of a session that wait or are worked. The body is ignored."""
    session = reach.session(request.auth, session_id)
    by = origin(request, "operator_clear_queue")
    cancelled = operations.clear(session.lane_key, session.id, by)
    return Answer(
        {"sessionId": session.id, "cancelled": cancelled, "requestId": request.request_id}
    )
