"""A secret on its way from one page to the next, in two halves that tell nothing alone.

The half in the browser's session lies in the database, the other in a cookie of the browser. Each
is noise by itself: one is random, the other the secret in its disguise.
"""

import secrets

from django.conf import settings
from django.http import HttpRequest, HttpResponse

# So long the cookie waits for the page that is to show the secret.
SECONDS = 600


def send(request: HttpRequest, response: HttpResponse, name: str, secret: str) -> None:
    """Let the page at the response's Location, and it alone, find the secret, once."""
    text = secret.encode()
    noise = secrets.token_bytes(len(text))
    request.session[name] = _mixed(text, noise).hex()
    response.set_cookie(
        name,
        noise.hex(),
        max_age=SECONDS,
        path=response.headers["Location"],
        httponly=True,
        samesite="Strict",
        secure=settings.SESSION_COOKIE_SECURE or request.is_secure(),
    )


def take(request: HttpRequest, name: str) -> str:
    """The secret that was sent under this name; "" if it was taken before, or has expired."""
    try:
        text = bytes.fromhex(request.session.pop(name, ""))
        noise = bytes.fromhex(request.COOKIES.get(name, ""))
    except ValueError:
        return ""
    if not text or len(text) != len(noise):
        return ""
    return _mixed(text, noise).decode(errors="replace")


def _mixed(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
