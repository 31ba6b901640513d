"""The hooks of agents, as they post their own payloads."""

from ninja import Router

from claudemem.api import bodies
from claudemem.api.answers import Answer
from claudemem.api.calls import Call, Needs, origin, team
from observations import ingest, scopes
from observations.captured import Captured

router = Router(tags=["hooks"])


@router.post("/hooks/claude-code", auth=Needs(scopes.WRITE_EVENTS))
def claude_code(request: Call) -> Answer:
    """Take a hook payload of Claude Code.

    Claude Code reads the answer's body as instructions, so it is an empty object; what became of
    the payload is in the headers.
    """
    captured = ingest.capture_hook(
        team(request),
        request.auth.project_id,
        bodies.json_of(request),
        origin=origin(request, "http_post_v1_hooks_claude_code"),
    )
    return Answer({}, status=201, headers=_told(captured))


def _told(captured: Captured) -> dict[str, str]:
    job = {"X-Job-Id": captured.job_id} if captured.job_id else {}
    return {
        "X-Event-Id": captured.event.id,
        **job,
        "X-Transport": captured.transport,
        "X-Duplicate": "true" if captured.duplicate else "false",
    }
