"""Keys, and how to connect with one: hand on, list, look at, revoke. Never the keys themselves."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Final

from django.conf import settings
from django.utils import timezone
from ninja import Router
from pydantic import AfterValidator, Field, TypeAdapter
from pydantic_core import PydanticCustomError

from claudemem.api import asking, bodies, entities, pages, reach, wire
from claudemem.api.answers import Answer, iso_or_none
from claudemem.api.asking import Flag
from claudemem.api.calls import Call, Needs, origin, team
from claudemem.api.documents import says
from claudemem.api.pages import PageQuery
from claudemem.api.shapes import Body, Whole
from observations import keys, listings, scopes
from observations.errors import InvalidInput, NotFound
from observations.listings import KEYS
from observations.models import ApiKey

router = Router(tags=["keys"])

UNNAMED: Final = "mcp"
# What an answer that holds a key, or is one's own, must not be kept by.
UNKEPT: Final = {"Cache-Control": "no-store"}
_YOURS = "<YOUR_API_KEY>"
_HINT = "POST /v1/keys (write scope) to mint a read-only key for this link."
# It ends up in a command that somebody pastes: nothing else is let through.
_HOST = re.compile(r"(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?")


def _printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("unprintable", "must have printable characters alone")
    return text


class KeyBody(Body):
    """What a key is for, and how long it works; for ever if that is not said."""

    label: Annotated[str, Field(max_length=120), AfterValidator(_printable)] | None = None
    expires_in_days: Annotated[Whole, Field(ge=1, le=365)] | None = None

    @property
    def ends(self) -> datetime | None:
        """Until when it works."""
        days = self.expires_in_days
        return timezone.now() + timedelta(days=days) if days else None


class KeysQuery(PageQuery):
    """Which keys are listed: all, or those that work."""

    active: Flag = False


MINT = TypeAdapter(KeyBody)
EXAMPLE = {"label": "ada, laptop", "expiresInDays": 90}


@router.post(
    "/keys",
    auth=Needs(scopes.MANAGE_KEYS),
    openapi_extra=says(takes=MINT, example=EXAMPLE, answers={201: wire.keys.KeyMade}),
)
def mint(request: Call) -> Answer[wire.keys.KeyMade]:
    """Make a key that reads what the caller's key reaches. It is shown here and never again.

    It ends with the caller's key at the latest. Not with a key that may not read itself.
    """
    body = bodies.read(request, MINT)
    url = _mcp_url(request)
    name = (body.label or "").strip() or UNNAMED
    asked = origin(request, "http_post_v1_keys")
    made = keys.link(request.auth, name, expires_at=body.ends, origin=asked)
    told: wire.keys.KeyMade = {
        "id": made.key.id,
        "apiKey": made.raw,
        "scopes": made.key.scopes,
        "expiresAt": iso_or_none(made.key.expires_at),
        "mcpUrl": url,
        "connectCommand": _command(url, made.raw),
    }
    return Answer(told, status=201, headers=UNKEPT)


@router.get(
    "/keys",
    auth=Needs(scopes.MANAGE_KEYS),
    openapi_extra=says(query=KeysQuery, answers={200: wire.keys.KeysPage}),
)
def show_all(request: Call) -> Answer[wire.keys.KeysPage]:
    """The keys of the caller's team, or of the project that its key is bound to; newest first."""
    asked, now = asking.read(request, KeysQuery), timezone.now()
    bound_to = pages.about("keys", [team(request), request.auth.project_id], asked)
    rows = reach.keys(request.auth)
    rows = keys.working(rows) if asked.active else rows
    found = listings.page(rows, KEYS, pages.window(asked, bound_to, KEYS.sorts))
    told = [entities.key(row, now) for row in found.rows]
    return Answer({"keys": told, "nextCursor": pages.cursor(found.goes_on, bound_to)})


@router.get(
    "/keys/{key_id}",
    auth=Needs(scopes.MANAGE_KEYS),
    openapi_extra=says(answers={200: wire.keys.OneKey}),
)
def show(request: Call, key_id: str) -> Answer[wire.keys.OneKey]:
    """One key."""
    return Answer({"key": entities.key(_found(request, key_id), timezone.now())})


@router.delete(
    "/keys/{key_id}",
    auth=Needs(scopes.MANAGE_KEYS),
    openapi_extra=says(answers={200: wire.keys.KeyRevoked}),
)
def revoke(request: Call, key_id: str) -> Answer[wire.keys.KeyRevoked]:
    """Make a key useless, from the next request on. Not one that may do more than the caller's."""
    key = _found(request, key_id)
    keys.withdraw(request.auth, key, origin=origin(request, "http_delete_v1_keys"))
    return Answer({"id": key.id, "status": "revoked"})


@router.get(
    "/connect",
    auth=Needs(scopes.READ_MEMORY),
    openapi_extra=says(answers={200: wire.keys.Connect}, refusals=(InvalidInput,)),
)
def connect(request: Call) -> Answer[wire.keys.Connect]:
    """How an agent's MCP client is connected with this server, but for the key."""
    url = _mcp_url(request)
    told: wire.keys.Connect = {
        "mcpUrl": url,
        "connectCommand": _command(url, _YOURS),
        "hint": _HINT,
    }
    return Answer(told, headers=UNKEPT)


def _found(request: Call, key_id: str) -> ApiKey:
    key = reach.keys(request.auth).filter(pk=key_id).first()
    if key is None:
        raise NotFound("API key not found")
    return key


def _mcp_url(request: Call) -> str:
    """Where the caller finds the tools: at the public address, else where it called.

    Raises InvalidInput for a Host that is none.
    """
    if settings.PUBLIC_URL:
        return f"{settings.PUBLIC_URL}/v1/mcp"
    host = request.META.get("HTTP_HOST", "")
    if not _HOST.fullmatch(host):
        raise InvalidInput("The Host header must name a host, and a port if it likes", ("Host",))
    return f"{request.scheme}://{host}/v1/mcp"


def _command(url: str, key: str) -> str:
    header = f'--header "Authorization: Bearer {key}"'
    return f"claude mcp add --transport http claude-mem {url} {header}"
