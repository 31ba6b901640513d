"""What a tool says. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """The text that the agent reads, and whether it tells of an error."""

    text: str
    is_error: bool = False
