"""What a hook's client says beside the payload, in headers. Pure.

All of it may be missing. What is there and cannot be read is refused by the header's name: an
agent shows that to its user, who would else believe that it was understood.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Final

import orjson

from observations import places
from observations.errors import InvalidInput
from observations.places import Place

PLACE: Final = "X-Claude-Mem-Place"
DELIVERY: Final = "X-Claude-Mem-Delivery"
OCCURRED: Final = "X-Claude-Mem-Occurred"
OFF: Final = "X-Claude-Mem-Off"
ENTRYPOINT: Final = "X-Claude-Mem-Entrypoint"
# What each tells, for whoever reads how the routes are called.
MEANING: Final[Mapping[str, str]] = {
    PLACE: "Compact JSON: what the client read of the working directory. Any of `project` (from "
    "`.claude-mem.toml`), `remote` (origin's URL), `common` and `root` (absolute paths of git's), "
    "`branch`, `part` (of a monorepo), `born` (the nanosecond at which the clone was made)",
    DELIVERY: "An id of this call, the same when it is sent again: by it a payload that has no id "
    "of its own is known again",
    OCCURRED: "When the hook ran, in seconds since 1970, where the payload is sent later",
    OFF: "`1`, `true`, `yes` or `on`: nothing is stored and nothing is told",
    ENTRYPOINT: "How the agent was started, as Claude Code says it: `cli`, `sdk-cli`, …",
}

_LONGEST_ID: Final = 200
_LONGEST_PLACE: Final = 16_384
_LONGEST_TEXT: Final = 4_096
_YES: Final = frozenset({"1", "true", "yes", "on"})
# An agent that does not know how to fill in a variable sends its name.
_NO: Final = frozenset({"", "0", "false", "no", "off", "$mem_off", "${mem_off}"})


@dataclass(frozen=True, slots=True)
class HookFacts:
    """What a hook's client says beside the payload; see MEANING.

    `look` reads the place of a directory, where the caller is on this machine.
    """

    delivery: str = ""
    occurred_at: datetime | None = None
    place: Place | None = None
    off: bool = False
    entrypoint: str = ""
    look: Callable[[str], Place | None] | None = None


NONE: Final = HookFacts()
_PARTS: Final = tuple(field.name for field in fields(Place))
# As a WSGI environment calls them.
_NAMES: Final = {name: f"HTTP_{name.upper().replace('-', '_')}" for name in MEANING}


def of_environ(environ: Mapping[str, object]) -> HookFacts:
    """The facts in the headers of a WSGI environment. Raises InvalidInput naming the header."""
    said = {name: str(environ[key]) for name, key in _NAMES.items() if key in environ}
    return of_headers(said) if said else NONE


def of_headers(said: Mapping[str, str]) -> HookFacts:
    """The facts that headers tell, by the names in MEANING. Raises InvalidInput naming one."""
    return HookFacts(
        delivery=_name(DELIVERY, said.get(DELIVERY, "")),
        occurred_at=_moment(said.get(OCCURRED, "")),
        place=_place(said.get(PLACE, "")),
        off=_off(said.get(OFF, "")),
        entrypoint=_filled_in(_name(ENTRYPOINT, said.get(ENTRYPOINT, ""))),
    )


def _name(header: str, value: str) -> str:
    value = value.strip()
    if len(value) > _LONGEST_ID or not (value.isascii() and value.isprintable()):
        raise InvalidInput(f"expected at most {_LONGEST_ID} printable ASCII characters", (header,))
    return value


def _filled_in(value: str) -> str:
    """The value, or "" where an agent sent a variable's name in its place."""
    return "" if value.startswith("$") else value


def _moment(value: str) -> datetime | None:
    if not value.strip():
        return None
    try:
        seconds = float(value)
        if not math.isfinite(seconds) or seconds < 0:
            raise ValueError("no moment")
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidInput("expected seconds since 1970, as a number", (OCCURRED,)) from error


def _off(value: str) -> bool:
    word = value.strip().lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise InvalidInput("expected 1, true, yes or on, or else 0, false, no or off", (OFF,))


def _place(value: str) -> Place | None:
    if not value.strip():
        return None
    if len(value) > _LONGEST_PLACE:
        raise InvalidInput(f"expected at most {_LONGEST_PLACE} characters", (PLACE,))
    try:
        said = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"is not JSON: {error}", (PLACE,)) from error
    if not isinstance(said, dict):
        raise InvalidInput("expected an object", (PLACE,))
    return places.of({name: _part(said, name) for name in _PARTS if said.get(name) is not None})


def _part(said: dict[str, object], name: str) -> str:
    value = said[name]
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or "\0" in value:
        meant = f"expected {name} to be a text of at most {_LONGEST_TEXT} characters"
        raise InvalidInput(meant, (PLACE,))
    return value
