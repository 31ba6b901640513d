"""Claude Code's hook payloads: what each event means to us. Pure.

Source: Claude Code's hooks reference; the fields are those that version 2.1 sends.
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath, PureWindowsPath
from typing import Any, Literal

from observations.drafts import JSON
from observations.errors import InvalidInput
from observations.identity import fingerprint

ADAPTER = "claude-code"
PLATFORM = "claude"

Makes = Literal["observation", "summary", "nothing"]

_OBSERVED = frozenset({"PostToolUse", "PostToolUseFailure", "SubagentStop"})
_SUMMARISED = frozenset({"Stop", "PreCompact", "SessionEnd"})
# What a summary has something to say about.
_NEWS = _OBSERVED | {"UserPromptSubmit"}
# Tools of memory, by the name that an agent gives to the server that has them. What they show was
# remembered already, and what they are told to remember is.
_OF_MEMORY = re.compile(r"mcp__(?:plugin_)?claude[-_]?mem(?:[-_].*)?__", re.ASCII | re.IGNORECASE)
# What is text wherever Claude Code sends it, of any length.
_TEXTS = (
    "prompt", "tool_name", "agent_id", "agent_type", "transcript_path", "permission_mode",
    "last_assistant_message",
)  # fmt: skip
# A session starts up once; it may resume, be cleared or compacted many times.
_ONCE = frozenset({"startup"})


@dataclass(frozen=True, slots=True)
class HookPayload:
    """One hook call, understood. `own_id` tells two deliveries of it from two events."""

    session_id: str
    event_type: str
    cwd: str
    own_id: str | None
    occurred_at: datetime | None
    makes: Makes
    is_news: bool
    end_reason: str
    reopens_session: bool
    body: dict[str, JSON]


def understand(payload: JSON) -> HookPayload:
    """Read a hook payload. Raises InvalidInput naming the field that cannot be used."""
    if not isinstance(payload, dict):
        raise InvalidInput("expected an object")
    name = _text(payload, "hook_event_name", required=True)
    _check_texts(payload)
    return HookPayload(
        session_id=_text(payload, "session_id", required=True),
        event_type=name,
        cwd=_text(payload, "cwd"),
        own_id=_own_id(name, payload),
        occurred_at=_time(payload),
        makes="observation"
        if name in _OBSERVED and not asks_memory(payload)
        else "summary"
        if name in _SUMMARISED
        else "nothing",
        is_news=_is_news(name, payload),
        end_reason=(_text(payload, "reason") or "ended")[:100] if name == "SessionEnd" else "",
        reopens_session=name in _NEWS
        or (name == "SessionStart" and _text(payload, "source") not in _ONCE),
        body=payload,
    )


def asks_memory(payload: JSON) -> bool:
    """Whether it is the use of a tool of memory: nothing is made of that, or memory would repeat
    itself, a little less true each time.
    """
    tool = payload.get("tool_name") if isinstance(payload, dict) else None
    return isinstance(tool, str) and tool.startswith("mcp__") and bool(_OF_MEMORY.match(tool))


def _is_news(name: str, payload: dict[str, Any]) -> bool:
    """Whether a summary has something to say about it. A Stop has, if the agent says something."""
    if asks_memory(payload):
        return False
    said = payload.get("last_assistant_message")
    return name in _NEWS or (name == "Stop" and isinstance(said, str) and bool(said.strip()))


def _check_texts(payload: dict[str, Any]) -> None:
    for field in _TEXTS:
        value = payload.get(field)
        if value is not None and not isinstance(value, str):
            raise InvalidInput(f"expected string, received {_json_name(value)}", (field,))


def project_name(cwd: str) -> str:
    """The project that a working directory stands for where no key names one: its last part."""
    path = PureWindowsPath(cwd) if "\\" in cwd else PurePath(cwd)
    return path.name[:200] or "unknown-project"


def _own_id(name: str, payload: dict[str, Any]) -> str | None:
    if name == "SessionStart":
        source = _text(payload, "source")
        return source if source in _ONCE else None
    if tool_use := _text(payload, "tool_use_id"):
        return tool_use
    prompt = _text(payload, "prompt_id")
    # A prompt may be compacted many times, and each says the same of itself.
    if not prompt or name == "PreCompact":
        return None
    if name == "UserPromptSubmit":
        return prompt
    # One prompt can have many events of a type (each Stop, say): they differ in what they say.
    return f"{prompt}:{fingerprint(payload)}"


def _time(payload: dict[str, Any]) -> datetime | None:
    value = payload.get("timestamp")
    if value is None or isinstance(value, str):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidInput("expected epoch seconds", ("timestamp",))
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise InvalidInput("is no time that can be stored", ("timestamp",)) from error


def _text(payload: dict[str, Any], field: str, *, required: bool = False) -> str:
    value = payload.get(field)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        raise InvalidInput(f"expected string, received {_json_name(value)}", (field,))
    if required and not value.strip():
        raise InvalidInput("expected at least one character", (field,))
    if len(value) > 4096:
        raise InvalidInput("expected at most 4096 characters", (field,))
    return value


def _json_name(value: object) -> str:
    names = {type(None): "undefined", bool: "boolean", int: "number", float: "number",
             list: "array", dict: "object"}  # fmt: skip
    return names.get(type(value), type(value).__name__)
