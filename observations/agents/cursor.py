"""Cursor's hook payloads: what each event means to us. Pure.

Source: Cursor's hooks reference (cursor.com/docs/agent/hooks), and payloads that its users
recorded of version 3. A prompt and a failed tool take no context there: what is known of a file
comes with the result of its reading.
"""

from typing import Any

import orjson

from observations.agents import payloads
from observations.agents.payloads import Agent, Asks, HookPayload
from observations.drafts import JSON
from observations.errors import InvalidInput
from observations.privacy import scrub

ADAPTER = PLATFORM = "cursor"

_NAMES = {
    "sessionStart": "SessionStart",
    "sessionEnd": "SessionEnd",
    "beforeSubmitPrompt": "UserPromptSubmit",
    "preToolUse": "PreToolUse",
    "beforeShellExecution": "PreToolUse",
    "beforeMCPExecution": "PreToolUse",
    "beforeReadFile": "PreToolUse",
    "postToolUse": "PostToolUse",
    "afterShellExecution": "PostToolUse",
    "afterMCPExecution": "PostToolUse",
    "afterFileEdit": "PostToolUse",
    "postToolUseFailure": "PostToolUseFailure",
    "subagentStart": "SubagentStart",
    "subagentStop": "SubagentStop",
    "afterAgentResponse": "assistant_message",
    "preCompact": "PreCompact",
    "stop": "Stop",
}
_TOLD = frozenset({"SessionStart", "PostToolUse"})
# Events of one kind of tool say what was done in fields of their own.
_TOOLS = {
    "beforeShellExecution": ("Shell", ("command", "sandbox")),
    "afterShellExecution": ("Shell", ("command", "sandbox")),
    "beforeReadFile": ("Read", ("file_path",)),
    "afterFileEdit": ("Edit", ("file_path", "edits")),
}
_FIELDS = {
    "error_message": "error",
    "tool_output": "tool_response",
    "result_json": "tool_response",
    "output": "tool_response",
    "subagent_id": "agent_id",
    "subagent_type": "agent_type",
    "summary": "last_assistant_message",
}
_TEXTS = (
    "tool_name", "prompt", "text", "summary", "error_message", "subagent_id", "subagent_type",
    "agent_id", "agent_type", "last_assistant_message",
)  # fmt: skip
_PATHS = {"path": "file_path", "target_file": "file_path"}
_MCP = "MCP:"


def understand(payload: JSON) -> HookPayload:
    """Read a hook payload. Raises InvalidInput naming the field that cannot be used."""
    if not isinstance(payload, dict):
        raise InvalidInput("expected an object")
    event = payloads.text(payload, "hook_event_name", required=True)
    payloads.check_texts(payload, _TEXTS)
    name = _NAMES.get(event, event)
    body = _body(event, payload)
    return payloads.understood(
        ADAPTER,
        PLATFORM,
        name,
        body,
        session_id=_session(payload),
        own_id=_own_id(name, body),
        occurred_at=payloads.time(payload),
        asks=_asked(name, body),
        cwd=_cwd(payload),
        headless=_flag(payload, "is_background_agent"),
    )


def _session(payload: dict[str, Any]) -> str:
    """The conversation; a subagent's events belong to that of its parent."""
    for field in ("parent_conversation_id", "conversation_id"):
        if session := payloads.text(payload, field):
            return session
    return payloads.text(payload, "session_id", required=True)


def _own_id(name: str, body: dict[str, Any]) -> str | None:
    # It comes once a conversation, and does not say so.
    if name == "SessionStart":
        return "startup"
    return payloads.own_id(name, body, payloads.text(body, "generation_id"))


def _cwd(payload: dict[str, Any]) -> str:
    if cwd := payloads.text(payload, "cwd"):
        return cwd
    roots = payload.get("workspace_roots")
    root = roots[0] if isinstance(roots, list) and roots else ""
    return root if isinstance(root, str) and len(root) <= payloads.LONGEST else ""


def _body(event: str, payload: dict[str, Any]) -> dict[str, Any]:
    # Who the user is has nothing to do with what was done.
    kept = {key: value for key, value in payload.items() if key != "user_email"}
    if event in _TOOLS:
        tool, names = _TOOLS[event]
        given: Any = {key: kept.pop(key) for key in names if key in kept}
        kept |= {"tool_name": tool, "tool_input": given}
    body = payloads.renamed(kept, _FIELDS)
    if event == "afterAgentResponse":
        body = payloads.renamed(body, {"text": "last_assistant_message"})
    for field in ("tool_input", "tool_response"):
        if isinstance(body.get(field), str):
            body[field] = _parsed(body[field])
    if isinstance(body.get("tool_input"), dict):
        body["tool_input"] = payloads.renamed(body["tool_input"], _PATHS)
    return _named(body, event)


def _named(body: dict[str, Any], event: str) -> dict[str, Any]:
    """With the tool of a server of tools named as the others name it."""
    tool = payloads.string(body, "tool_name")
    server, colon, last = tool.removeprefix(_MCP).rpartition(":")
    if not (tool.startswith(_MCP) or event.endswith("MCPExecution")) or not last:
        return body
    server = server if colon else payloads.string(body, "mcp_server_name")
    return {**body, "tool_name": f"mcp__{server or 'server'}__{last}"}


def _parsed(text: str) -> Any:
    """An object that comes as text, or the text. What was escaped in it is scrubbed as well."""
    if not text.startswith("{"):
        return text
    try:
        return scrub(orjson.loads(text)).value
    except orjson.JSONDecodeError:
        return text


def _asked(name: str, body: dict[str, Any]) -> Asks | None:
    if name == "PostToolUse":
        return payloads.file_asked(body) if body.get("tool_name") == "Read" else None
    return payloads.asked(name, body) if name in _TOLD else None


def _flag(payload: dict[str, Any], field: str) -> bool | None:
    value = payload.get(field)
    return value if isinstance(value, bool) else None


def reply(hook: HookPayload, text: str, note: str = "") -> dict[str, JSON]:
    """What Cursor is told: `text` for the model; only a compaction has a place for a `note`."""
    if text and hook.event_type in _TOLD:
        return {"additional_context": text}
    return {"user_message": note} if note and hook.event_type == "PreCompact" else {}


AGENT = Agent("cursor", ADAPTER, PLATFORM, understand, reply)
