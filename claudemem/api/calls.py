"""What comes in: the request as handlers see it, who sends it, and its flags."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from ninja.security.base import AuthBase

from claudemem.api import admission, peers
from claudemem.api.admission import Admitted
from claudemem.api.errors import TooManyFailures, Unauthorized
from claudemem.api.peers import Caller as Caller
from claudemem.attempts import Attempts
from observations import keys, lastused, scopes
from observations.errors import Forbidden, InvalidInput
from observations.keys import Principal
from observations.scopes import Need

REFUSED = "Invalid API key or insufficient scope"
ONLY_HERE = "This is only accessible from localhost"

failures = Attempts("the API", 60.0)


class Call(HttpRequest):
    """A request that came through the door and was authenticated."""

    auth: Principal
    admitted: Admitted
    request_id: str


class Needs(AuthBase):
    """Lets a caller pass whose key meets a need, before anything of the body is read.

    Raises what `let_in` does.
    """

    openapi_type = "http"
    openapi_scheme = "bearer"
    # Whether programs of this machine may be let in without one.
    keyless = False

    def __init__(self, need: Need) -> None:
        super().__init__()
        self.need = need

    def __call__(self, request: HttpRequest) -> Principal:
        principal, admitted = let_in(Caller.of_environ(request.META), self.need)
        request.admitted = admitted  # type: ignore[attr-defined]  # it is a Call from here on
        return principal


class Loopback:
    """Lets programs of this machine pass, without a key. Raises Forbidden with `refusal`.

    No page of a browser may come this way, unless it is one of this server.
    """

    def __init__(self, refusal: str = ONLY_HERE) -> None:
        self.refusal = refusal

    def __call__(self, request: HttpRequest) -> object:
        caller = Caller.of_environ(request.META)
        if not peers.local(caller) or peers.foreign(caller):
            raise Forbidden(self.refusal)
        return caller


def let_in(caller: Caller, need: Need) -> tuple[Principal, Admitted]:
    """Who calls, if that may do what needs `need` now, and what the answer must carry.

    These are all checks that need no body, in their order.
    Raises what `recognised` and `admission.admit` do.
    """
    principal = recognised(caller, need)
    return principal, admission.admit(principal, writes=scopes.writes(need))


def recognised(caller: Caller, need: Need) -> Principal:
    """Who calls, if the caller may do what needs `need`; whether now, `admission` says.

    Raises Unauthorized without a key, Forbidden for a wrong or too narrow one, TooManyFailures
    after many of either from one place.
    """
    principal = _identified(caller)
    if principal is None:
        _count_failure(caller)
        raise Unauthorized if caller.raw is None else Forbidden(REFUSED)
    if not scopes.allows(principal.scopes, need):
        raise Forbidden(REFUSED)
    if principal.team_id is None:
        raise Forbidden("API key is not bound to a team")
    return principal


def _identified(caller: Caller) -> Principal | None:
    if caller.raw is not None:
        principal = keys.authenticate(caller.raw)
        if principal and principal.api_key_id:
            lastused.shared.seen(principal.api_key_id)
        return principal
    if settings.LOCAL_DEV and peers.local(caller) and not peers.foreign(caller):
        return keys.unkeyed()
    return None


def _count_failure(caller: Caller) -> None:
    """Raise TooManyFailures for who goes on without a key that works. A key that does passes."""
    place = peers.site(caller)
    if seconds := failures.fail(place, settings.FAILED_CALLS_PER_MIN):
        raise TooManyFailures(seconds)


def holder(request: HttpRequest, need: Need) -> Principal | None:
    """Who calls a route that needs no key: None without one. Raises Forbidden for a wrong one."""
    return Needs(need)(request) if Caller.of_environ(request.META).raw else None


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


_USUAL = Flags(generate=True, wait=False)


def flags(request: HttpRequest) -> Flags:
    """The flags of the query string. Raises InvalidInput for anything but true or false, once."""
    if not request.META.get("QUERY_STRING"):
        return _USUAL
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
    return origin_of(request.auth, request.request_id, source)


def origin_of(principal: Principal, request_id: str, source: str) -> dict[str, Any]:
    """The same of a call that is no request of Django's."""
    key = principal.api_key_id
    asked = {"source": source, "api_key_id": key, "request_id": request_id}
    return asked if key else {**asked, "actor_id": keys.UNKEYED}
