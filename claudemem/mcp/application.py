"""`/v1/mcp`: the protocol over HTTP, as an ASGI application. Imported with the first request.

Each request stands alone: no session is kept, and `initialize` is not needed. Keys, limits and
sizes are looked at here as everywhere in the API; the protocol's library gets single messages.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, TypeVar

import orjson
from django.conf import settings
from django.db import close_old_connections
from django.http import HttpResponse
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from claudemem.api import admission, calls, door, errors
from claudemem.api.answers import encoded
from claudemem.api.calls import Caller
from claudemem.mcp import catalogue, incoming, protocol, tools
from claudemem.mcp.answers import Answer
from claudemem.mcp.incoming import EVENTS, JSON, Incoming, Message, NotSpoken, Receive, Scope, Send
from observations import scopes
from observations.keys import Principal

T = TypeVar("T")

# A stream on which nothing comes says so often (seconds) that it is still there.
PING_SECONDS: Final = 15.0
# So many may be open in one process: connections must be left for others.
MOST_STREAMS: Final = 1000
# Where the protocol's library hands on who asks.
_CALLER: Final = "claudemem.caller"
_SPOKEN: Final = (
    (b"accept", f"{JSON}, {EVENTS}".encode()),
    (b"content-type", JSON.encode()),
)
# A tool asks the database, and waits for it in one of these. They are beside the threads of the
# API, which share a pool of connections with them.
_threads = ThreadPoolExecutor(max(settings.WEB_THREADS // 2, 1), thread_name_prefix="mcp")


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    stays_open: bool = False


# Streams, by what tells of their end.
_open: set[asyncio.Future[Any]] = set()
_STREAM: Final = Reply(
    200,
    headers={"Content-Type": EVENTS, "Cache-Control": "no-cache, no-transform"},
    stays_open=True,
)


@dataclass(frozen=True, slots=True)
class _Asking:
    """Who asks, and in which request."""

    principal: Principal
    request_id: str


class _Here:
    """The tools of this server."""

    def tools(self, context: protocol.Context) -> list[dict[str, Any]]:
        held = _asking(context).principal.scopes
        return catalogue.listed(writes=scopes.allows(held, scopes.WRITE_MEMORY))

    async def call(self, context: protocol.Context, name: str, arguments: dict[str, Any]) -> Answer:
        asking = _asking(context)
        deed = partial(tools.call, asking.principal, asking.request_id, name, arguments)
        return await _in_thread(deed)


_server = protocol.server(_Here())


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request: POST with messages, or GET for a stream on which nothing comes."""
    request = Incoming.of(scope, receive)
    try:
        asking = await _in_thread(partial(_recognised, scope, request))
        incoming.check_headers(request)
        if request.method == "POST":
            reply = await _answer(scope, request, asking)
        elif len(_open) >= MOST_STREAMS:
            raise errors.TooManyListeners
        else:
            reply = replace(_STREAM, headers=_STREAM.headers | await _admitted(asking))
    except NotSpoken as error:
        reply = Reply(error.status, orjson.dumps(error.body), {"Content-Type": JSON})
    except Exception as error:  # noqa: BLE001  # the door: the one table of errors tells it
        reply = _told(errors.told(error))
    await request.drain()
    with suppress(OSError):  # the caller went
        if reply.stays_open:
            await _hold_open(request, reply, scope.get("state", {}).get("closing"), send)
        else:
            await _send(send, reply)


def _recognised(scope: Scope, request: Incoming) -> _Asking:
    named = scope.get("state", {}).get("request_id")
    principal = calls.recognised(Caller.of_scope(scope), scopes.READ_MEMORY)
    return _Asking(principal, named or door.request_id(request.headers.get("x-request-id", "")))


async def _admitted(asking: _Asking, *, writes: bool = False) -> dict[str, str]:
    """What the answer of a call must carry. Raises what `admission.admit` does."""
    admit = partial(admission.admit, asking.principal, writes=writes)
    return dict((await _in_thread(admit)).headers)


async def _answer(scope: Scope, request: Incoming, asking: _Asking) -> Reply:
    """The answer to the messages of a request: one as it is told, those of a batch in a list."""
    spoken, batch = incoming.spoken(await request.body())
    headers: dict[str, str] = {}
    for each in spoken:
        headers |= await _admitted(asking, writes=tools.writes(each.tool))
    replies = [await _exchanged(scope, each.raw, asking) for each in spoken]
    if not batch:
        (reply,) = replies
        return replace(reply, headers={**headers, **reply.headers})
    told = [orjson.Fragment(each.body) for each in replies if each.body]
    if not told:
        return Reply(202, headers=headers)
    return Reply(200, orjson.dumps(told), {**headers, "Content-Type": JSON})


async def _exchanged(scope: Scope, message: bytes, asking: _Asking) -> Reply:
    """What the protocol's library answers to one message."""
    parts: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": message, "more_body": False}

    async def keep(part: Message) -> None:
        parts.append(part)

    manager = StreamableHTTPSessionManager(
        _server, json_response=True, stateless=True, max_request_body_size=2 * len(message) + 1
    )
    async with manager.run():
        handed = {**scope, "headers": _handed_on(scope), _CALLER: asking}
        await manager.handle_request(handed, receive, keep)
    start, *rest = parts
    body = b"".join(part.get("body", b"") for part in rest)
    return Reply(start["status"], body, {"Content-Type": JSON} if body else {})


def _handed_on(scope: Scope) -> list[tuple[bytes, bytes]]:
    """The headers that the protocol knows; the others were about the body that came, or the key."""
    given = ((bytes(name).lower(), bytes(value)) for name, value in scope["headers"])
    return [*((name, value) for name, value in given if name.startswith(b"mcp-")), *_SPOKEN]


async def _hold_open(
    request: Incoming, reply: Reply, closing: asyncio.Event | None, send: Send
) -> None:
    """A stream on which nothing comes, until its reader goes or the server ends."""
    gone = asyncio.ensure_future(_gone(request))
    _open.add(gone)
    ends: list[asyncio.Future[Any]] = [gone]
    if closing:
        ends.append(asyncio.ensure_future(closing.wait()))
    try:
        await send(_start(reply))
        done: set[asyncio.Future[Any]] = set()
        while not done:
            await send({"type": "http.response.body", "body": b": \n\n", "more_body": True})
            done, _ = await asyncio.wait(
                ends, timeout=PING_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        _open.discard(gone)
        for each in ends:
            each.cancel()


async def _gone(request: Incoming) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _in_thread(deed: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_threads, _with_database, deed)


def _with_database(deed: Callable[[], T]) -> T:
    """Requests of Django's own do the same: no connection is kept that is no longer good."""
    close_old_connections()
    try:
        return deed()
    finally:
        close_old_connections()


def _asking(context: protocol.Context) -> _Asking:
    assert context.request is not None
    asking: _Asking = context.request.scope[_CALLER]
    return asking


def _told(answer: HttpResponse) -> Reply:
    return Reply(answer.status_code, answer.content, dict(answer.headers.items()))


async def _send(send: Send, reply: Reply) -> None:
    length = {"Content-Length": str(len(reply.body))}
    await send(_start(replace(reply, headers={**reply.headers, **length})))
    await send({"type": "http.response.body", "body": reply.body, "more_body": False})


def _start(reply: Reply) -> Message:
    told = encoded(reply.headers)
    return {"type": "http.response.start", "status": reply.status, "headers": told}
