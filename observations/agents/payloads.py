"""What a hook call says, whichever agent made it: the value, and how its fields are read. Pure.

Events are named as Claude Code names them: who reads them knows one vocabulary. A payload stays
as its agent sent it, and gets beside that the fields that the others know, where its own are
named otherwise.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath, PureWindowsPath
from typing import Any, Literal, Protocol

from observations.drafts import JSON
from observations.errors import InvalidInput

Makes = Literal["observation", "summary", "nothing"]
Moment = Literal["session", "prompt", "file", "failure", "subagent", "compact"]

_OBSERVED = frozenset({"PostToolUse", "PostToolUseFailure", "SubagentStop"})
_SUMMARISED = frozenset({"Stop", "PreCompact", "SessionEnd"})
# What a summary has something to say about.
NEWS = _OBSERVED | {"UserPromptSubmit"}
# Tools of memory, by the name that an agent gives to the server that has them. What they show was
# remembered already, and what they are told to remember is.
_OF_MEMORY = re.compile(r"mcp__(?:plugin_)?claude[-_]?mem(?:[-_].*)?__", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Asks:
    """What of memory would help at this moment: about a `text`, or about files by their `paths`."""

    moment: Moment
    text: str = ""
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HookPayload:
    """One hook call, understood. `own_id` tells two deliveries of it from two events.

    `adapter` and `platform` are those of its `Agent`. `agent_id` and `agent_type` are those of a
    subagent, empty for the agent itself; `headless` is whether nobody sits before it, None where
    the payload does not tell. `asks` is None where the event has no use for memory.
    """

    adapter: str
    platform: str
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
    asks: Asks | None = None
    agent_id: str = ""
    agent_type: str = ""
    headless: bool | None = None


class Reply(Protocol):
    """How an agent is answered: `text` is for the model, `note` for the user."""

    def __call__(self, hook: HookPayload, text: str, note: str = "") -> dict[str, JSON]: ...


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent whose hooks are understood.

    `name` is what it is called in a URL, `adapter` the source of its events, `platform` that of
    its sessions. `understand` raises InvalidInput naming the field that cannot be used. `reply`
    says `text` to the model and `note` to the user in the agent's own JSON; what it cannot be
    told at this event is left out, so `{}` says nothing.
    """

    name: str
    adapter: str
    platform: str
    understand: Callable[[JSON], HookPayload]
    reply: Reply


def asks_memory(payload: JSON) -> bool:
    """Whether it is the use of a tool of memory: nothing is made of that, or memory would repeat
    itself, a little less true each time.
    """
    tool = payload.get("tool_name") if isinstance(payload, dict) else None
    return isinstance(tool, str) and tool.startswith("mcp__") and bool(_OF_MEMORY.match(tool))


def made_of(name: str, payload: dict[str, JSON]) -> Makes:
    """What is made of an event of this name."""
    if name in _OBSERVED:
        return "nothing" if asks_memory(payload) else "observation"
    return "summary" if name in _SUMMARISED else "nothing"


def is_news(name: str, payload: dict[str, JSON]) -> bool:
    """Whether a summary has something to say about it. A Stop has, if the agent says something."""
    if name in NEWS:
        return not asks_memory(payload)
    said = payload.get("last_assistant_message")
    return name == "Stop" and isinstance(said, str) and bool(said.strip())


def check_texts(payload: dict[str, Any], fields: tuple[str, ...]) -> None:
    """Raise InvalidInput for a field that is there and is no text, of whatever length."""
    get = payload.get
    for field in fields:
        if (value := get(field)) is not None and not isinstance(value, str):
            raise InvalidInput(f"expected string, received {_json_name(value)}", (field,))


def text(payload: dict[str, Any], field: str, *, required: bool = False) -> str:
    """A short text of a payload, empty where it is missing.

    Raises InvalidInput where it is no text or longer than 4096 characters, and if it is
    `required` where it is missing or blank.
    """
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


def time(payload: dict[str, Any], field: str = "timestamp") -> datetime | None:
    """A time in epoch seconds; None where it is missing or said in words.

    Raises InvalidInput where it is none that can be stored.
    """
    value = payload.get(field)
    if value is None or isinstance(value, str):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidInput("expected epoch seconds", (field,))
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise InvalidInput("is no time that can be stored", (field,)) from error


def project_name(cwd: str) -> str:
    """The project that a working directory stands for where no key names one: its last part."""
    path = PureWindowsPath(cwd) if "\\" in cwd else PurePath(cwd)
    return path.name[:200] or "unknown-project"


def _json_name(value: object) -> str:
    names = {type(None): "undefined", bool: "boolean", int: "number", float: "number",
             list: "array", dict: "object"}  # fmt: skip
    return names.get(type(value), type(value).__name__)
