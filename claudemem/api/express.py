"""The short way of captures: their handlers and checks, without a framework around each request.

Agents wait for these routes at each of their steps, and the framework's share of one was as much as
all else that it does in Python. Nothing else differs from the long way, which the same routes have
as well (an address in other letters, flags in its query): handlers, checks and their order, the
table of errors and what every answer carries are the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, cast

from django.core.handlers.wsgi import WSGIRequest
from django.http.response import HttpResponse
from django.utils.log import log_response
from ninja.operation import Operation

from claudemem import leaving
from claudemem.api import crossorigin, door, events, hooks
from claudemem.api.admission import FREELY
from claudemem.api.answers import encoded
from claudemem.api.calls import Call
from claudemem.api.routes import api
from queueing import direct

# Where captures come in by the thousand, as the API mounts them.
NOUNS: Final = (events.router, hooks.router)
MOUNT: Final = "/v1"

Told = tuple[int, list[tuple[bytes, bytes]], bytes]


@dataclass(frozen=True, slots=True)
class Way:
    """What is asked of a caller, and the handler behind it."""

    admits: Callable[[Any], Any]
    handles: Callable[[Any], HttpResponse]


class Light(WSGIRequest):
    """A request as handlers see it, of which only that is made by now which they look at."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = self.META = environ
        self.path = self.path_info = environ["PATH_INFO"]
        self.method = environ["REQUEST_METHOD"]
        self.resolver_match = None
        self._stream = environ["wsgi.input"]
        self._read_started = False


def answered(environ: dict[str, Any]) -> Told | None:
    """What is answered to a capture: status, headers, body; None to all else.

    `environ` is WSGI's, with the whole body behind `wsgi.input`.
    """
    if environ["REQUEST_METHOD"] != "POST" or environ["QUERY_STRING"]:
        return None
    way = _ways().get(environ["PATH_INFO"])
    return _taken(way, environ) if way else None


@cache
def _ways() -> Mapping[str, Way]:
    """The ways by their addresses: each route of `NOUNS` that takes bodies, and names no id."""
    return {
        MOUNT + path: _way(operation)
        for router in NOUNS
        for path, view in router.path_operations.items()
        for operation in view.operations
        if operation.methods == ["POST"] and "{" not in path
    }


def _way(operation: Operation) -> Way:
    (admits,) = operation.auth_callbacks
    return Way(admits, operation.view_func)


def _taken(way: Way, environ: dict[str, Any]) -> Told:
    request = cast(Call, Light(environ))
    request.request_id = door.request_id(environ.get("HTTP_X_REQUEST_ID", ""))
    try:
        response = _response(way, request)
    finally:
        direct.let_go()
    if response.status_code >= 500:
        log_response("%s: %s", response.reason_phrase, request.path,
                     response=response, request=request)  # fmt: skip
    return response.status_code, _headers(response, request), response.content


def _response(way: Way, request: Call) -> HttpResponse:
    try:
        request.auth = way.admits(request)
        return way.handles(request)
    except Exception as error:  # noqa: BLE001 - the table of errors has all of them
        return api.on_exception(request, error)


def _headers(response: HttpResponse, request: Call) -> list[tuple[bytes, bytes]]:
    """The answer's own headers, and what the door would add."""
    ours = {"X-Request-Id": request.request_id, **_crossing(request.META)}
    ours |= vars(request).get("admitted", FREELY).headers
    if leaving.begun.is_set():
        ours["Connection"] = "close"
    return [*encoded(response.headers), *_everybodys(), *encoded(ours)]


def _crossing(environ: dict[str, Any]) -> dict[str, str]:
    if origin := environ.get("HTTP_ORIGIN"):
        return door.crossing(origin, environ.get("HTTP_HOST", ""))
    return crossorigin.NOT_ASKED


@cache
def _everybodys() -> list[tuple[bytes, bytes]]:
    return encoded(door.HEADERS)
