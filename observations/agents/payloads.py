"""What a hook call says, whichever agent made it: the value, and how its fields are read. Pure.

Events are named as Claude Code names them: who reads them knows one vocabulary. A payload stays
as its agent sent it, and gets beside that the fields that the others know, where its own are
named otherwise.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath, PureWindowsPath
from typing import Any, Literal, Protocol

from observations.drafts import JSON
from observations.errors import InvalidInput
from observations.identity import fingerprint

Makes = Literal["observation", "summary", "nothing"]
Moment = Literal["session", "prompt", "file", "failure", "subagent", "compact"]

_OBSERVED = frozenset({"PostToolUse", "PostToolUseFailure", "SubagentStop"})
_SUMMARISED = frozenset({"Stop", "PreCompact", "SessionEnd"})
# What the agent says in the end, or on its way where that has an event of its own.
_SAID = frozenset({"Stop", "assistant_message"})
# A session starts up once; it may resume, be cleared or compacted many times.
_ONCE = frozenset({"startup"})
# What a summary has something to say about.
_NEWS = _OBSERVED | {"UserPromptSubmit"}
# Characters of what went wrong: enough to find it again.
_FAILURE = 4000
# Characters of what is short: names, ids, paths.
LONGEST = 4096
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

    def __call__(self, hook: HookPayload, text: str, note: str = "", /) -> dict[str, JSON]: ...


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


def understood(
    adapter: str,
    platform: str,
    name: str,
    body: dict[str, Any],
    *,
    session_id: str,
    own_id: str | None,
    occurred_at: datetime | None,
    asks: Asks | None,
    makes: Makes | None = None,
    cwd: str | None = None,
    headless: bool | None = None,
) -> HookPayload:
    """A payload whose `body` has the fields that all know; what follows of them is found here.

    `makes` and `cwd` are those that the body's fields say where they are None. Raises InvalidInput
    naming the field that cannot be used.
    """
    return HookPayload(
        adapter=adapter,
        platform=platform,
        session_id=session_id,
        event_type=name,
        cwd=text(body, "cwd") if cwd is None else cwd,
        own_id=own_id,
        occurred_at=occurred_at,
        makes=_made_of(name, body) if makes is None else makes,
        is_news=_is_news(name, body),
        end_reason=(text(body, "reason") or "ended")[:100] if name == "SessionEnd" else "",
        reopens_session=name in _NEWS
        or (name == "SessionStart" and text(body, "source") not in _ONCE),
        body=body,
        asks=asks,
        agent_id=string(body, "agent_id"),
        agent_type=string(body, "agent_type"),
        headless=headless,
    )


def own_id(name: str, body: dict[str, Any], prompt: str) -> str | None:
    """What tells a second delivery of an event from a second event; None where nothing does.

    `prompt` is the id of what the user asked, and so of the turn. Raises InvalidInput naming the
    field that cannot be used.
    """
    if name == "SessionStart":
        source = text(body, "source")
        return source if source in _ONCE else None
    if tool_use := text(body, "tool_use_id"):
        return tool_use
    # A prompt may be compacted many times, and each says the same of itself.
    if not prompt or name == "PreCompact":
        return None
    if name == "UserPromptSubmit":
        return prompt
    # One prompt can have many events of a type (each Stop, say): they differ in what they say.
    return f"{prompt}:{fingerprint(body)}"


def asked(name: str, body: dict[str, Any]) -> Asks | None:
    """What would help at an event of this name, by the fields that all know."""
    asks = _ASKS.get(name)
    return asks(body) if asks else None


def file_asked(body: dict[str, Any]) -> Asks | None:
    """What is known of the file that a tool was given."""
    paths = _paths(body)
    return Asks("file", paths=paths) if paths else None


def _of_session(body: dict[str, Any]) -> Asks:
    return Asks("compact" if body.get("source") == "compact" else "session")


def _of_prompt(body: dict[str, Any]) -> Asks:
    return Asks("prompt", string(body, "prompt"))


def _of_reading(body: dict[str, Any]) -> Asks | None:
    return file_asked(body) if body.get("tool_name") == "Read" else None


def _of_failure(body: dict[str, Any]) -> Asks | None:
    if asks_memory(body):
        return None
    given = body.get("tool_input")
    command = string(given, "command") if isinstance(given, dict) else ""
    words = (string(body, "error"), command)
    said, paths = "\n".join(word for word in words if word)[:_FAILURE], _paths(body)
    return Asks("failure", said, paths) if said or paths else None


def _of_subagent(body: dict[str, Any]) -> Asks:
    return Asks("subagent", string(body, "prompt"))


_ASKS: dict[str, Callable[[dict[str, Any]], Asks | None]] = {
    "SessionStart": _of_session,
    "UserPromptSubmit": _of_prompt,
    "PreToolUse": _of_reading,
    "PostToolUseFailure": _of_failure,
    "SubagentStart": _of_subagent,
}


def _paths(body: dict[str, Any]) -> tuple[str, ...]:
    given = body.get("tool_input")
    path = given.get("file_path") if isinstance(given, dict) else None
    return (path,) if isinstance(path, str) and path else ()


def _made_of(name: str, body: dict[str, JSON]) -> Makes:
    if name in _OBSERVED:
        return "nothing" if asks_memory(body) else "observation"
    return "summary" if name in _SUMMARISED else "nothing"


def _is_news(name: str, body: dict[str, JSON]) -> bool:
    """Whether a summary has something to say about it. What the agent says has, if it says it."""
    if name in _NEWS:
        return not asks_memory(body)
    return name in _SAID and bool(string(body, "last_assistant_message").strip())


def renamed(fields: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The fields, those in `names` called as the others call them unless that name is taken."""
    known = dict(fields)
    for theirs, ours in names.items():
        if theirs in known and ours not in known:
            known[ours] = known.pop(theirs)
    return known


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
    if len(value) > LONGEST:
        raise InvalidInput(f"expected at most {LONGEST} characters", (field,))
    return value


def string(payload: dict[str, Any], field: str) -> str:
    """A text of any length, empty where there is none."""
    value = payload.get(field)
    return value if isinstance(value, str) else ""


def time(payload: dict[str, Any], field: str = "timestamp") -> datetime | None:
    """A time in epoch seconds; None where it is missing or said in words.

    Raises InvalidInput where it is none that can be stored.
    """
    value = payload.get(field)
    if value is None or isinstance(value, str):
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:
        raise InvalidInput("expected epoch seconds", (field,))
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise InvalidInput("is no time that can be stored", (field,)) from error


def written_time(payload: dict[str, Any], field: str = "timestamp") -> datetime | None:
    """A time as ISO 8601 writes it, with its zone; None where it is missing or something else."""
    try:
        at = datetime.fromisoformat(string(payload, field))
        return at.astimezone(UTC) if at.tzinfo else None
    except (ValueError, OverflowError):
        return None


def project_name(cwd: str) -> str:
    """The project that a working directory stands for where no key names one: its last part."""
    path = PureWindowsPath(cwd) if "\\" in cwd else PurePath(cwd)
    return path.name[:200] or "unknown-project"


def _json_name(value: object) -> str:
    names = {type(None): "undefined", bool: "boolean", int: "number", float: "number",
             list: "array", dict: "object"}  # fmt: skip
    return names.get(type(value), type(value).__name__)
