"""The hooks of agents, as they post their own payloads."""

from dataclasses import replace
from typing import Any

from ninja import Router
from pydantic import TypeAdapter

from claudemem.api import bodies, near, wire
from claudemem.api.answers import Answer
from claudemem.api.calls import Call, Needs, origin, team
from claudemem.api.documents import says
from observations import agents, hook_facts, ingest, scopes
from observations.agents import Agent
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
    return _taken(agents.CLAUDE_CODE, request)


def _route(agent: Agent) -> None:
    """A route of its own for an agent: it costs a call nothing to find out which one it is."""

    @router.post(
        f"/hooks/{agent.name}",
        auth=Needs(scopes.WRITE_EVENTS),
        operation_id=f"hooks{agent.name.title().replace('-', '')}",
        description=f"Take a hook payload of {agent.name}, and say what helps it now.\n\n"
        "The answer is in the words of that agent; an empty object says nothing.",
        openapi_extra=says(
            takes=PAYLOAD,
            example=EXAMPLE,
            asks=hook_facts.MEANING,
            answers={200: wire.events.Reply},
            headers=HEADERS,
        ),
    )
    def take(request: Call) -> Answer[wire.events.Reply]:
        return _taken(agent, request)


for _agent in agents.BY_NAME.values():
    if _agent is not agents.CLAUDE_CODE:
        _route(_agent)


def _taken(agent: Agent, request: Call) -> Answer[Any]:
    facts = hook_facts.of_environ(request.META)
    payload = bodies.json_of(request)
    if facts.off:
        return Answer({})
    captured = ingest.capture_hook(
        team(request),
        request.auth.project_id,
        payload,
        origin=origin(request, f"http_post_v1_hooks_{agent.name.replace('-', '_')}"),
        agent=agent,
        facts=facts if facts.place else replace(facts, look=near.look(request.META)),
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
