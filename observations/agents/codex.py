"""The hook payloads of OpenAI's Codex: what each event means to us. Pure.

Source: the schemas of hook inputs and outputs that openai/codex generates from its own types
(codex-rs/hooks/schema/generated). They are Claude Code's, with a `turn_id` for a prompt's id, and
what a hook answers must have no field beside those named there.
"""

from typing import Any

from observations.agents import claude_code, payloads
from observations.agents.payloads import Agent, HookPayload
from observations.drafts import JSON
from observations.errors import InvalidInput

ADAPTER = PLATFORM = "codex"

_TOLD = frozenset({
    "SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "SubagentStart",
})  # fmt: skip


def understand(payload: JSON) -> HookPayload:
    """Read a hook payload. Raises InvalidInput naming the field that cannot be used."""
    if not isinstance(payload, dict):
        raise InvalidInput("expected an object")
    name = payloads.text(payload, "hook_event_name", required=True)
    payloads.check_texts(payload, claude_code.TEXTS)
    body = _body(payload)
    return payloads.understood(
        ADAPTER,
        PLATFORM,
        name,
        body,
        session_id=payloads.text(payload, "session_id", required=True),
        own_id=payloads.own_id(name, body, payloads.text(payload, "turn_id")),
        occurred_at=payloads.time(payload),
        asks=payloads.asked(name, body) if name in _TOLD else None,
    )


def _body(payload: dict[str, Any]) -> dict[str, Any]:
    """The payload, with a patch where patches are looked for: Codex passes it as a command."""
    given = payload.get("tool_input")
    if payload.get("tool_name") != "apply_patch" or not isinstance(given, dict):
        return payload
    return {**payload, "tool_input": payloads.renamed(given, {"command": "patch"})}


def reply(hook: HookPayload, text: str, note: str = "") -> dict[str, JSON]:
    """What Codex is told: `text` for the model, `note` for the user."""
    return claude_code.reply(hook, text if hook.event_type in _TOLD else "", note)


AGENT = Agent("codex", ADAPTER, PLATFORM, understand, reply)
