"""Claude Code's hook payloads: what each event means to us. Pure.

Source: Claude Code's hooks reference; the fields are those that version 2.1 sends.
"""

from typing import Any

from observations.agents import payloads
from observations.agents.payloads import Agent, Asks, HookPayload
from observations.drafts import JSON
from observations.errors import InvalidInput
from observations.identity import fingerprint

ADAPTER = "claude-code"
PLATFORM = "claude"

# What is text wherever Claude Code sends it, of any length.
_TEXTS = (
    "prompt", "tool_name", "agent_id", "agent_type", "transcript_path", "permission_mode",
    "last_assistant_message",
)  # fmt: skip
# A session starts up once; it may resume, be cleared or compacted many times.
_ONCE = frozenset({"startup"})
# The events whose `additionalContext` reaches the model.
_TOLD = frozenset({
    "SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "PostToolUseFailure",
    "SubagentStart",
})  # fmt: skip
_FAILURE = 4000


def understand(payload: JSON) -> HookPayload:
    """Read a hook payload. Raises InvalidInput naming the field that cannot be used."""
    if not isinstance(payload, dict):
        raise InvalidInput("expected an object")
    name = payloads.text(payload, "hook_event_name", required=True)
    payloads.check_texts(payload, _TEXTS)
    return HookPayload(
        adapter=ADAPTER,
        platform=PLATFORM,
        session_id=payloads.text(payload, "session_id", required=True),
        event_type=name,
        cwd=payloads.text(payload, "cwd"),
        own_id=_own_id(name, payload),
        occurred_at=payloads.time(payload),
        makes=payloads.made_of(name, payload),
        is_news=payloads.is_news(name, payload),
        end_reason=_end_reason(payload) if name == "SessionEnd" else "",
        reopens_session=name in payloads.NEWS
        or (name == "SessionStart" and payloads.text(payload, "source") not in _ONCE),
        body=payload,
        asks=asks(payload) if (asks := _ASKS.get(name)) else None,
        agent_id=_string(payload, "agent_id"),
        agent_type=_string(payload, "agent_type"),
    )


def reply(hook: HookPayload, text: str, note: str = "") -> dict[str, JSON]:
    """What Claude Code is told: `text` for the model, `note` for the user."""
    said: dict[str, JSON] = {"systemMessage": note} if note else {}
    if text and hook.event_type in _TOLD:
        said["hookSpecificOutput"] = {
            "hookEventName": hook.event_type,
            "additionalContext": text,
        }
    return said


def _own_id(name: str, payload: dict[str, Any]) -> str | None:
    if name == "SessionStart":
        source = payloads.text(payload, "source")
        return source if source in _ONCE else None
    if tool_use := payloads.text(payload, "tool_use_id"):
        return tool_use
    prompt = payloads.text(payload, "prompt_id")
    # A prompt may be compacted many times, and each says the same of itself.
    if not prompt or name == "PreCompact":
        return None
    if name == "UserPromptSubmit":
        return prompt
    # One prompt can have many events of a type (each Stop, say): they differ in what they say.
    return f"{prompt}:{fingerprint(payload)}"


def _end_reason(payload: dict[str, Any]) -> str:
    return (payloads.text(payload, "reason") or "ended")[:100]


def _of_session(_: dict[str, Any]) -> Asks:
    return Asks("session")


def _of_prompt(payload: dict[str, Any]) -> Asks:
    return Asks("prompt", payload.get("prompt") or "")


def _of_file(payload: dict[str, Any]) -> Asks | None:
    if payload.get("tool_name") != "Read":
        return None
    paths = _paths(payload)
    return Asks("file", paths=paths) if paths else None


def _of_failure(payload: dict[str, Any]) -> Asks | None:
    if payloads.asks_memory(payload):
        return None
    given = payload.get("tool_input")
    command = given.get("command") if isinstance(given, dict) else None
    words = (_string(payload, "error"), command if isinstance(command, str) else "")
    said = "\n".join(word for word in words if word)[:_FAILURE]
    paths = _paths(payload)
    return Asks("failure", said, paths) if said or paths else None


def _of_subagent(payload: dict[str, Any]) -> Asks:
    return Asks("subagent", payload.get("prompt") or "")


def _of_compaction(payload: dict[str, Any]) -> Asks:
    return Asks("compact", _string(payload, "custom_instructions"))


_ASKS = {
    "SessionStart": _of_session,
    "UserPromptSubmit": _of_prompt,
    "PreToolUse": _of_file,
    "PostToolUseFailure": _of_failure,
    "SubagentStart": _of_subagent,
    "PreCompact": _of_compaction,
}


def _paths(payload: dict[str, Any]) -> tuple[str, ...]:
    given = payload.get("tool_input")
    path = given.get("file_path") if isinstance(given, dict) else None
    return (path,) if isinstance(path, str) and path else ()


def _string(payload: dict[str, Any], field: str) -> str:
    value = payload.get(field)
    return value if isinstance(value, str) else ""


AGENT = Agent("claude-code", ADAPTER, PLATFORM, understand, reply)
