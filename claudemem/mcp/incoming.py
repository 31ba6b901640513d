"""A request as it comes over HTTP: whether it is for the protocol, and its messages."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from django.conf import settings
from django.http.request import validate_host
from mcp_types import INVALID_REQUEST, PARSE_ERROR, jsonrpc_message_adapter
from pydantic import ValidationError

from claudemem.api import bodies, crossorigin
from claudemem.api.errors import TooLarge
from claudemem.arrivals import DRAIN_BYTES, SILENT_SECONDS, WHOLE_SECONDS
from observations.errors import Forbidden, InvalidInput

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"
# So many messages may come in one request; each counts as a call of its own.
MOST_MESSAGES: Final = 50
# What the protocol's transports call a request that they do not take.
_REFUSED: Final = -32000
_TAKES_JSON = frozenset({JSON, "application/*", "*/*"})
_TAKES_EVENTS = frozenset({EVENTS, "text/*", "*/*"})


class NotSpoken(Exception):
    """The request is none of the protocol; `body` says why, as the protocol says it."""

    def __init__(self, status: int, message: str, code: int = _REFUSED) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"jsonrpc": "2.0", "error": {"code": code, "message": message}, "id": None}


@dataclass(frozen=True, slots=True)
class Spoken:
    """A message as JSON, and the tool that it calls, if it calls one."""

    raw: bytes
    tool: str


@dataclass(slots=True)
class Incoming:
    """A request: its method, its headers by their names in small letters, whence its body comes.

    `more` says whether some of the body is still to come.
    """

    method: str
    headers: Mapping[str, str]
    receive: Receive
    more: bool

    @classmethod
    def of(cls, scope: Scope, receive: Receive) -> "Incoming":
        """The request of an ASGI scope."""
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
        return cls(scope["method"], headers, receive, more=scope["method"] == "POST")

    async def body(self) -> bytes:
        """All of the body, inflated. Raises TooLarge, UnknownEncoding, InvalidInput, NotSpoken."""
        raw = bytearray()
        try:
            async for piece in self._pieces():
                raw += piece
                if len(raw) > settings.MAX_BODY_BYTES:
                    raise TooLarge
        except TimeoutError as error:
            raise NotSpoken(408, "The body did not arrive in time") from error
        encoding = self.headers.get("content-encoding", "").strip().lower()
        return bodies.inflate(bytes(raw), encoding)

    async def drain(self) -> None:
        """Read away what is left of the body, within a bound, so that the answer is heard.

        Who asked with `Expect: 100-continue` sends only when told.
        """
        if "expect" in self.headers:
            return
        left = DRAIN_BYTES
        with suppress(InvalidInput, TimeoutError):
            async for piece in self._pieces():
                left -= len(piece)
                if left <= 0:
                    return

    async def _pieces(self) -> AsyncIterator[bytes]:
        until = time.monotonic() + WHOLE_SECONDS
        while self.more:
            patience = min(SILENT_SECONDS, until - time.monotonic())
            message = await asyncio.wait_for(self.receive(), patience)
            if message["type"] != "http.request":
                self.more = False
                raise InvalidInput("The body ended before its Content-Length")
            self.more = message.get("more_body", False)
            yield message.get("body", b"")


def check_headers(request: Incoming) -> None:
    """Raise NotSpoken unless the client takes and sends what the protocol has.

    Raises Forbidden for a page of a host that is not ours: its visitor's browser asks, and not its
    visitor.
    """
    _check_origin(request.headers.get("origin", ""))
    taken = _words(request.headers.get("accept", ""))
    if request.method == "GET":
        if taken.isdisjoint(_TAKES_EVENTS):
            raise NotSpoken(406, "Not Acceptable: Client must accept text/event-stream")
        return
    if taken.isdisjoint(_TAKES_EVENTS) or taken.isdisjoint(_TAKES_JSON):
        both = f"both {JSON} and {EVENTS}"
        raise NotSpoken(406, f"Not Acceptable: Client must accept {both}")
    if JSON not in _words(request.headers.get("content-type", "")):
        raise NotSpoken(415, f"Unsupported Media Type: Content-Type must be {JSON}")


def spoken(raw: bytes) -> tuple[list[Spoken], bool]:
    """The messages of a body, and whether they came as a batch. Raises NotSpoken."""
    try:
        parsed = bodies.parse(raw)
        given = parsed if isinstance(parsed, list) else [parsed]
        for each in given:
            jsonrpc_message_adapter.validate_python(each, by_name=False)
    except (InvalidInput, ValidationError) as error:
        raise NotSpoken(400, "Parse error: Invalid JSON-RPC message", PARSE_ERROR) from error
    if not 0 < len(given) <= MOST_MESSAGES:
        raise NotSpoken(400, f"A batch has 1 to {MOST_MESSAGES} messages", INVALID_REQUEST)
    return [Spoken(orjson.dumps(each), _tool(each)) for each in given], isinstance(parsed, list)


def _tool(message: Mapping[str, Any]) -> str:
    params = message.get("params")
    if message.get("method") != "tools/call" or not isinstance(params, dict):
        return ""
    return str(params.get("name", ""))


def _check_origin(origin: str) -> None:
    if not origin or crossorigin.may_read(origin, "", settings.CORS_ORIGINS):
        return
    # Whom the page is of, and not whom it calls: that may be a name that was made to lead here.
    if not validate_host(_host(origin), settings.ALLOWED_HOSTS):
        raise Forbidden("Pages of this origin may not call: CLAUDE_MEM_CORS_ORIGINS names others")


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""


def _words(header: str) -> set[str]:
    return {each.partition(";")[0].strip().lower() for each in header.split(",")}
