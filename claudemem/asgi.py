"""The web's asynchronous applications, by path; everything else is Django's, and never comes here.

They run in one event loop in a thread of its own, which begins with the first request for one of
them; so does the import of what an application needs. A capture waits for neither.
"""

import asyncio
import logging
import threading
from collections.abc import MutableMapping
from importlib import import_module
from typing import Any, Final, NamedTuple

import orjson

from claudemem import leaving
from claudemem.api import door, errors

log = logging.getLogger(__name__)

Loop = asyncio.AbstractEventLoop
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]


class Mounted(NamedTuple):
    """The module that has an ASGI `application`, and the methods that are its own at a path."""

    module: str
    methods: frozenset[str]


ASYNC: Final[dict[str, Mounted]] = {
    "/v1/mcp": Mounted("claudemem.mcp.application", frozenset({"GET", "POST"})),
    "/v1/stream": Mounted("claudemem.stream.application", frozenset({"GET"})),
}


class Applications:
    """Runs asynchronous applications beside a server that has threads.

    An application finds `closing` in its scope's `state`: an `asyncio.Event` that is set when the
    web ends. What would last for ever has to end with it; everything else is finished.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: Loop | None = None
        self._closing = asyncio.Event()
        # A loop knows its tasks by weak references alone.
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, scope: Scope, proto: Any) -> bool:
        """Whether a request of granian's is for one of them, which answers it then."""
        mounted = ASYNC.get(scope["path"].removesuffix("/").lower())
        if mounted is None or scope["method"] not in mounted.methods:
            return False
        loop = self._begun()
        loop.call_soon_threadsafe(self._start, loop, mounted.module, scope, proto)
        return True

    def close(self) -> None:
        """Tell all that the web ends, without waiting for them."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._closing.set)

    def _begun(self) -> Loop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="asgi", daemon=True).start()
            return self._loop

    def _start(self, loop: Loop, module: str, scope: Scope, proto: Any) -> None:
        task = loop.create_task(self._run(loop, module, scope, proto))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, loop: Loop, module: str, scope: Scope, proto: Any) -> None:
        given = dict(scope["headers"])
        request_id = door.request_id(given.get(b"x-request-id", b"").decode("latin-1"))
        scope["root_path"] = ""
        scope["state"] = {"closing": self._closing, "request_id": request_id}
        begun = False

        async def receive() -> Any:
            return await _heard(loop, proto.receive())

        async def send(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message = {**message, "headers": _carried(message, given, request_id)}
            await _heard(loop, proto.send(message))

        try:
            # In a thread: what it brings may take half a second.
            loaded = await loop.run_in_executor(None, import_module, module)
            await loaded.application(scope, receive, send)
        except Exception:
            log.exception("%s failed at %s", module, scope["path"])
            if not begun:
                kind = errors.TABLE[Exception]
                body = orjson.dumps({"error": kind.error, "message": kind.message})
                headers = [(b"content-type", b"application/json")]
                await send({"type": "http.response.start", "status": kind.status,
                            "headers": headers})  # fmt: skip
                await send({"type": "http.response.body", "body": body})


def _carried(
    message: Message, given: dict[bytes, bytes], request_id: str
) -> list[tuple[bytes, bytes]]:
    """The headers of an answer with those that every answer has."""
    ours = door.HEADERS | {"X-Request-Id": request_id}
    origin, host = (given.get(name, b"").decode("latin-1") for name in (b"origin", b"host"))
    ours |= door.crossing(origin, host)
    if leaving.begun.is_set():
        ours["Connection"] = "close"
    carried = {n.lower().encode("latin-1"): v.encode("latin-1") for n, v in ours.items()}
    told = [(bytes(name).lower(), bytes(value)) for name, value in message.get("headers", ())]
    return [*((name, value) for name, value in told if name not in carried), *carried.items()]


async def _heard(loop: Loop, asked: Any) -> Any:
    """What granian answers to `asked`: its own futures know nothing of our loop."""
    if not hasattr(asked, "add_done_callback"):
        return await asked
    future = loop.create_future()
    asked.add_done_callback(lambda done: loop.call_soon_threadsafe(_settle, future, done))
    try:
        return await future
    except asyncio.CancelledError:
        asked.cancel()
        raise


def _settle(future: asyncio.Future[Any], done: Any) -> None:
    if not future.done():
        if (error := done.exception()) is None:
            future.set_result(done.result())
        else:
            future.set_exception(error)
