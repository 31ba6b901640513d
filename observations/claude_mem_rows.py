"""The rows of claude-mem, as what they become here. Pure.

What is secret or private in them is taken out as at any door.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from observations import rendering
from observations.drafts import JSON, ObservationDraft, SummaryDraft
from observations.privacy import scrub

ADAPTER = "claude-mem"
# Why a row is left out.
EMPTY, TIMELESS, OWN = "says nothing", "tells no time", "of claude-mem's own sessions"
NO_SESSION, SETTLED = "of no session that was taken", "not waiting any more"

# Times were told in seconds, or in milliseconds, which are more than this.
_LARGEST_SECONDS = 100_000_000_000
_LONGEST_KIND = 100
# It keeps so much of a prompt.
_LONGEST_PROMPT = 3_900
# claude-mem's own sessions with its provider are kept under this name.
_OWN_PROJECT = "observer-sessions"
_OPEN = frozenset({"", "pending", "processing"})

Row = Mapping[str, Any]


def moment(row: Row, name: str = "created_at") -> datetime | None:
    """The time that a row tells by number or text; None where it tells none."""
    epoch = row.get(f"{name}_epoch")
    try:
        if isinstance(epoch, int | float) and not isinstance(epoch, bool) and epoch > 0:
            seconds = epoch / 1000 if epoch > _LARGEST_SECONDS else epoch
            return datetime.fromtimestamp(seconds, UTC)
        said = row.get(name)
        at = datetime.fromisoformat(said) if isinstance(said, str) else None
    except (ValueError, OverflowError, OSError):
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)) if at else None


def text(row: Row, name: str) -> str:
    """A column's text; empty where it has none."""
    value = row.get(name)
    return value if isinstance(value, str) else "" if value is None else str(value)


def listed(row: Row, name: str) -> list[str]:
    """A column's list, which is kept as JSON, or by early versions as lines or words."""
    said = text(row, name).strip()
    if not said:
        return []
    try:
        found = json.loads(said)
    except (ValueError, RecursionError):
        found = said.split("\n") if "\n" in said else said.split(",")
    items = found if isinstance(found, list) else [found]
    words = (one if isinstance(one, str) else json.dumps(one) for one in items if one is not None)
    return [word.strip() for word in words if word.strip()]


def parsed(row: Row, name: str) -> Any:
    """What a column holds as JSON; its text where that is none, None where it is empty."""
    said = text(row, name)
    if not said:
        return None
    try:
        return json.loads(said)
    except (ValueError, RecursionError):
        return said


def begun(row: Row) -> Row:
    """A session's row whose time is that of its start."""
    return {
        **row,
        "created_at": row.get("started_at"),
        "created_at_epoch": row.get("started_at_epoch"),
    }


def is_own(row: Row) -> bool:
    """Whether it is of claude-mem's own sessions with its provider."""
    return text(row, "project") == _OWN_PROJECT


def unfit(row: Row, said: str, *, named: bool = True) -> str:
    """Why a row that says `said` cannot be taken; empty if it can.

    `named`: its session is known.
    """
    if is_own(row):
        return OWN
    if not named:
        return NO_SESSION
    return EMPTY if not said.strip() else "" if moment(row) else TIMELESS


def unfit_message(row: Row, *, named: bool) -> str:
    """Why a message that waits cannot be taken; empty if it can."""
    if text(row, "status") not in _OPEN:
        return SETTLED
    summarise = text(row, "message_type") == "summarize"
    return unfit(row, "summary" if summarise else text(row, "tool_name"), named=named)


def asked(payload: JSON) -> str:
    """What tells a prompt from others, as much of it as claude-mem keeps."""
    said = payload.get("prompt") if isinstance(payload, dict) else None
    return said.strip()[:_LONGEST_PROMPT] if isinstance(said, str) else ""


def payload(row: Row, session_id: str, at: datetime) -> dict[str, JSON]:
    """A message that waits, as the hook that it came from."""
    shared: dict[str, JSON] = {
        "session_id": session_id,
        "timestamp": at.timestamp(),
        **{n: text(row, n) for n in ("cwd", "agent_id", "agent_type") if text(row, n)},
    }
    if text(row, "message_type") == "summarize":
        return {
            **shared,
            "hook_event_name": "Stop",
            "last_assistant_message": text(row, "last_assistant_message"),
        }
    use = text(row, "tool_use_id")
    return {
        **shared,
        "hook_event_name": "PostToolUse",
        "tool_name": text(row, "tool_name"),
        "tool_input": parsed(row, "tool_input"),
        "tool_response": parsed(row, "tool_response"),
        **({"tool_use_id": use} if use else {}),
    }


def prompt(row: Row, session_id: str, at: datetime) -> dict[str, JSON]:
    """A prompt, as the hook that it came from."""
    return {
        "hook_event_name": "UserPromptSubmit",
        "session_id": session_id,
        "prompt": text(row, "prompt_text"),
        "timestamp": at.timestamp(),
    }


_WORDS = ("title", "subtitle", "narrative", "text")
_LISTS = ("facts", "concepts", "files_read", "files_modified")


def observation(row: Row) -> dict[str, Any] | None:
    """An observation's columns, without what is secret; None if nothing of it is left."""
    given: dict[str, JSON] = {name: text(row, name).strip() for name in _WORDS}
    given |= {name: list[JSON](listed(row, name)) for name in _LISTS}
    kept = scrub({**given, "type": text(row, "type")}).value
    assert isinstance(kept, dict)
    said: dict[str, Any] = kept
    draft = ObservationDraft(
        said["type"][:_LONGEST_KIND] or "observation", said["title"], said["subtitle"],
        said["narrative"], *(tuple(said[name]) for name in _LISTS),
    )  # fmt: skip
    content = rendering.observation_text(draft) or said["text"]
    if not content.strip():
        return None
    return {
        "kind": draft.type, "title": draft.title, "subtitle": draft.subtitle,
        "narrative": draft.narrative, "content": content,
        **{name: said[name] for name in _LISTS}, "metadata": _metadata(row),
    }  # fmt: skip


_SUMMARY = ("request", "investigated", "learned", "completed", "next_steps", "notes")


def summary(row: Row) -> dict[str, Any] | None:
    """A summary's columns, without what is secret; None if nothing of it is left."""
    given: dict[str, JSON] = {name: text(row, name).strip() for name in _SUMMARY}
    given |= {name: list[JSON](listed(row, name)) for name in ("files_read", "files_edited")}
    kept = scrub(given).value
    assert isinstance(kept, dict)
    said: dict[str, Any] = kept
    draft = SummaryDraft(**{name: said[name] for name in _SUMMARY})
    content = rendering.summary_text(draft)
    if not content.strip():
        return None
    return {
        "kind": "summary", "title": rendering.summary_title(draft), "subtitle": "",
        "narrative": content, "content": content, "facts": [], "concepts": [],
        "files_read": said["files_read"], "files_modified": said["files_edited"],
        "metadata": {**{name: said[name] for name in _SUMMARY}, **_metadata(row)},
    }  # fmt: skip


def _metadata(row: Row) -> dict[str, JSON]:
    names = ("prompt_number", "discovery_tokens", "generated_by_model", "agent_type", "agent_id")
    told = {name: row[name] for name in names if row.get(name) not in (None, "")}
    kept = scrub({"importedFrom": ADAPTER, **told}).value
    assert isinstance(kept, dict)
    return kept
