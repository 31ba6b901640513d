"""The hooks of agents, as they post their own payloads."""

import logging
from dataclasses import replace
from typing import Any

from ninja import Router
from pydantic import TypeAdapter

from claudemem.api import bodies, near, wire
from claudemem.api.answers import Answer
from claudemem.api.calls import Call, Needs, origin, team
from claudemem.api.documents import says
from observations import agents, hook_calls, hook_facts, hooks, scopes
from observations.agents import Agent
from observations.captured import Captured
from observations.hook_calls import HookCall
from queueing.outbox import SKIPPED

log = logging.getLogger(__name__)

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
# The same of the others, in their own words.
_TURN = {"session_id": EXAMPLE["session_id"], "cwd": EXAMPLE["cwd"], "tool_name": "Bash"}
_RAN = {"tool_input": {"command": "make test"}, "tool_response": "12 passed"}
EXAMPLES: dict[str, dict[str, Any]] = {
    "codex": {"hook_event_name": "PostToolUse", "turn_id": "t-1", **_TURN, **_RAN},
    "cursor": {
        "hook_event_name": "postToolUse",
        "conversation_id": "7b31b662-fabf-4de6-ae5b-7b72fd17c609",
        "workspace_roots": ["/home/ada/my-project"],
        "tool_name": "Shell",
        "tool_input": {"command": "make test"},
        "tool_output": '{"output": "12 passed", "exitCode": 0}',
    },
    "gemini": {
        "hook_event_name": "AfterTool",
        "timestamp": "2026-11-22T10:00:00Z",
        **_TURN,
        "tool_name": "run_shell_command",
        "tool_input": {"command": "make test"},
        "tool_response": {"llmContent": "12 passed"},
    },
    "opencode": {
        "type": "chat.message",
        "sessionID": "ses_5f0a1b2c3d4e",
        "directory": "/home/ada/my-project",
        "messageID": "msg_1",
        "text": "Why do retries wait so long?",
    },
    "windsurf": {
        "agent_action_name": "pre_user_prompt",
        "trajectory_id": "c0ffee00-1111-4222-8333-444455556666",
        "execution_id": "e1e1e1e1-1111-4222-8333-444455556666",
        "tool_info": {"user_prompt": "Why do retries wait so long?"},
    },
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
            example=EXAMPLES[agent.name],
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
    if not facts.place:
        facts = replace(facts, look=near.look(request.META))
    call = hook_calls.understood(bodies.json_of(request), agent, facts)
    source = f"http_post_v1_hooks_{agent.name.replace('-', '_')}"
    sender = hooks.Sender(
        team(request),
        request.auth.project_id,
        origin(request, source),
        scopes.allows(request.auth.scopes, scopes.READ_MEMORY),
    )
    verdict = hooks.verdict(call, sender)
    if not verdict.store:
        return Answer({}, headers={"X-Transport": SKIPPED})
    captured = hooks.stored(call, sender)
    told = _told(call, sender, captured) if verdict.tell else {}
    return Answer(told, headers=_became(captured))


def _told(call: HookCall, sender: hooks.Sender, captured: Captured) -> dict[str, Any]:
    try:
        return hooks.told(call, sender, captured)
    except Exception:  # the door: what was stored is answered, whatever is wrong with memory
        log.exception("event %s was stored, but its agent was told nothing", captured.event.id)
        return {}


def _became(captured: Captured) -> dict[str, str]:
    job = {"X-Job-Id": captured.job_id} if captured.job_id else {}
    return {
        "X-Event-Id": captured.event.id,
        **job,
        "X-Transport": captured.transport,
        "X-Duplicate": "true" if captured.duplicate else "false",
    }
