"""What is told where something went wrong."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict


class Problem(TypedDict):
    """What went wrong: one word for programs, a sentence for people."""

    error: str
    message: str


class Spent(Problem):
    """A cap that is reached: how much it is, and how much was used."""

    used: int
    cap: int


Path = Annotated[
    list[str | int],
    Field(description="The keys to it from the outside in; none for the body itself"),
]


class Issue(TypedDict):
    """One thing in a request that is not as it must be."""

    path: Path
    message: str


class Invalid(TypedDict):
    """A request that is not as it must be, and where."""

    error: Literal["ValidationError"]
    issues: list[Issue]


class NotThere(TypedDict):
    """There is nothing to delete, or nothing that the key may reach."""

    error: Literal["not_found"]
