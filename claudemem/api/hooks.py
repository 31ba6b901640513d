"""The hooks of agents, as they post their own payloads."""

from typing import Any

from ninja import Router
from pydantic import TypeAdapter

from claudemem.api import bodies, wire
from claudemem.api.answers import Answer
from claudemem.api.calls import Call, Needs, origin, team
from claudemem.api.documents import says
from observations import hook_facts, ingest, scopes
from observations.captured import Captured

router = Router(tags=["hooks"])

# Whatever the agent says of what it does; how it is read is the domain's.
PAYLOAD = TypeAdapter(dict[str, Any])
EXAMPLE = {
    "hook_event_name": "PostToolUse",
    "session_id": "08896821-bb12-4dd4-97b2-ba180f81edf3",
    "cwd": "/home/ada/my-project",
    "tool_name": "Bash",
    "tool_input": {"command": "make test"},
    "tool_response": {"stdout": "12 passed"},
}
HEADERS = {
    "X-Event-Id": "The event that it was stored as",
    "X-Job-Id": "The job that makes an observation of it, where there is one",
    "X-Transport": "What became of the job: `enqueued`, `queued_only`, `skipped`",
    "X-Duplicate": "`true` where it was known already",
}


@router.post(
    "/hooks/claude-code",
    auth=Needs(scopes.WRITE_EVENTS),
    openapi_extra=says(
        takes=PAYLOAD,
        example=EXAMPLE,
        asks=hook_facts.MEANING,
        answers={200: wire.events.Told},
        headers=HEADERS,
    ),
)
def claude_code(request: Call) -> Answer[wire.events.Told]:
    """Take a hook payload of Claude Code, and say what helps it now.

    Claude Code reads the answer's body as instructions: it is an empty object wherever there is
    nothing to say. What became of the payload is in the headers.
    """
    facts = hook_facts.of_environ(request.META)
    payload = bodies.json_of(request)
    if facts.off:
        return Answer({})
    captured = ingest.capture_hook(
        team(request),
        request.auth.project_id,
        payload,
        origin=origin(request, "http_post_v1_hooks_claude_code"),
        facts=facts,
    )
    return Answer({}, headers=_told(captured))


def _told(captured: Captured) -> dict[str, str]:
    job = {"X-Job-Id": captured.job_id} if captured.job_id else {}
    return {
        "X-Event-Id": captured.event.id,
        **job,
        "X-Transport": captured.transport,
        "X-Duplicate": "true" if captured.duplicate else "false",
    }
