"""What a value is, in whichever database it lies: how it is sent, and what of it is hashed.

Times, truth and JSON look different in the two. What is compared is what they mean: moments, not
their spelling; JSON without its blanks and the order of its names; numbers as exact decimals.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from hashlib import sha256
from typing import Any, Final

# PostgreSQL's numbers have fewer digits; none is rounded.
_EXACT: Final = Context(prec=200_000, Emin=-999_999_999, Emax=999_999_999)
# An escape of JSON. A pair of surrogates is a character; a group of its own has what PostgreSQL
# cannot store: NUL, and a surrogate alone.
_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u0000|u[dD][89a-fA-F]..)|.)", re.DOTALL
)
_SUSPECTS: Final = ("\\u0000", "\\ud", "\\uD")
_INSTEAD: Final = "\ufffd"


@dataclass(frozen=True, slots=True)
class Kind:
    """How values of a sort of column travel.

    `send` makes of what SQLite holds what is sent to PostgreSQL, which answers to `asked`; `sent`
    and `found` make of both what is hashed. `storable` has what PostgreSQL cannot store replaced.
    """

    send: Callable[[Any], Any]
    sent: Callable[[Any], Any]
    found: Callable[[Any], Any]
    storable: Callable[[Any], Any]
    asked: str = "{}"


def digest(values: Sequence[Any]) -> bytes:
    """The SHA-256 of a row, given what each of its values means."""
    return sha256(_WRITER.encode(values).encode("utf-8", "surrogatepass")).digest()


def meaning(text: str) -> list[Any]:
    """What a JSON text means, in a list: null is a value, which no value is not."""
    return [_READER.decode(text)]


def storable_text(text: str) -> str:
    """`text` with U+FFFD for each NUL."""
    return text.replace("\0", _INSTEAD)


def storable_json(text: str) -> str:
    """JSON with U+FFFD for each NUL and each surrogate that stands alone; its numbers untouched."""
    if not any(suspect in text for suspect in _SUSPECTS):
        return text
    return _ESCAPE.sub(lambda escape: _INSTEAD if escape[1] else escape[0], text)


def _number(digits: str) -> str:
    # No string can be taken for it: none holds a NUL. Zero has no sign in PostgreSQL.
    return f"\0{_EXACT.plus(Decimal(digits)).normalize(_EXACT)}"


def _moment(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _spelt(time: datetime) -> str:
    in_utc = time if time.tzinfo is UTC else time.astimezone(UTC)
    return in_utc.isoformat(timespec="microseconds")


# Making them costs more than a small row does.
_READER: Final = json.JSONDecoder(parse_int=_number, parse_float=_number)
_WRITER: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _same(value: Any) -> Any:
    return value


KINDS: Final = {
    "text": Kind(_same, _same, _same, storable_text),
    "whole": Kind(_same, _same, _same, _same),
    "real": Kind(float, float, float, _same),
    "truth": Kind(bool, bool, bool, _same),
    "time": Kind(lambda raw: _spelt(_moment(raw)), lambda raw: _spelt(_moment(raw)), _spelt, _same),
    "day": Kind(_same, _same, date.isoformat, _same),
    "json": Kind(_same, meaning, meaning, storable_json, "{}::text"),
}
