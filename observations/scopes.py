"""What a key may do. A need is a set of scopes each of which is enough."""

from collections.abc import Collection
from typing import Final

from observations.errors import InvalidInput

Need = frozenset[str]

EVERYTHING: Final = "*"
ADMIN: Final = "admin"
MEMORIES_READ: Final = "memories:read"
MEMORIES_WRITE: Final = "memories:write"
MEMORIES_ADMIN: Final = "memories:admin"
# The narrow ones that installers hand out to hooks.
EVENTS_WRITE: Final = "events:write"
SESSIONS_WRITE: Final = "sessions:write"
OBSERVATIONS_READ: Final = "observations:read"
JOBS_READ: Final = "jobs:read"

KNOWN: Final = (
    MEMORIES_READ,
    MEMORIES_WRITE,
    MEMORIES_ADMIN,
    ADMIN,
    EVERYTHING,
    EVENTS_WRITE,
    SESSIONS_WRITE,
    OBSERVATIONS_READ,
    JOBS_READ,
)

READ_MEMORY: Final[Need] = frozenset({MEMORIES_READ, OBSERVATIONS_READ})
READ_JOBS: Final[Need] = frozenset({MEMORIES_READ, JOBS_READ})
READ_PAYLOADS: Final[Need] = frozenset({MEMORIES_ADMIN, ADMIN})
WRITE_EVENTS: Final[Need] = frozenset({MEMORIES_WRITE, EVENTS_WRITE})
WRITE_SESSIONS: Final[Need] = frozenset({MEMORIES_WRITE, SESSIONS_WRITE})
WRITE_MEMORY: Final[Need] = frozenset({MEMORIES_WRITE})
WRITE_PROJECTS: Final[Need] = frozenset({MEMORIES_WRITE})
MANAGE_KEYS: Final[Need] = frozenset({MEMORIES_WRITE})
READ_STREAM: Final[Need] = READ_MEMORY
READ_AUDIT: Final[Need] = frozenset({MEMORIES_ADMIN, ADMIN})

# What somebody may do who calls from the server's own machine and needs no key.
OF_UNKEYED: Final = frozenset({MEMORIES_READ, MEMORIES_WRITE, MEMORIES_ADMIN})


def allows(held: Collection[str], need: Need) -> bool:
    """Whether a key that holds `held` meets `need`; `*` meets every one."""
    return EVERYTHING in held or not need.isdisjoint(held)


def writes(need: Need) -> bool:
    """Whether what needs this stores or changes something."""
    return MEMORIES_WRITE in need


def parse(text: str) -> tuple[str, ...]:
    """The scopes of a comma-separated list, each once; InvalidInput names one that is unknown."""
    scopes = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not scopes:
        raise InvalidInput(f"Name at least one scope of: {', '.join(KNOWN)}.", ("scopes",))
    for scope in scopes:
        if scope not in KNOWN:
            raise InvalidInput(
                f"There is no scope {scope!r}; there is: {', '.join(KNOWN)}.", ("scopes",)
            )
    return scopes
