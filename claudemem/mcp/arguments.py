"""What an agent passed to a tool, read leniently. Pure.

Only what is missing or cannot be meant is refused, with a sentence that the agent can act on.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from claudemem.mcp.catalogue import Limit
from observations.errors import InvalidInput

# Numbers of observations are 64 bits wide in the database.
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of one call. Null counts as left out."""

    given: Mapping[str, Any]

    def text(self, name: str, *also: str) -> str:
        """The text under `name`, or else under another of its names. Raises InvalidInput."""
        for each in (name, *also):
            if found := self.optional(each):
                return found
        raise InvalidInput(f'"{name}" is required', (name,))

    def optional(self, name: str) -> str | None:
        """The text, or None where there is none but blanks. Raises InvalidInput for no text."""
        value = self.given.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise InvalidInput(f'"{name}" must be a string', (name,))
        return value.replace("\0", "\ufffd") if value.strip() else None

    def limit(self, name: str, limit: Limit) -> int:
        """A count within the limit, clamped to it; the usual one for what is no number."""
        value = self.given.get(name)
        number = None if isinstance(value, str) else _number(value)
        return limit.usual if number is None else min(max(number, 1), limit.most)

    def flag(self, name: str, default: bool = False) -> bool:
        """Whether it is true; `default` where it is neither true nor false."""
        value = self.given.get(name)
        return value if isinstance(value, bool) else default

    def reference(self, *names: str) -> int | str | None:
        """Which observation is meant, by number or id; None where nothing is said."""
        value = next((found for each in names if (found := self.given.get(each)) is not None), None)
        return None if value is None else reference(value, names[0])

    def references(self, name: str, most: int) -> list[int | str]:
        """Which observations are meant, each once. Raises InvalidInput for none and too many."""
        value = self.given.get(name)
        values = value if isinstance(value, list) else [] if value is None else [value]
        if not 0 < len(values) <= most:
            raise InvalidInput(f'"{name}" must name 1 to {most} observations', (name,))
        return list(dict.fromkeys(reference(each, name) for each in values))


def reference(value: Any, name: str) -> int | str:
    """A number, also as `"12"` or `"#12"`, or else an id. Raises InvalidInput."""
    text = value.strip() if isinstance(value, str) else value
    number = _number(text.removeprefix("#") if isinstance(text, str) else text)
    if number is not None and 0 < number <= _LARGEST:
        return number
    if isinstance(text, str) and text and "\0" not in text:
        return text
    raise InvalidInput(f'"{name}" must be the number or id of an observation', (name,))


def _number(value: Any) -> int | None:
    """A whole number, whatever is behind its point cut off; None for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value) if not isinstance(value, int) else value
        return math.trunc(number)
    except (ValueError, OverflowError):
        return None
