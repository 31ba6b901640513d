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

from django.conf import settings

from claudemem.arrivals import DRAIN_BYTES, ROOM, SMALL, Arrival, Room, TooSlow

log = logging.getLogger(__name__)

_TOO_SLOW: Final = (
    408,
    [(b"content-type", b"application/json"), (b"connection", b"close")],
    b'{"error":"RequestTimeout","message":"The body did not arrive in time"}',
)
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
        self._room = Room(ROOM)

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

        def done(why: Exception | None) -> None:
            try:
                self._fetched(environ, proto, arrival, why)
            finally:
                if counted:
                    self._room.leave(counted)

        arrival = Arrival(proto.receive, length, done)
        if counted:
            self._room.enter(counted, arrival.begin)
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
            _send(proto, *_TOO_SLOW)

    def _answer(self, environ: dict[str, Any], proto: Any, body: bytes, *, more: bool) -> None:
        environ["wsgi.input"] = BytesIO(body)
        answer = called(self._application, environ)
        if more:
            rest = Arrival(proto.receive, DRAIN_BYTES, lambda _: _send(proto, *answer), keep=False)
            rest.begin()
        else:
            _send(proto, *answer)


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
        return 500, [], b""
    status, headers = told
    return status, [(n.encode("latin-1"), v.encode("latin-1")) for n, v in headers], content


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
        if variable in environ:
            between = ";" if variable == "HTTP_COOKIE" else ","
            text = f"{environ[variable]}{between}{text}"
        environ[variable] = text
    return environ


@lru_cache(512)
def _variable(header: bytes) -> str:
    name = header.decode("latin-1").upper().replace("-", "_")
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"


def _send(proto: Any, status: int, headers: list[tuple[bytes, bytes]], content: bytes) -> None:
    proto.send({"type": "http.response.start", "status": status, "headers": headers})
    proto.send({"type": "http.response.body", "body": content, "more_body": False})
