"""One table: what went wrong inside, as the caller is told of it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest
from django.http.request import UnreadablePostError
from ninja import NinjaAPI
from pydantic import ValidationError

from claudemem.api import wire
from claudemem.api.admission import headers_of
from claudemem.api.answers import Answer
from observations import agents
from observations.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    Outdated,
    QuotaExceeded,
    RateLimited,
    StorageAway,
)
from queueing import faults
from queueing.errors import JobConflict, JobNotFound, QueueStoreAway

log = logging.getLogger(__name__)

# Clients give up on a body's first problems; the rest of them would only be long.
MOST_ISSUES = 50
RETRY_AFTER = {"Retry-After": "1"}
READ_ONLY = (
    "The database takes no writes: it is a standby, or set to be read alone; nothing was stored, "
    "try again"
)
STORAGE_AWAY = "The database is locked or cannot be reached; nothing was stored, try again"


class ApiError(Exception):
    """What only this door can find wrong."""


class Unauthorized(ApiError):
    """No key was sent."""


class BadRequest(ApiError):
    """The call cannot be answered as it is; the message says why, in words that clients know."""


class TooLarge(ApiError):
    """The body, or what it inflates to, is larger than the limit."""


class UnknownEncoding(ApiError):
    """The body is compressed in a way that cannot be undone here."""


class TooManyFailures(ApiError):
    """Wrong keys, or none, came from one place too often; more may be tried after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.wait = max(ceil(seconds), 1)


class TooManyListeners(ApiError):
    """As many listen to this process as may."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How one sort of error is told. Without `message`, the error's own words are.

    `shape` is what the answer looks like, for the document.
    """

    status: int
    error: str
    message: str = ""
    headers: dict[str, str] | None = None
    shape: Any = wire.problems.Problem
    # What the one that happened adds: to the body, and to the headers.
    details: Callable[[Any], dict[str, Any]] = lambda _: {}
    tells: Callable[[Any], dict[str, str]] = lambda _: {}


TABLE: dict[type[Exception], Kind] = {
    Unauthorized: Kind(
        401,
        "Unauthorized",
        "Missing API key (Authorization: Bearer <key> or X-Api-Key: <key>)",
        {"WWW-Authenticate": "Bearer"},
    ),
    BadRequest: Kind(400, "BadRequest"),
    Forbidden: Kind(403, "Forbidden"),
    NotFound: Kind(404, "NotFound"),
    JobNotFound: Kind(404, "NotFound", "Generation job not found"),
    Conflict: Kind(409, "Conflict"),
    JobConflict: Kind(409, "Conflict"),
    Outdated: Kind(412, "PreconditionFailed"),
    TooLarge: Kind(413, "PayloadTooLarge", "request entity too large"),
    TooManyFailures: Kind(
        429,
        "rate_limited",
        "Too many calls without a key that works; see Retry-After",
        tells=lambda error: {"Retry-After": str(error.wait)},
    ),
    UnknownEncoding: Kind(415, "UnsupportedMediaType"),
    QuotaExceeded: Kind(
        402,
        "quota_exceeded",
        shape=wire.problems.Spent,
        details=lambda error: {"used": error.used, "cap": error.cap},
        tells=lambda error: headers_of(error.rate),
    ),
    RateLimited: Kind(
        429,
        "rate_limited",
        headers=RETRY_AFTER,
        tells=lambda error: {**headers_of(error.rate), "Retry-After": str(error.wait)},
    ),
    TooManyListeners: Kind(
        503, "ServiceUnavailable", "Too many listen already", headers=RETRY_AFTER
    ),
    StorageAway: Kind(503, "ServiceUnavailable", headers=RETRY_AFTER),
    QueueStoreAway: Kind(503, "ServiceUnavailable", headers=RETRY_AFTER),
    OperationalError: Kind(503, "ServiceUnavailable", STORAGE_AWAY, RETRY_AFTER),
    InterfaceError: Kind(503, "ServiceUnavailable", STORAGE_AWAY, RETRY_AFTER),
    Exception: Kind(500, "InternalError", "Something went wrong here; see the server's log"),
}

INVALID: Final = Kind(400, "ValidationError", shape=wire.problems.Invalid)
# The server tells it before there is anything that could raise it.
TOO_SLOW: Final = Kind(408, "RequestTimeout", "The body did not arrive in time")


def told(error: Exception) -> Answer:
    """The answer for `error`: what is wrong with the request, or else by the table."""
    if isinstance(error, InvalidInput):
        return invalid([{"path": list(error.path), "message": error.message}])
    kind, message = explained(error)
    body = {"error": kind.error, "message": message, **kind.details(error)}
    return Answer(body, status=kind.status, headers={**(kind.headers or {}), **kind.tells(error)})


def explained(error: Exception) -> tuple[Kind, str]:
    """How `error` is told, by the nearest class in the table, and in which words."""
    if isinstance(error, OperationalError) and faults.is_read_only(error):
        error = StorageAway(READ_ONLY).with_traceback(error.__traceback__)
    kind = next(TABLE[each] for each in type(error).__mro__ if each in TABLE)
    if kind.status >= 500:
        log.log(
            logging.ERROR if kind.status == 500 else logging.WARNING,
            "answered %d: %s",
            kind.status,
            type(error).__name__,
            exc_info=error,
        )
    return kind, kind.message or str(error)


_HOOKS = "/v1/hooks/"


def not_found(request: HttpRequest, exception: Exception | None = None) -> Answer:  # noqa: ARG001
    """No such route, or none with this method."""
    message = f"Cannot {request.method} {request.path}"
    if request.path.startswith(_HOOKS):
        message += f": agents are {', '.join(agents.BY_NAME)}"
    return Answer({"error": "NotFound", "message": message}, status=404)


def invalid(issues: list[dict[str, Any]]) -> Answer:
    """Something in the request is not as it must be."""
    return Answer({"error": INVALID.error, "issues": issues[:MOST_ISSUES]}, status=INVALID.status)


def install(api: NinjaAPI) -> None:
    """Have `api` tell every error in this module's way."""
    for kind in (*TABLE, InvalidInput):
        api.add_exception_handler(kind, _tell)
    api.add_exception_handler(ValidationError, lambda _, error: invalid(_issues(error)))
    for unreadable in (SuspiciousOperation, UnreadablePostError):
        api.add_exception_handler(
            unreadable,
            lambda *_: invalid([{"path": [], "message": "The request cannot be read"}]),
        )


def _tell(_: HttpRequest, error: Any) -> Answer:
    return told(error)


def _issues(error: Any) -> list[dict[str, Any]]:
    # Never the input itself: it may hold what must not be shown.
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [{"path": list(each["loc"]), "message": each["msg"]} for each in found]
