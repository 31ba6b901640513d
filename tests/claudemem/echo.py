"""A web with an asynchronous application at /v1/echo: `python -m tests.claudemem.echo`."""

import asyncio
import json
from typing import Any

from django.conf import settings

BLOCK = b"x" * 65536


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers what it is asked; `forever` until the web ends, `flood` without an end, or fails."""
    how = scope["query_string"].decode()
    if how == "fail":
        raise ValueError("as asked")
    message, body = await receive(), b""
    while message["more_body"]:
        body += message["body"]
        message = await receive()
    headers = [(b"content-type", b"text/event-stream" if how else b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if how == "forever":
        await send(_piece(b": begun\n\n"))
        await scope["state"]["closing"].wait()
        await send(_piece(b": ended\n\n"))
    elif how == "flood":
        await _flood(send, receive)
    else:
        body = json.dumps({"body": body.decode(), "id": scope["state"]["request_id"]}).encode()
    await send({"type": "http.response.body", "body": body})


def _piece(body: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}


async def _flood(send: Any, receive: Any) -> None:
    gone, sent = asyncio.ensure_future(receive()), 0
    while not gone.done():
        await asyncio.wait({asyncio.ensure_future(send(_piece(BLOCK))), gone},
                           return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
        sent += len(BLOCK)
        (settings.DATA_DIR.root / "flooded").write_text(str(sent))
    (settings.DATA_DIR.root / "gone").write_text(gone.result()["type"])


if __name__ == "__main__":
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "claudemem.settings")
    from claudemem import web, wsgi  # noqa: F401
    from claudemem.asgi import ASYNC, Mounted

    ASYNC["/v1/echo"] = Mounted("tests.claudemem.echo", frozenset({"GET", "POST"}))
    web.serve(None, lambda: None)
