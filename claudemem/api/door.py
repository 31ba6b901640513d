"""The outermost middleware: what every answer carries, and the short way to the API.

API calls have no cookies, sessions or CSRF tokens: they go straight to their view. Everything else
takes the long way through the browser's middlewares.
"""

import re
from collections.abc import Callable
from typing import Final, cast

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve
from uuid_utils import uuid4

from claudemem import leaving
from claudemem.api.answers import Answer
from claudemem.api.calls import Call
from claudemem.api.errors import not_found
from observations.privacy import scrub_text

API: Final = ("/v1/", "/api/", "/healthz", "/readyz")
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-DNS-Prefetch-Control": "off",
    # Pages keep their own: the forms of one that sends no referrer are refused as foreign.
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Origin-Agent-Cluster": "?1",
}
PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET,HEAD,POST,PUT,PATCH,DELETE",
    "Access-Control-Allow-Headers": "Content-Type,Authorization,X-Requested-With",
}
_LOCAL_ORIGINS = ("http://localhost:", "http://127.0.0.1:")
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-_]{0,63}", re.ASCII)


class Door:
    """Django middleware; the first in the list."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._browser = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if path.startswith(API):
            response = _called(cast(Call, request), path)
        else:
            response = self._browser(request)
        for name, value in HEADERS.items():
            if name not in response.headers or isinstance(response, Answer):
                response.headers[name] = value
        if leaving.begun.is_set():
            response.headers["Connection"] = "close"
        return response


def _called(request: Call, path: str) -> HttpResponseBase:
    request.request_id = request_id(request.META.get("HTTP_X_REQUEST_ID", ""))
    preflight = request.method == "OPTIONS"
    response = HttpResponse(status=204, headers=PREFLIGHT) if preflight else _answer(request, path)
    if path.startswith("/v1/") and path != "/v1/info":
        response.headers["X-Request-Id"] = request.request_id
    for name, value in crossing(request.META.get("HTTP_ORIGIN", "")).items():
        response.headers[name] = value
    return response


def crossing(origin: str) -> dict[str, str]:
    """What an answer to a page of `origin` carries, for its browser to hand it over."""
    if not origin.startswith(_LOCAL_ORIGINS):
        return {}
    return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}


def request_id(given: str) -> str:
    """The id of a request whose sender calls it `given`: that, if it may be logged, else ours."""
    usable = _REQUEST_ID.fullmatch(given) and scrub_text(given) == given
    return given if usable else str(uuid4())


def _answer(request: Call, path: str) -> HttpResponseBase:
    method = request.method
    if "\0" in path:
        return not_found(request)  # No id has one, and not every database takes it in a query.
    try:
        match = resolve(path.removesuffix("/"))
    except Resolver404:
        return not_found(request)
    try:
        if method == "HEAD":
            request.method = "GET"
        response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
    finally:
        request.method = method
    return not_found(request) if response.status_code == 405 else response
