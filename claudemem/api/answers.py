"""What goes out: JSON answers, headers, and the moment as the wire counts it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Generic

import orjson
from django.http import HttpResponse

# The standard library's own takes no default on Python 3.11.
from typing_extensions import TypeVar

T = TypeVar("T", default=Any)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Answer(HttpResponse, Generic[T]):
    """`data` as compact JSON. Handlers say in their annotations what is in it."""

    def __init__(
        self, data: T, *, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        content = orjson.dumps(data)
        super().__init__(content, content_type="application/json; charset=utf-8", status=status)
        self.headers["Content-Length"] = str(len(content))
        for name, value in (headers or {}).items():
            self.headers[name] = value


def encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as an ASGI application tells them."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def epoch(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return (moment - _EPOCH) // _MILLISECOND


def epoch_or_none(moment: datetime | None) -> int | None:
    """Milliseconds since 1970, if there is a moment."""
    return None if moment is None else epoch(moment)


def iso(moment: datetime) -> str:
    """The moment in words, to the millisecond and in UTC, as JavaScript writes it."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def iso_or_none(moment: datetime | None) -> str | None:
    """The same, if there is a moment."""
    return None if moment is None else iso(moment)


def from_epoch(milliseconds: int) -> datetime:
    """The moment so many milliseconds after 1970."""
    return _EPOCH + milliseconds * _MILLISECOND
