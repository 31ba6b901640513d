"""Which pages of other origins may read answers: pure decisions from what a request says.

Keys travel in headers, which a browser sends for no page by itself: what is decided here is whose
scripts may read an answer, and no more. Cookies are never among it.
"""

import re
from collections.abc import Collection
from typing import Final

METHODS: Final = "GET,HEAD,POST,PUT,PATCH,DELETE"
# What scripts may send, besides whatever begins as headers of the Model Context Protocol do.
TAKEN: Final = (
    "Content-Type",
    "Authorization",
    "X-Requested-With",
    "X-Api-Key",
    "X-Request-Id",
    "Last-Event-ID",
    "Mcp-Session-Id",
    "Mcp-Protocol-Version",
)
# What scripts may read, besides the few headers that they may read anyway.
SHOWN: Final = (
    "X-Request-Id",
    "Retry-After",
    "Location",
    "WWW-Authenticate",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-Event-Id",
    "X-Job-Id",
    "X-Transport",
    "X-Duplicate",
    "Mcp-Session-Id",
)
# For so many seconds a browser need not ask again.
REMEMBERED: Final = "600"
# What is told to those who name no origin.
NOT_ASKED: Final = {"Vary": "Origin"}
_SHOWN: Final = ",".join(SHOWN)
_MCP: Final = re.compile(r"mcp-[a-z0-9-]{1,60}", re.ASCII | re.IGNORECASE)
_PORT: Final = re.compile(r":[0-9]{1,5}$", re.ASCII)


def may_read(origin: str, host: str, allowed: Collection[str]) -> bool:
    """Whether pages of `origin` may read what the server that was called as `host` answers.

    Its own may, and those that are `allowed`: `http://ui.example`, or `http://localhost:*` for
    whatever port.
    """
    if not origin or "*" in origin:
        return False
    if origin in allowed or (host and origin.partition("://")[2] == host.lower()):
        return True
    return f"{_PORT.sub('', origin)}:*" in allowed


def headers_for(origin: str, host: str, allowed: Collection[str]) -> dict[str, str]:
    """What an answer says of who may read it. `origin` and `host` are headers, empty without."""
    if not may_read(origin, host, allowed):
        return dict(NOT_ASKED)
    return {
        **NOT_ASKED,
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": _SHOWN,
    }


def preflight(
    origin: str, host: str, allowed: Collection[str], *, asked: str = "", private: bool = False
) -> dict[str, str]:
    """What a browser is told that asks before it sends, and one who asks without an origin.

    `asked` names the headers that it would send; `private` says that it asks whether a page from
    the internet may call a private address.
    """
    if origin and not may_read(origin, host, allowed):
        return dict(NOT_ASKED)
    extra = [name for each in asked.split(",") if _MCP.fullmatch(name := each.strip())]
    told = {
        **headers_for(origin, host, allowed),
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": ",".join(dict.fromkeys([*TAKEN, *extra])),
        "Access-Control-Max-Age": REMEMBERED,
    }
    return told | ({"Access-Control-Allow-Private-Network": "true"} if private and origin else {})
