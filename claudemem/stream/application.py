"""GET /v1/stream: what happens, as it happens, for what a key may see, as server-sent events."""

import asyncio
from collections.abc import MutableMapping
from contextlib import suppress
from functools import cache
from http import HTTPStatus
from typing import Any, NamedTuple

from django.http import HttpResponse

from claudemem.api import calls, errors, stream
from claudemem.api.answers import encoded
from claudemem.api.peers import Caller
from claudemem.api.stream import HEADERS, RETRY, Cursor, Wish
from claudemem.stream import items, looking
from claudemem.stream.hub import Hub
from claudemem.stream.listening import Listener, covers
from observations import journal, scopes
from observations.journal import Place

Scope = MutableMapping[str, Any]


@cache
def _hub(closing: asyncio.Event) -> Hub:
    return Hub(closing)


async def application(scope: Scope, receive: Any, send: Any) -> None:
    """An ASGI application for this one path."""
    hub = _hub(scope["state"]["closing"])
    try:
        if hub.is_full:
            raise errors.TooManyListeners
        asked = await hub.ask(_asked, scope)
        if hub.is_full_for(asked.wish.team_id):
            raise errors.TooManyListeners
    except Exception as error:  # noqa: BLE001 - the door: the table says how each error is told
        await _refuse(send, errors.told(error))
    else:
        await _serve(hub, asked, receive, send)


class _Asked(NamedTuple):
    """What is to be heard, from where on, and what its answer must carry."""

    wish: Wish
    cursor: Cursor | None
    headers: dict[str, str]


def _asked(scope: Scope) -> _Asked:
    principal, admitted = calls.let_in(Caller.of_scope(scope), scopes.READ_STREAM)
    last = dict(scope["headers"]).get(b"last-event-id", b"").decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    return _Asked(*stream.asked(principal, query, last), admitted.headers)


async def _refuse(send: Any, answer: HttpResponse) -> None:
    headers = encoded(dict(answer.items()))
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": answer.content})


async def _serve(hub: Hub, asked: _Asked, receive: Any, send: Any) -> None:
    await send({
        "type": "http.response.start", "status": HTTPStatus.OK,
        "headers": encoded({**HEADERS, **asked.headers}),
    })  # fmt: skip
    listener = Listener(asked.wish)
    hub.enter(listener)
    telling = listener.telling = asyncio.create_task(_tell(hub, listener, asked.cursor, send))
    leaving = asyncio.create_task(_await_end(receive))
    try:
        await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        telling.cancel()
        leaving.cancel()
        hub.leave(listener)
    if telling.done() and not telling.cancelled():
        # Without the database it comes back, and is told of that.
        with suppress(*looking.AWAY):
            telling.result()
    await send({"type": "http.response.body", "body": b""})


async def _await_end(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _tell(hub: Hub, listener: Listener, cursor: Cursor | None, send: Any) -> None:
    await _write(send, RETRY.encode())
    if hub.is_closing:
        return
    if cursor is not None and not await hub.ask(journal.holds, cursor.place):
        await _write(send, items.frame("reset", {"reason": "what came after it may be gone"}))
        cursor = None
    if cursor is None:
        at = await hub.place(listener, 0)
    else:
        at = await _catch_up(hub, listener, cursor, send)
    hub.join(listener)
    await _write(send, items.frame("ready", {"cursor": str(Cursor(at))}, Cursor(at)))
    while True:
        await _write(send, await listener.next())


async def _catch_up(hub: Hub, listener: Listener, cursor: Cursor, send: Any) -> Place:
    """Tell it what it missed, up to what all are told now."""
    wish = listener.wish
    # What was seen in part is read again.
    after = cursor.place if cursor.seen is None else Place(cursor.place.number - 1)
    while True:
        upto = await hub.place(listener, cursor.place.number)
        page = await hub.ask(looking.page, after, upto, [wish.team_id], wish.project_id)
        told = [one for one in page.items if covers(wish, one) and not cursor.covers(one.cursor)]
        if told:
            await _write(send, b"".join(one.frame for one in told))
        after = page.place
        if page.whole and upto == hub.settled:
            return upto


async def _write(send: Any, told: bytes) -> None:
    await send({"type": "http.response.body", "body": told, "more_body": True})
