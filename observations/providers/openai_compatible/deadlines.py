"""One deadline for a whole call: threads cannot be killed, so no read may outlast it for long.

The client's timeouts bound each read; an answer that comes drop by drop passes them all. What is
here is hung on the client as a hook, which sees an answer before its body is read.
"""

import time
from collections.abc import Iterator
from typing import Any

import httpx2

# An answer that has begun comes whole; a body that stands still so long does not come at all.
STALL_SECONDS = 10.0
MOST_BYTES = 8 * 1024 * 1024
CONNECT_SECONDS = 10.0


def timeout(seconds: float) -> httpx2.Timeout:
    """Timeouts for a call of `seconds`: connecting takes at most ten of them."""
    return httpx2.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))


def started(request: httpx2.Request) -> None:
    """Hook: note when the request must have been answered."""
    request.extensions["ends_at"] = time.monotonic() + _timeouts(request)["read"]


def answered(response: httpx2.Response) -> None:
    """Hook: the body may take what is left of the time, and no more than MOST_BYTES."""
    request = response.request
    left = request.extensions["ends_at"] - time.monotonic()
    _timeouts(request)["read"] = max(0.01, min(left, STALL_SECONDS))
    response.stream = _Bounded(response.stream, request.extensions["ends_at"])


def _timeouts(request: httpx2.Request) -> dict[str, Any]:
    timeouts: dict[str, Any] = request.extensions["timeout"]
    return timeouts


class _Bounded(httpx2.SyncByteStream):
    """A body that ends with an error when its time or its room is over."""

    def __init__(self, stream: Any, ends_at: float) -> None:
        self._stream = stream
        self._ends_at = ends_at

    def __iter__(self) -> Iterator[bytes]:
        room = MOST_BYTES
        for chunk in self._stream:
            room -= len(chunk)
            if time.monotonic() > self._ends_at:
                raise httpx2.ReadTimeout("the body took too long")
            if room < 0:
                raise httpx2.ReadError("the body is too long")
            yield chunk

    def close(self) -> None:
        self._stream.close()
