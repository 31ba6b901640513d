"""Claude Code's hook payloads: what each event means to us. Pure.

Source: Claude Code's hooks reference; the fields are those that version 2.1 sends.
"""

from observations.agents import payloads
from observations.agents.payloads import Agent, HookPayload
from observations.drafts import JSON
from observations.errors import InvalidInput

ADAPTER = "claude-code"
PLATFORM = "claude"

# What is text wherever Claude Code sends it, of any length.
TEXTS = (
    "prompt", "tool_name", "agent_id", "agent_type", "transcript_path", "permission_mode",
    "last_assistant_message",
)  # fmt: skip
# The ends of turns.
_ENDS = frozenset({"Stop", "SubagentStop"})
# The events whose `additionalContext` reaches the model. A compaction takes none; the session
# that goes on after it starts with the source "compact", and does.
_TOLD = frozenset({
    "SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "PostToolUseFailure",
    "SubagentStart",
})  # fmt: skip


def understand(payload: JSON) -> HookPayload:
    """Read a hook payload. Raises InvalidInput naming the field that cannot be used."""
    if not isinstance(payload, dict):
        raise InvalidInput("expected an object")
    name = payloads.text(payload, "hook_event_name", required=True)
    payloads.check_texts(payload, TEXTS)
    return payloads.understood(
        ADAPTER,
        PLATFORM,
        name,
        payload,
        session_id=payloads.text(payload, "session_id", required=True),
        own_id=_own_id(name, payload),
        occurred_at=payloads.time(payload),
        asks=payloads.asked(name, payload),
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


def _own_id(name: str, payload: dict[str, JSON]) -> str | None:
    """What tells the event from others: of an end what a transcript tells of it as well.

    So it is the same whether a hook told of it or a transcript did, whichever was first.
    """
    prompt, said = payloads.text(payload, "prompt_id"), payload.get("last_assistant_message")
    if name == "SessionEnd":
        return payloads.own_id(name, {}, prompt)
    if name in _ENDS and isinstance(said, str) and said.strip():
        told = {"agent_id": payload.get("agent_id") or "", "said": said.strip()}
        return payloads.own_id(name, told, prompt)
    return payloads.own_id(name, payload, prompt)


AGENT = Agent("claude-code", ADAPTER, PLATFORM, understand, reply)
