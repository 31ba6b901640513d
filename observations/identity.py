"""Deterministic keys: what makes two deliveries, sessions or jobs the same. Pure functions."""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256

import orjson

from observations.drafts import JSON
from observations.errors import InvalidInput

_BLANKS = re.compile(r"\s+")
_FAMILIES = ("codex", "cursor", "claude")

# Deliveries without an id of their own are the same when they are alike and so close in time.
WINDOW_SECONDS = 10
# Of the number of a window, in a key.
_DIGITS = 13


def digest(parts: Sequence[JSON]) -> str:
    """The lower-case hex SHA-256 of `parts` as compact JSON."""
    return fingerprint(list(parts))


def compact(value: JSON) -> str:
    """`value` as compact JSON with sorted keys.

    Raises InvalidInput where it is nested deeper than can be stored (254 levels).
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONEncodeError as error:
        raise InvalidInput(f"cannot be stored as JSON: {error}") from error


def fingerprint(value: JSON) -> str:
    """The lower-case hex SHA-256 of `value` as compact JSON with sorted keys."""
    return sha256(compact(value).encode()).hexdigest()


def platform(value: str | None) -> str | None:
    """The canonical name of the platform that a client claims to be; None stays None."""
    if value is None:
        return None
    name = _BLANKS.sub("-", value.strip().lower())
    if not name:
        return "claude"
    if name == "transcript":
        return "codex"
    return next((family for family in _FAMILIES if family in name), name)


@lru_cache(maxsize=4096)
def session_key(
    team_id: str,
    project_id: str,
    *,
    external: str | None,
    content: str | None,
    agent_id: str | None,
    agent_type: str | None,
    platform_source: str | None,
) -> str | None:
    """What two starts of the same session share; None where nothing tells sessions apart."""
    place: list[JSON] = [platform_source] if platform_source else []
    parts: list[JSON]
    if external:
        parts = [team_id, project_id, "external", *place, external]
    elif content:
        parts = [team_id, project_id, "content", platform_source, agent_id, content]
    elif agent_id and platform_source:
        parts = [team_id, project_id, "agent", platform_source, agent_id, agent_type]
    else:
        return None
    return f"server_session:v1:{digest(parts)}"


def lane_key(project_id: str, content: str | None, external: str | None, event_id: str) -> str:
    """The lane of a session's jobs: always the same for the same session.

    An event that names no session is a lane of its own.
    """
    if session := content or external:
        return f"session:{digest([project_id, session])}"
    return f"event:{event_id}"


def delivery_key(
    project_id: str,
    source_adapter: str,
    session: str | None,
    event_type: str,
    own_id: str,
) -> str:
    """The key of a delivery that has an id of its own (tool use, prompt or source event id)."""
    return f"id:{digest([project_id, source_adapter, session, event_type, own_id])}"


def likeness_keys(
    project_id: str,
    source_adapter: str,
    session: str | None,
    event_type: str,
    payload_text: str,
    occurred_at: datetime,
) -> tuple[str, str, str]:
    """The key of a delivery without an id, and those of the windows before and after it.

    Two alike deliveries in one window are always the same; in neighbouring windows they are if
    they occurred within `WINDOW_SECONDS`.
    """
    stem = likeness_stem(project_id, source_adapter, session, event_type, payload_text)
    window = int(occurred_at.timestamp() // WINDOW_SECONDS)
    return (
        f"{stem}{window:0{_DIGITS}d}",
        f"{stem}{window - 1:0{_DIGITS}d}",
        f"{stem}{window + 1:0{_DIGITS}d}",
    )


def likeness_stem(
    project_id: str, source_adapter: str, session: str | None, event_type: str, payload_text: str
) -> str:
    """What the keys of all alike deliveries begin with, whenever they occurred."""
    return f"as:{digest([project_id, source_adapter, session, event_type, payload_text])}:"


def likeness_range(stem: str) -> tuple[str, str]:
    """The first and the last key that may begin with `stem`.

    They differ in digits alone: what else comes before or after those depends on the language by
    which a database sorts.
    """
    return f"{stem}{'0' * _DIGITS}", f"{stem}{'9' * _DIGITS}"


def generation_key(job_id: str, index: int, content: str) -> str:
    """What makes a repeated settlement of a job harmless: one row a job, place and content."""
    return f"generation:v1:{job_id}:{index}:{digest([compact(content.strip())])}"
