"""Pages of long lists on the wire: `limit`, and a cursor that leads to the next page.

A cursor holds the place of the last row that was shown, and a checksum of that, of the list and of
its filters: it leads on in the list that it came from, and nowhere else. It is neither secret nor a
right. Whose rows are shown is decided by the key, at each call.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, Field

from claudemem.api.asking import Query
from claudemem.api.shapes import LAST_EPOCH
from observations.errors import InvalidInput
from observations.identity import digest
from observations.listings import Place, Window

MOST, USUAL = 200, 50
LONGEST_CURSOR = 1_000
_SEAL = 16
# Of numbers and of microseconds: as far as a date goes.
_LARGEST = (LAST_EPOCH + 1) * 1000


class PageQuery(Query):
    """How much of a list is asked for, and from where on."""

    limit: Annotated[int, Field(ge=1, le=MOST)] = USUAL
    cursor: Annotated[str, Field(max_length=LONGEST_CURSOR)] | None = None


def about(name: str, owner: Sequence[str | None], asked: BaseModel) -> list[Any]:
    """What the cursors of a list are bound to: its name, whose it is, and its filters."""
    filters = asked.model_dump(mode="json", exclude={"limit", "cursor"})
    return [name, *owner, filters]


def window(asked: PageQuery, bound_to: list[Any], sorts: Sequence[type]) -> Window:
    """The part of the list that is asked for, in which a place is made of these sorts.

    Raises InvalidInput for a cursor that is not of this list with these filters.
    """
    return Window(asked.limit, opened(asked.cursor, bound_to, sorts))


def cursor(place: Place | None, bound_to: list[Any]) -> str | None:
    """The cursor to what comes after the place; None where nothing does."""
    if place is None:
        return None
    sealed = orjson.dumps([_seal(place, bound_to), *place])
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def opened(given: str | None, bound_to: list[Any], sorts: Sequence[type]) -> Place | None:
    """The place that a cursor leads to; None without one. Raises InvalidInput."""
    if given is None:
        return None
    try:
        raw = given.encode("ascii")
        told = orjson.loads(base64.b64decode(raw + b"=" * (-len(raw) % 4), b"-_", validate=True))
    except (UnicodeEncodeError, binascii.Error, orjson.JSONDecodeError):
        raise _foreign() from None
    if not isinstance(told, list) or [type(each) for each in told] != [str, *sorts]:
        raise _foreign()
    seal, *place = told
    if seal != _seal(tuple(place), bound_to) or not all(_storable(each) for each in place):
        raise _foreign()
    return tuple(place)


def _seal(place: Place, bound_to: list[Any]) -> str:
    return digest([*bound_to, *place])[:_SEAL]


def _storable(value: int | str) -> bool:
    """Whoever forges a cursor must not reach what the database cannot take."""
    if isinstance(value, int):
        return -_LARGEST // 5 < value < _LARGEST
    return "\0" not in value


def _foreign() -> InvalidInput:
    message = "this cursor is not of this list with these filters: begin again without one"
    return InvalidInput(message, ("cursor",))
