"""Between granian's ASGI side and a WSGI application: each call in one of the server's threads.

The server asks a thread of its own to take a request. Where the body is there the application is
called in that very thread; else the thread that brings the last of the body goes on with it. There
is no event loop on the way, so that no capture waits for one, or for what runs in one.
"""

import logging
import sys
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import orjson
from django.conf import settings
from django.db import InterfaceError, InternalError, OperationalError, close_old_connections

from claudemem.api import door, errors, express
from claudemem.api.peers import Caller
from claudemem.arrivals import DRAIN_BYTES, ROOM, SMALL, STRANGERS, Arrival, Room, TooSlow
from observations import keys
from observations.errors import StorageAway

log = logging.getLogger(__name__)

_FIXED: Final = {
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "wsgi.input_terminated": True,
}

Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


class Bridge:
    """Calls `application`; a body that is too long is given to it cut off behind the limit."""

    def __init__(self, application: Callable[..., Any]) -> None:
        self._application = application
        self._limit: int = settings.MAX_BODY_BYTES
        self._room, self._strangers = Room(ROOM), Room(STRANGERS)

    def take(self, scope: dict[str, Any], proto: Any) -> None:
        """Have a request answered, here or in a thread of the server that hears of its body."""
        environ = environ_of(scope)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > self._limit:
            # Who asked with `Expect: 100-continue` sends only when told.
            self._answer(environ, proto, b"", more="HTTP_EXPECT" not in environ)
        elif length or "HTTP_TRANSFER_ENCODING" in environ:
            self._fetch(environ, proto, length or self._limit + 1)
        else:
            self._answer(environ, proto, b"", more=False)

    def _fetch(self, environ: dict[str, Any], proto: Any, length: int) -> None:
        counted = length if length > SMALL else 0
        room = self._room if counted and _known(environ) else self._strangers

        def done(why: Exception | None) -> None:
            try:
                self._fetched(environ, proto, arrival, why)
            finally:
                if counted:
                    room.leave(counted)

        arrival = Arrival(proto.receive, length, done)
        if counted:
            room.enter(counted, arrival.begin)
        else:
            arrival.begin()

    def _fetched(
        self, environ: dict[str, Any], proto: Any, arrival: Arrival, why: Exception | None
    ) -> None:
        if why is None:
            body = b"".join(arrival.pieces)
            environ["CONTENT_LENGTH"] = str(len(body))
            self._answer(environ, proto, body, more=len(body) > self._limit)
        elif isinstance(why, TooSlow):
            _send(proto, *_told(errors.TOO_SLOW, environ, Connection="close"))

    def _answer(self, environ: dict[str, Any], proto: Any, body: bytes, *, more: bool) -> None:
        environ["wsgi.input"] = BytesIO(body)
        answer = answered(self._application, environ)
        if more:
            rest = Arrival(proto.receive, DRAIN_BYTES, lambda _: _send(proto, *answer), keep=False)
            rest.begin()
        else:
            _send(proto, *answer)


def _known(environ: dict[str, Any]) -> bool:
    """Whether the caller has a key that works. Who waits with a body keeps no connection."""
    raw = Caller.of_environ(environ).raw
    try:
        return raw is not None and keys.authenticate(raw) is not None
    except (OperationalError, InterfaceError, InternalError, StorageAway):
        return False
    finally:
        close_old_connections()


def answered(application: Callable[..., Any], environ: dict[str, Any]) -> Answer:
    """What is answered to `environ`: by the short way of captures, or by `application`."""
    return express.answered(environ) or called(application, environ)


def called(application: Callable[..., Any], environ: dict[str, Any]) -> Answer:
    """What `application` answers to `environ`; 500 if it fails."""
    told: list[Any] = []

    def start(status: str, headers: list[tuple[str, str]], *_: object) -> None:
        told[:] = [int(status[:3]), headers]

    try:
        answer = application(environ, start)
        try:
            content = b"".join(answer)
        finally:
            answer.close()
    except Exception:
        log.exception("the application failed at %s", environ["PATH_INFO"])
        return _told(errors.TABLE[Exception], environ)
    status, headers = told
    return status, [(n.encode("latin-1"), v.encode("latin-1")) for n, v in headers], content


def _told(kind: errors.Kind, environ: dict[str, Any], **more: str) -> Answer:
    """What is answered where the application has no say, as it would have said it itself."""
    named = door.request_id(environ.get("HTTP_X_REQUEST_ID", ""))
    crossing = door.crossing(environ.get("HTTP_ORIGIN", ""), environ.get("HTTP_HOST", ""))
    fixed = {"Content-Type": "application/json", "X-Request-Id": named}
    headers = door.HEADERS | crossing | fixed | more
    told = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return kind.status, told, orjson.dumps({"error": kind.error, "message": kind.message})


def environ_of(scope: dict[str, Any]) -> dict[str, Any]:
    """The WSGI variables of a request, without its body."""
    path = scope["raw_path"]
    environ: dict[str, Any] = {
        **_FIXED,
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": "HTTP/" + scope["http_version"],
        "SERVER_NAME": scope["server"][0],
        "SERVER_PORT": scope["server"][1],
        "REMOTE_ADDR": scope["client"][0],
        "wsgi.url_scheme": scope["scheme"],
    }
    for name, value in scope["headers"]:
        variable, text = _variable(name), value.decode("latin-1")
        if not variable:
            continue
        if variable in environ:
            between = ";" if variable == "HTTP_COOKIE" else ","
            text = f"{environ[variable]}{between}{text}"
        environ[variable] = text
    return environ


@lru_cache(512)
def _variable(header: bytes) -> str:
    """The variable of a header; "" for one that would pass for another.

    Variables have underscores for dashes: a header with underscores is no word of HTTP's, and by it
    a caller would speak as the proxy that it came through, or of a body that it does not send.
    """
    if b"_" in header:
        return ""
    name = header.decode("latin-1").upper().replace("-", "_")
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"


def _send(proto: Any, status: int, headers: list[tuple[bytes, bytes]], content: bytes) -> None:
    proto.send({"type": "http.response.start", "status": status, "headers": headers})
    proto.send({"type": "http.response.body", "body": content, "more_body": False})
