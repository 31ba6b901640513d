"""The hooks of claude-mem, as they post to a worker: sessions, tool uses, ends of turns."""

from typing import Annotated, Any
from uuid import UUID

from ninja import Router
from pydantic import AliasChoices, Field, TypeAdapter

from claudemem.api import bodies
from claudemem.api.answers import Answer
from claudemem.api.calls import Call, origin, team
from claudemem.api.documents import says
from claudemem.api.errors import BadRequest
from claudemem.api.plugin import here
from claudemem.api.plugin.here import Here
from claudemem.api.shapes import Body, Name, Text, Word
from claudemem.api.wire import plugin as wire
from observations import scopes, worker_hooks
from observations.errors import NotFound
from observations.identity import platform
from observations.worker_hooks import Caller, Run

router = Router(tags=["claude-mem"])

# A number that JavaScript takes for an integer.
_SAFE_BITS = 53


class HookBody(Body):
    """A session as such a hook names it."""

    content_session_id: Name
    agent_id: Word | None = None
    agent_type: Word | None = None
    platform_source: Word | None = None
    cwd: Annotated[str, Field(max_length=4096)] | None = None
    project: Word | None = None

    def run(self) -> Run:
        """The same for the domain."""
        about = {"project": self.project} if self.project else {}
        source = (self.platform_source or "")[:100] or None
        return Run(self.content_session_id, source, self.cwd or "", {**about})


class InitBody(HookBody):
    """What the user asked for."""

    prompt: str | None = None


class ToolUseBody(HookBody):
    """A tool that was used, and what came of it."""

    tool_name: Text = Field(alias="tool_name")
    tool_input: Any = Field(None, alias="tool_input")
    tool_response: Any = Field(None, alias="tool_response")
    tool_use_id: Word | None = Field(
        None, validation_alias=AliasChoices("tool_use_id", "toolUseId")
    )

    def payload(self) -> dict[str, Any]:
        """What is stored of it."""
        return {
            "contentSessionId": self.content_session_id,
            "tool_name": self.tool_name,
            "tool_input": self.tool_input,
            "tool_response": self.tool_response,
            "cwd": self.cwd,
            "platformSource": platform(self.platform_source or worker_hooks.PLATFORM),
            "agentId": self.agent_id,
            "agentType": self.agent_type,
            "toolUseId": self.tool_use_id,
        }


class StopBody(HookBody):
    """The end of a turn."""

    last_assistant_message: str | None = Field(None, alias="last_assistant_message")


INIT, TOOL_USE, STOP = TypeAdapter(InitBody), TypeAdapter(ToolUseBody), TypeAdapter(StopBody)
_OF_ONE_PROJECT = (BadRequest,)
_RUN = {"contentSessionId": "08896821-bb12-4dd4-97b2-ba180f81edf3", "platformSource": "claude"}
_PROMPT = {**_RUN, "project": "shop", "prompt": "Why do retries wait so long?"}
_TOOL_USE = {
    **_RUN,
    "cwd": "/home/ada/shop",
    "tool_name": "Bash",
    "tool_input": {"command": "make test"},
    "tool_response": "12 passed",
}
_STOP = {**_RUN, "last_assistant_message": "Retries wait ten seconds at first."}


@router.post(
    "/init",
    auth=Here(scopes.WRITE_SESSIONS),
    openapi_extra=says(
        takes=INIT, example=_PROMPT, answers={200: wire.Prompted}, refusals=_OF_ONE_PROJECT
    ),
)
def init(request: Call) -> Answer[wire.Prompted]:
    """Take a prompt, with its session; `sessionDbId` is a number for clients that expect one."""
    caller = _caller(request, "init")
    body = bodies.read(request, INIT)
    session, prompts, kept = worker_hooks.prompted(caller, body.run(), body.prompt or "")
    told: wire.Prompted = {
        "sessionDbId": UUID(session.id).int % 2**_SAFE_BITS,
        "promptNumber": prompts,
        "skipped": not kept,
        "sessionId": session.id,
        "serverSessionId": session.id,
    }
    return Answer(told if kept else {**told, "reason": "private"})


@router.post(
    "/observations",
    auth=Here(scopes.WRITE_EVENTS),
    openapi_extra=says(
        takes=TOOL_USE, example=_TOOL_USE, answers={200: wire.Observed}, refusals=_OF_ONE_PROJECT
    ),
)
def observe(request: Call) -> Answer[wire.Observed]:
    """Store a tool use, and a job for it; one with an id that is known changes nothing."""
    caller = _caller(request, "observations")
    body = bodies.read(request, TOOL_USE)
    own_id = body.tool_use_id or None
    session, captured = worker_hooks.tool_used(caller, body.run(), body.payload(), own_id=own_id)
    return Answer({
        "status": "queued",
        "observationCount": 1,
        "sessionId": session.id,
        "serverSessionId": session.id,
        "eventId": captured.event.id,
        "generationJobId": captured.job_id,
        "transport": captured.transport,
    })  # fmt: skip


@router.post(
    "/summarize",
    auth=Here(scopes.WRITE_SESSIONS),
    openapi_extra=says(
        takes=STOP,
        example=_STOP,
        answers={200: wire.Summarizing | wire.Skipped, 404: wire.SessionGone},
        refusals=_OF_ONE_PROJECT,
    ),
)
def summarize(request: Call) -> Answer[wire.Summarizing | wire.Skipped | wire.SessionGone]:
    """End a turn: what the agent said last is stored, and what is new is summarised."""
    caller = _caller(request, "summarize")
    body = bodies.read(request, STOP)
    if body.agent_id:
        return Answer({"status": "skipped", "reason": "subagent_context"})
    said = body.last_assistant_message or ""
    try:
        session, job, transport = worker_hooks.stopped(caller, body.run(), said)
    except NotFound:  # deleted between the look and the end
        return Answer({"status": "not_found", "reason": "session_not_found"}, status=404)
    return Answer({
        "status": "queued",
        "sessionId": session.id,
        "serverSessionId": session.id,
        "generationJobId": job.id,
        "transport": transport,
    })  # fmt: skip


def _caller(request: Call, route: str) -> Caller:
    project_id = here.own_project(request, f"/api/sessions/{route}")
    source = origin(request, f"http_post_api_sessions_{route}")
    return Caller(team(request), project_id, source)
