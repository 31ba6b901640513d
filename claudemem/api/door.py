"""The outermost middleware: what every answer carries, and the short way to the API.

API calls have no cookies, sessions or CSRF tokens: they go straight to their view. Everything else
takes the long way through the browser's middlewares.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, ResolverMatch, resolve
from django.utils.cache import patch_vary_headers
from uuid_utils import uuid4

from claudemem import headers, leaving
from claudemem.api import crossorigin
from claudemem.api.admission import FREELY
from claudemem.api.answers import Answer
from claudemem.api.calls import Call
from claudemem.api.errors import not_found
from observations.privacy import scrub_text

API: Final = ("/v1/", "/api/", "/healthz", "/readyz")
HEADERS: Final = headers.SECURITY
_LONGEST: Final = max(map(len, API))


class Door:
    """Django middleware; the first in the list."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._browser = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        call = cast(Call, request)
        call.request_id = request_id(request.META.get("HTTP_X_REQUEST_ID", ""))
        if path.startswith(API) or request.method == "OPTIONS" or _is_api(path):
            response = _called(call, path)
        else:
            response = self._browser(request)
            response.headers.setdefault(headers.POLICY, headers.PAGES)
        for name, value in HEADERS.items():
            if name not in response.headers or isinstance(response, Answer):
                response.headers[name] = value
        response.headers[headers.REQUEST_ID] = call.request_id
        if leaving.begun.is_set():
            response.headers["Connection"] = "close"
        return response


def request_id(given: str) -> str:
    """What a request is called: as its caller says, or by a name of its own if that is unfit."""
    usable = headers.A_REQUEST_ID.fullmatch(given) and scrub_text(given) == given
    return given if usable else str(uuid4())


def _called(request: Call, path: str) -> HttpResponseBase:
    if request.method == "OPTIONS":
        response: HttpResponseBase = HttpResponse(status=204, headers=_preflight(request.META))
    else:
        response = _answer(request, path)
        environ = request.META
        told = crossing(environ.get("HTTP_ORIGIN", ""), environ.get("HTTP_HOST", ""))
        patch_vary_headers(response, [told.pop("Vary")])
        for name, value in told.items():
            response.headers[name] = value
        for name, value in vars(request).get("admitted", FREELY).headers.items():
            response.headers[name] = value
    return response


def crossing(origin: str, host: str) -> dict[str, str]:
    """What an answer to `origin` from the server called as `host` says of who may read it."""
    return crossorigin.headers_for(origin, host, settings.CORS_ORIGINS)


def _preflight(environ: Mapping[str, Any]) -> dict[str, str]:
    return crossorigin.preflight(
        environ.get("HTTP_ORIGIN", ""),
        environ.get("HTTP_HOST", ""),
        settings.CORS_ORIGINS,
        asked=environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", ""),
        private=environ.get("HTTP_ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK") == "true",
    )


def _answer(request: Call, path: str) -> HttpResponseBase:
    method = request.method
    if "\0" in path:
        return not_found(request)  # No id has one, and not every database takes it in a query.
    try:
        match = _resolved(path.removesuffix("/"))
    except Resolver404:
        return not_found(request)
    try:
        if method == "HEAD":
            request.method = "GET"
        response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
    finally:
        request.method = method
    return not_found(request) if response.status_code == 405 else response


def _is_api(path: str) -> bool:
    """Whether it is an address of the API in other letters."""
    return path[:_LONGEST].lower().startswith(API)


def _resolved(path: str) -> ResolverMatch:
    """The route, whose words may be written in any case. What stands for an id stays as it is."""
    try:
        return resolve(path)
    except Resolver404:
        if path.islower():
            raise
    words = resolve(path.lower()).route.split("/")
    given = path.removeprefix("/").split("/")
    pairs = zip(words, given, strict=True)
    return resolve("/" + "/".join(had if word.startswith("<") else word for word, had in pairs))
