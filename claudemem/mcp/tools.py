"""Every tool by its name: what a key must be allowed, and the function that does it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from claudemem.api import errors
from claudemem.mcp import reading, writing
from claudemem.mcp.answers import Answer
from claudemem.mcp.arguments import Arguments
from claudemem.mcp.asking import Asked
from observations import scopes
from observations.errors import InvalidInput
from observations.keys import Principal
from observations.scopes import Need


@dataclass(frozen=True, slots=True)
class Deed:
    """What a tool does, and which scopes allow it."""

    do: Callable[[Asked], str]
    need: Need = scopes.READ_MEMORY


# What `catalogue` lists, by its names.
LISTED: Final[Mapping[str, Deed]] = {
    "search": Deed(reading.search),
    "context": Deed(reading.context),
    "recent": Deed(reading.recent),
    "timeline": Deed(reading.timeline),
    "get_observations": Deed(reading.get_observations),
    "session_start_context": Deed(reading.session_start_context),
    "projects": Deed(reading.projects),
    "remember": Deed(writing.remember, scopes.WRITE_MEMORY),
    "forget": Deed(writing.forget, scopes.WRITE_MEMORY),
}
# What older configurations call. To list these too would cost every agent their descriptions.
UNLISTED: Final[Mapping[str, Deed]] = {
    "observation_search": LISTED["search"],
    "observation_context": LISTED["context"],
    "observation_add": LISTED["remember"],
    "observation_record_event": Deed(writing.record_event, scopes.WRITE_EVENTS),
    "observation_generation_status": Deed(reading.generation_status, scopes.READ_JOBS),
}
DEEDS: Final = {**LISTED, **UNLISTED}


def writes(name: str) -> bool:
    """Whether the tool stores or deletes anything."""
    return name in DEEDS and scopes.writes(DEEDS[name].need)


def call(principal: Principal, request_id: str, name: str, given: Mapping[str, Any]) -> Answer:
    """What a tool says. An error is an answer too: the agent is to read it and do better."""
    deed = DEEDS.get(name)
    if deed is None:
        return Answer(f"Unknown tool: {name[:100]}", is_error=True)
    if not scopes.allows(principal.scopes, deed.need):
        needed = " or ".join(sorted(deed.need))
        return Answer(f"This key may not call {name}: it needs the scope {needed}", is_error=True)
    try:
        return Answer(deed.do(Asked(principal, request_id, Arguments(given))))
    except InvalidInput as error:
        return Answer(error.message, is_error=True)
    except Exception as error:  # noqa: BLE001  # the tool's door: it is told as an answer
        return Answer(errors.explained(error)[1], is_error=True)
