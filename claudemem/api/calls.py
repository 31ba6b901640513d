"""What comes in: the request as handlers see it, who sends it, and its flags."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from ninja.security.base import AuthBase

from claudemem.api.errors import Unauthorized
from observations import keys, scopes
from observations.errors import Forbidden, InvalidInput
from observations.keys import Principal
from observations.scopes import Need


class Call(HttpRequest):
    """A request that came through the door and was authenticated."""

    auth: Principal
    request_id: str


class Needs(AuthBase):
    """Lets a caller pass whose key meets a need, before anything of the body is read.

    Raises Unauthorized without a key, Forbidden for a wrong or too narrow one.
    """

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __init__(self, need: Need) -> None:
        super().__init__()
        self.need = need

    def __call__(self, request: HttpRequest) -> Principal:
        raw = presented_key(request.META)
        if raw is None:
            raise Unauthorized
        principal = keys.authenticate(raw)
        if principal is None or not scopes.allows(principal.scopes, self.need):
            raise Forbidden("Invalid API key or insufficient scope")
        if principal.team_id is None:
            raise Forbidden("API key is not bound to a team")
        return principal


def caller(request: HttpRequest, need: Need) -> Principal | None:
    """Who calls a route that needs no key: None without one. Raises Forbidden for a wrong one."""
    return Needs(need)(request) if presented_key(request.META) else None


def presented_key(environ: dict[str, Any]) -> str | None:
    """The key in `Authorization: Bearer <key>`, else in `X-Api-Key: <key>`, if there is one."""
    match environ.get("HTTP_AUTHORIZATION", "").split(None, 1):
        case [scheme, key] if scheme.lower() == "bearer":
            return str(key.strip())
    return environ.get("HTTP_X_API_KEY", "").strip() or None


def team(request: Call) -> str:
    """The caller's team; `Needs` lets nobody pass without one."""
    team_id = request.auth.team_id
    assert team_id is not None
    return team_id


@dataclass(frozen=True, slots=True)
class Flags:
    """How an event is to be taken: with a job or without, and whether to wait for it."""

    generate: bool
    wait: bool


def flags(request: HttpRequest) -> Flags:
    """The flags of the query string. Raises InvalidInput for anything but true or false, once."""
    return Flags(generate=_flag(request, "generate", True), wait=_flag(request, "wait", False))


def _flag(request: HttpRequest, name: str, default: bool) -> bool:
    given = request.GET.getlist(name)
    if not given:
        return default
    if given not in (["true"], ["false"]):
        raise InvalidInput("expected true or false, once", (name,))
    return given == ["true"]


def origin(request: Call, source: str) -> dict[str, Any]:
    """Who asked for the work that follows, as it is kept with its job."""
    return {
        "source": source,
        "api_key_id": request.auth.api_key_id,
        "request_id": request.request_id,
    }
