"""What the query of a route may say, for the document: handlers read it themselves."""

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from claudemem.api.pages import MOST, USUAL
from claudemem.api.wire.fields import State, one_of

SOURCE_TYPES = ("agent_event", "session_summary", "observation_reindex")
Waits = Annotated[
    bool,
    Field(description="`true` answers once the job is settled, or after 25 seconds", default=False),
]
PageSize = Annotated[
    int, Field(description="How many to show at most", ge=1, le=MOST, default=USUAL)
]
Skipped = Annotated[int, Field(description="How many to leave out before them", ge=0, default=0)]


class EventFlags(TypedDict, total=False):
    """How an event is to be taken."""

    generate: Annotated[bool, Field(description="`false` makes no job of it", default=True)]
    wait: Waits


class JobFlags(TypedDict, total=False):
    """When to answer."""

    wait: Waits


class Window(TypedDict, total=False):
    """A page by its place."""

    limit: PageSize
    offset: Skipped


class JobsOfState(Window, total=False):
    """Jobs of one state, or of any."""

    status: State


class Jobs(JobsOfState, total=False):
    """Jobs by more than their state."""

    source_type: Annotated[
        str,
        one_of(*SOURCE_TYPES, description="What the job works on"),
    ]
    since: Annotated[
        str,
        Field(
            description="Jobs made since: a day, an ISO 8601 time or an HTTP date",
            examples=["2026-01-31"],
        ),
    ]
    include: Annotated[
        str,
        Field(
            description="`payload` adds what each job works on; for administrators",
            examples=["payload"],
        ),
    ]


class Usage(TypedDict, total=False):
    """A month."""

    month: Annotated[
        str,
        Field(
            description="A month in UTC; without it, the one that it is",
            pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$",
            examples=["2026-01"],
        ),
    ]
