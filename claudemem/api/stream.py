"""GET /v1/stream: what it is asked for, and how it is documented.

Whoever listens is answered by `claudemem.stream`, beside Django. Only who asks for the headers
alone comes here, and who calls Django by another server than ours: that is told to come back.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import parse_qs

from django.http import HttpResponse
from ninja import Router
from pydantic import Field
from typing_extensions import TypedDict

from claudemem.api import reach
from claudemem.api.calls import Call, Needs
from claudemem.api.documents import Media, says
from claudemem.api.errors import TooManyListeners
from observations import scopes
from observations.errors import InvalidInput
from observations.journal import Place
from observations.keys import Principal

router = Router(tags=["stream"])

EVENT, OBSERVATION, SUMMARY, JOB, QUEUE = TYPES = (
    "event", "observation", "summary", "job", "queue",
)  # fmt: skip
MEDIA: Final = "text/event-stream"
# So long (ms) clients wait before they come back.
RETRY: Final = "retry: 2000\n\n"
HEADERS: Final = {
    "Content-Type": f"{MEDIA}; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    # Proxies that know it pass on what they get when they get it.
    "X-Accel-Buffering": "no",
    # Who comes back is to find whoever serves the address then.
    "Connection": "close",
}
_EXAMPLE: Final = f"""{RETRY}id: 8-1795361784929643
event: ready
data: {{"cursor":"8-1795361784929643"}}

"""
_FORM = re.compile(r"(\d{1,18})-(\d{1,18})(?:-(\d{1,6}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cursor:
    """After `seen` items of the entry at `place`; after all of them where `seen` is None."""

    place: Place
    seen: int | None = None

    def covers(self, other: "Cursor") -> bool:
        """Whether whoever is here has seen the item at `other`, of this entry or a later one."""
        if other.place.number != self.place.number or self.seen is None:
            return False
        return other.seen is not None and other.seen <= self.seen

    def __str__(self) -> str:
        whole = f"{self.place.number}-{self.place.moment}"
        return whole if self.seen is None else f"{whole}-{self.seen}"


def parse(text: str) -> Cursor:
    """The cursor that was told as `text`. Raises InvalidInput."""
    found = _FORM.fullmatch(text)
    if not found:
        raise InvalidInput("expected the id of an item of this stream", ("cursor",))
    number, moment, seen = found.groups()
    return Cursor(Place(int(number), int(moment)), int(seen) if seen else None)


@dataclass(frozen=True, slots=True)
class Wish:
    """Whose key it is, and what of that it asked for: one project or all, these types."""

    principal: Principal
    team_id: str
    project_id: str | None
    types: frozenset[str]


class StreamQuery(TypedDict, total=False):
    """What to hear of, and from where on."""

    projectId: Annotated[str, Field(description="One project, not all that the key reaches")]
    types: Annotated[
        str, Field(description=f"Some of `{','.join(TYPES)}`", examples=["observation,summary"])
    ]
    cursor: Annotated[
        str, Field(description="The id of the last item that was seen, if no `Last-Event-ID` is")
    ]


@router.get(
    "/stream",
    operation_id="streamListen",
    auth=Needs(scopes.READ_STREAM),
    openapi_extra=says(
        query=StreamQuery, answers={200: Media(MEDIA, _EXAMPLE)}, refusals=(TooManyListeners,)
    ),
)
def stream(request: Call) -> HttpResponse:
    """What happens, as it happens: events, observations, summaries, jobs, the depth of the queue.

    Server-sent events, without an end. Each item has an id; who comes back with the last one as
    `Last-Event-ID` misses nothing and hears nothing again.
    """
    environ = request.META
    asked(request.auth, environ["QUERY_STRING"], environ.get("HTTP_LAST_EVENT_ID", ""))
    return HttpResponse(RETRY, headers={k: v for k, v in HEADERS.items() if k != "Connection"})


def asked(principal: Principal, query: str, last_id: str) -> tuple[Wish, Cursor | None]:
    """What is to be heard, and from where on. Raises InvalidInput, Forbidden."""
    given = parse_qs(query, keep_blank_values=True)
    project_id = _one(given, "projectId") or None
    if project_id is not None:
        project_id = reach.project(principal, project_id)
    assert principal.team_id is not None
    wish = Wish(principal, principal.team_id, project_id or principal.project_id, _types(given))
    told = last_id or _one(given, "cursor")
    return wish, parse(told) if told else None


def _one(given: Mapping[str, list[str]], name: str) -> str:
    values = given.get(name, [""])
    if len(values) > 1:
        raise InvalidInput("expected once", (name,))
    return values[0]


def _types(given: Mapping[str, list[str]]) -> frozenset[str]:
    named = frozenset(filter(None, _one(given, "types").split(",")))
    if not named <= set(TYPES):
        raise InvalidInput(f"expected some of {','.join(TYPES)}", ("types",))
    return named or frozenset(TYPES)
