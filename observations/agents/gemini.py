"""The hook payloads of Gemini CLI: what each event means to us. Pure.

Source: docs/hooks/reference.md of google-gemini/gemini-cli, and packages/core/src/hooks/types.ts
there.
"""

from typing import Any

from observations.agents import payloads
from observations.agents.payloads import Agent, Asks, HookPayload
from observations.drafts import JSON
from observations.errors import InvalidInput
from observations.identity import fingerprint

ADAPTER = PLATFORM = "gemini"

_NAMES = {
    "BeforeAgent": "UserPromptSubmit",
    "AfterAgent": "Stop",
    "BeforeTool": "PreToolUse",
    "AfterTool": "PostToolUse",
    "PreCompress": "PreCompact",
}
# What an event's `additionalContext` reaches.
_TOLD = frozenset({"SessionStart", "UserPromptSubmit", "PostToolUse", "PostToolUseFailure"})
_TEXTS = ("prompt", "prompt_response", "tool_name", "last_assistant_message", "agent_id",
          "agent_type")  # fmt: skip
_PATHS = {"absolute_path": "file_path", "path": "file_path"}


def understand(payload: JSON) -> HookPayload:
    """Read a hook payload. Raises InvalidInput naming the field that cannot be used."""
    if not isinstance(payload, dict):
        raise InvalidInput("expected an object")
    event = payloads.text(payload, "hook_event_name", required=True)
    payloads.check_texts(payload, _TEXTS)
    body = _body(payload)
    name = _NAMES.get(event, event)
    if name == "PostToolUse" and body.get("error"):
        name = "PostToolUseFailure"
    return payloads.understood(
        ADAPTER,
        PLATFORM,
        name,
        body,
        session_id=payloads.text(payload, "session_id", required=True),
        own_id=_own_id(name, payload),
        occurred_at=payloads.written_time(payload) or payloads.time(payload),
        asks=_asked(name, body),
    )


def _own_id(name: str, payload: dict[str, Any]) -> str | None:
    """Nothing is numbered there: the moment and all that is said of it tell two events apart."""
    if name == "SessionStart" and payload.get("source") == "startup":
        return "startup"
    return fingerprint(payload) if payloads.string(payload, "timestamp") else None


def _body(payload: dict[str, Any]) -> dict[str, Any]:
    body = payloads.renamed(payload, {"prompt_response": "last_assistant_message"})
    if isinstance(body.get("tool_input"), dict):
        body["tool_input"] = payloads.renamed(body["tool_input"], _PATHS)
    answer = body.get("tool_response")
    if isinstance(answer, dict):
        body["tool_response"] = payloads.renamed(answer, {"llmContent": "content"})
        if (error := _error(answer.get("error"))) and "error" not in body:
            body["error"] = error
    if tool := payloads.string(body, "tool_name"):
        body["tool_name"] = _tool(tool, body.get("mcp_context"))
    return body


def _error(error: JSON) -> str:
    said = error.get("message") if isinstance(error, dict) else error
    return said if isinstance(said, str) else ""


def _tool(name: str, context: JSON) -> str:
    """The tool of a server of tools named as the others name it."""
    server = payloads.string(context, "server_name") if isinstance(context, dict) else ""
    if not server and name.startswith("mcp_claude-mem_"):
        server = "claude-mem"
    prefix = f"mcp_{server}_"
    if not server:
        return name
    return f"mcp__{server}__{name.removeprefix(prefix)}"


def _asked(name: str, body: dict[str, Any]) -> Asks | None:
    if name == "PostToolUse":
        return payloads.file_asked(body) if body.get("tool_name") == "read_file" else None
    return payloads.asked(name, body) if name in _TOLD else None


def reply(hook: HookPayload, text: str, note: str = "") -> dict[str, JSON]:
    """What Gemini CLI is told: `text` for the model, `note` for the user."""
    said: dict[str, JSON] = {"systemMessage": note} if note else {}
    if text and hook.event_type in _TOLD:
        said["hookSpecificOutput"] = {
            "hookEventName": hook.body["hook_event_name"],
            "additionalContext": text,
        }
    return said


AGENT = Agent("gemini", ADAPTER, PLATFORM, understand, reply)
