"""What was used, and what may be."""

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from claudemem.api.wire.fields import Moment

Totals = Annotated[
    dict[str, int],
    Field(
        description="How much of each kind",
        examples=[{"request": 120, "tokens": 110, "input_tokens": 100, "output_tokens": 10}],
    ),
]


Day = Annotated[str, Field(description="A day in UTC", examples=["2026-01-31"])]


class Cap(TypedDict):
    """How much of a kind may be used in a month, how much was, and what is left of it."""

    cap: int
    used: int
    left: int


class Caps(TypedDict):
    """What is capped; null where there is no cap."""

    request: Cap | None
    tokens: Cap | None


class DayUsed(TypedDict):
    """What was used on a day in UTC."""

    day: Day
    usage: Totals


class ProjectUsed(TypedDict):
    """What was used by a project; null by what belongs to none."""

    projectId: str | None
    usage: Totals


class Used(TypedDict):
    """What a team used in a month, and what it may use."""

    since: Moment
    until: Moment
    usage: Totals
    metering: Annotated[bool, Field(description="Whether days and projects are written down")]
    caps: Caps
    requestsPerMinute: Annotated[int | None, Field(description="How many a key may make")]
    days: list[DayUsed]
    projects: list[ProjectUsed]
