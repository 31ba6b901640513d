"""What our plugin for OpenCode posts: what each event means to us. Pure.

OpenCode runs no commands; plugins are told of its events. Ours passes on those that are read here
as OpenCode gives them, with the session and the directory beside them. Source: OpenCode's plugin
documentation (opencode.ai/docs/plugins) and the types of @opencode-ai/plugin and @opencode-ai/sdk.
"""

from typing import Any

from observations.agents import payloads
from observations.agents.payloads import Agent, HookPayload
from observations.drafts import JSON
from observations.errors import InvalidInput
from observations.identity import fingerprint

ADAPTER = PLATFORM = "opencode"

_NAMES = {
    "session.created": "SessionStart",
    "session.deleted": "SessionEnd",
    "session.idle": "Stop",
    "chat.message": "UserPromptSubmit",
    "experimental.session.compacting": "PreCompact",
}
_TOLD = frozenset({"SessionStart", "UserPromptSubmit", "PreCompact"})
_TEXTS = ("text", "agent", "messageID", "parentID", "prompt", "last_assistant_message",
          "agent_id", "agent_type", "tool_name", "source")  # fmt: skip
_GIVEN = {"filePath": "file_path", "oldString": "old_string", "newString": "new_string"}
_OURS = "claude-mem_"


def understand(payload: JSON) -> HookPayload:
    """Read what the plugin posts. Raises InvalidInput naming the field that cannot be used."""
    if not isinstance(payload, dict):
        raise InvalidInput("expected an object")
    event = payloads.text(payload, "type", required=True)
    payloads.check_texts(payload, _TEXTS)
    name, body = _tool(payload) if event == "message.part.updated" else _said(event, payload)
    return payloads.understood(
        ADAPTER,
        PLATFORM,
        name,
        body,
        session_id=payloads.text(payload, "sessionID", required=True),
        own_id=_own_id(name, body),
        occurred_at=payloads.time(payload),
        asks=_asked(name, body),
        cwd=payloads.text(payload, "directory"),
    )


def _said(event: str, payload: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    name = _NAMES.get(event, event)
    ours = {"text": "prompt" if name == "UserPromptSubmit" else "last_assistant_message"}
    body = payloads.renamed(payload, ours)
    if name == "SessionEnd":
        body.setdefault("reason", "deleted")
    if parent := payloads.text(payload, "parentID"):
        # A subagent has a session of its own.
        body |= {"agent_id": parent, "agent_type": payloads.string(payload, "agent") or "subagent"}
    return name, body


def _tool(payload: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A tool's use: one part of a message, told of again each time that it gets further."""
    part = _object(payload, "part")
    state = _object(part, "state", "part")
    failed = state.get("status") == "error"
    given = state.get("input")
    body = {key: value for key, value in payload.items() if key != "part"} | {
        "tool_name": _named(payloads.text(part, "tool", required=True)),
        "tool_use_id": payloads.text(part, "callID"),
        "tool_input": payloads.renamed(given, _GIVEN) if isinstance(given, dict) else given,
    }
    if failed:
        return "PostToolUseFailure", {**body, "error": payloads.string(state, "error")}
    if state.get("status") != "completed":
        return "PreToolUse", body
    return "PostToolUse", {**body, "tool_response": {"output": state.get("output")}}


def _object(fields: dict[str, Any], field: str, *path: str) -> dict[str, Any]:
    value = fields.get(field)
    if not isinstance(value, dict):
        raise InvalidInput("expected an object", (*path, field))
    return value


def _named(tool: str) -> str:
    """A tool of memory named as the others name it: `<server>_<tool>` says too little of others."""
    return f"mcp__claude-mem__{tool.removeprefix(_OURS)}" if tool.startswith(_OURS) else tool


def _own_id(name: str, body: dict[str, Any]) -> str | None:
    if name in ("Stop", "SessionEnd"):
        message = payloads.text(body, "messageID")
        return f"{message}:{fingerprint(body)}" if message else None
    return payloads.own_id(name, body, payloads.text(body, "messageID"))


def _asked(name: str, body: dict[str, Any]) -> payloads.Asks | None:
    if name == "PreCompact":
        return payloads.Asks("compact")
    return payloads.asked(name, body) if name in _TOLD else None


def reply(hook: HookPayload, text: str, note: str = "") -> dict[str, JSON]:
    """What the plugin is told: `context` for the model, `note` for OpenCode's log."""
    said: dict[str, JSON] = {"context": text} if text and hook.event_type in _TOLD else {}
    return {**said, "note": note} if note else said


AGENT = Agent("opencode", ADAPTER, PLATFORM, understand, reply)
