"""The OpenAPI document, made of what routes say of themselves and of the table of errors."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

from claudemem.api.documents import Media, Route
from claudemem.api.errors import (
    INVALID,
    TABLE,
    TOO_SLOW,
    Kind,
    TooLarge,
    Unauthorized,
    UnknownEncoding,
)
from claudemem.api.schemas import Json, Shapes, header_parameter, parameters, path_parameter
from observations.errors import Forbidden, InvalidInput, NotFound, StorageAway

_JSON: Final = "application/json"
_SCHEMES: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "`Authorization: Bearer <key>`; it counts where both are sent",
    },
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Api-Key",
        "description": "`X-Api-Key: <key>`",
    },
}
_EITHER: Final[list[Json]] = [{name: []} for name in _SCHEMES]
_HEADERS: Final = {
    "X-Request-Id": "The name of this request in the log and the audit: the one that it was sent "
    "with, or one that was made for it",
    "Retry-After": "After how many seconds to try again",
    "WWW-Authenticate": "How a key is sent",
    "X-RateLimit-Limit": "How many requests this key may make in a minute",
    "X-RateLimit-Remaining": "How many of them are left",
    "X-RateLimit-Reset": "When they are counted from nothing again, in seconds since 1970",
}
_KEYLESS: Final = (
    "Where `CLAUDE_MEM_LOCAL_PROJECT` names a project, programs of the server's machine need none."
)
# What each word of the table is told for; a route may add to it in its own text.
_WORDS: Final = {
    "Unauthorized": "No key was sent",
    "Forbidden": "The key is wrong or too narrow, or what is asked for is another's",
    "NotFound": "There is none, or none that the key may reach",
    "Conflict": "Its state does not allow it",
    "PreconditionFailed": "It was changed since the caller read it",
    "ValidationError": "Something in the request is not as it must be",
    "PayloadTooLarge": "The body is larger than 5 MB, or what it inflates to is",
    "UnsupportedMediaType": "The body is compressed in a way that cannot be undone here",
    "RequestTimeout": "The body did not arrive in time",
    "BadRequest": "This cannot be done with this key",
    "quota_exceeded": "The team has used up what it may use in this month",
    "rate_limited": "There were too many requests in this minute: by the key, or from one place "
    "without a key that works",
    "ServiceUnavailable": "The database is locked or away: nothing was stored, try again",
}
_TAGS: Final = {
    "hooks": "What agents post by themselves",
    "events": "What happened, as clients report it",
    "sessions": "Runs of an agent in a project",
    "search": "Finding observations by plain words",
    "memories": "The same observations, under an older name and with fewer keys",
    "jobs": "The work that makes observations of events",
    "observations": "What was made of events, or told to be kept",
    "projects": "What a team works on",
    "audit": "Who saw or changed what",
    "keys": "Keys, and how an agent is connected with one",
    "usage": "How much of what it may use a team has used",
    "stream": "What happens, as it happens",
    "mcp": "The tools of agents, by the Model Context Protocol",
    "claude-mem": "What hooks and tools of claude-mem ask of a worker on their machine",
    "operators": "For whoever runs the server, on its own machine alone",
    "status": "How the server is; no key is needed",
}
_ABOUT: Final = """The memory of coding agents: events in, observations out.

Times are integer milliseconds since 1970. Bodies are JSON, may be compressed with gzip or deflate,
and are at most 5 MB; keys that are not known are dropped, and of a key that is there twice the last
counts. Every GET answers HEAD too, and a slash at the end of an address changes nothing.

In the examples, put the id of a project of yours: `GET /v1/projects` tells it.
"""


def document(routes: Sequence[Route], *, version: str) -> Json:
    """The document of these routes, of a program of that version."""
    writer = _Writer(routes)
    paths: dict[str, Json] = defaultdict(dict)
    for route in routes:
        paths[route.path][route.method.lower()] = writer.operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "claudemem",
            "version": version,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The server that this document comes from"}],
        "tags": _tags(routes),
        "paths": dict(paths),
        "components": writer.components(),
    }


def refusals(route: Route) -> list[Kind]:
    """The errors that a route may answer: its own, and what follows from what it asks for."""
    raised: list[type[Exception]] = []
    if route.need is not None:
        raised += [Unauthorized]
    if route.need is not None or route.said.with_key:
        raised += [Forbidden, StorageAway, *_limits()]
    if "{" in route.path:
        raised += [NotFound]
    if route.said.takes:
        raised += [TooLarge, UnknownEncoding]
    errors = (*raised, *route.said.refusals)
    found = [INVALID if each is InvalidInput else TABLE[each] for each in errors]
    if route.said.takes or route.said.query:
        found.append(INVALID)
    if route.said.takes:
        found.append(TOO_SLOW)
    return sorted({each.error: each for each in found}.values(), key=lambda each: each.status)


def _limits() -> list[type[Exception]]:
    """What a key may have too much of."""
    return [error for error, kind in TABLE.items() if kind.status in (402, 429)]


def _tags(routes: Sequence[Route]) -> list[Json]:
    names = dict.fromkeys(tag for route in routes for tag in route.tags)
    return [{"name": name, "description": _TAGS.get(name, "")} for name in names]


class _Writer:
    """Writes operations, and notes what they have in common."""

    def __init__(self, routes: Sequence[Route]) -> None:
        said = [route.said for route in routes]
        answered = [shape for each in said for shape in each.answers.values()]
        answered += [kind.shape for route in routes for kind in refusals(route)]
        self._shapes = Shapes(
            (each.takes for each in said if each.takes),
            (shape for shape in answered if shape and not isinstance(shape, Media)),
        )
        self._limited = bool(_limits())
        self._responses: dict[str, Json] = {}

    def components(self) -> Json:
        """What operations refer to; complete once all are written."""
        return {
            "schemas": dict(sorted(self._shapes.shared.items())),
            "responses": dict(sorted(self._responses.items())),
            "headers": {
                name: {"description": words, "schema": {"type": "string"}}
                for name, words in _HEADERS.items()
                if self._limited or "RateLimit" not in name
            },
            "securitySchemes": _SCHEMES,
        }

    def operation(self, route: Route) -> Json:
        """One method of one path."""
        said = route.said
        names = re.findall(r"{(\w+)}", route.path)
        told: Json = {
            "operationId": route.name,
            "tags": list(route.tags),
            "summary": route.text.partition("\n")[0].removesuffix("."),
            "description": _description(route),
            "security": _security(route),
            "parameters": [
                *map(path_parameter, names),
                *(parameters(said.query) if said.query else ()),
                *(header_parameter(name, words) for name, words in said.asks.items()),
            ],
        }
        if said.takes:
            body: Json = {"schema": self._shapes.taken(said.takes)}
            if said.example is not None:
                body["example"] = said.example
            told["requestBody"] = {"required": True, "content": {_JSON: body}}
        told["responses"] = self._answers(route)
        return told

    def _answers(self, route: Route) -> Json:
        kinds: dict[int, list[Kind]] = defaultdict(list)
        for kind in refusals(route):
            kinds[kind.status].append(kind)
        statuses = sorted({*kinds, *route.said.answers})
        return {str(status): self._answer(route, status, kinds[status]) for status in statuses}

    def _answer(self, route: Route, status: int, kinds: Sequence[Kind]) -> Json:
        if status not in route.said.answers and len(kinds) == 1:
            return self._shared(kinds[0])
        shapes = [kind.shape for kind in kinds]
        if status in route.said.answers:
            shapes = [route.said.answers[status], *shapes]
        own = {
            name: {"description": words, "schema": {"type": "string"}}
            for name, words in route.said.headers.items()
            if status < 300
        }
        usual = "Done" if status < 400 else HTTPStatus(status).phrase
        words = "; ".join(_WORDS.get(kind.error, kind.error) for kind in kinds) or usual
        headers = {**_refer(self._of_all(keyed=route.need is not None)), **own}
        return {"description": words, "headers": headers, "content": self._content(shapes)}

    def _shared(self, kind: Kind) -> Json:
        """A refusal that is the same wherever it is told."""
        name = "".join(word[0].upper() + word[1:] for word in kind.error.split("_"))
        headers = [*self._of_all(keyed=kind.status != 401), *(kind.headers or {})]
        self._responses[name] = {
            "description": _WORDS.get(kind.error, kind.error),
            "headers": _refer(headers),
            "content": self._content([kind.shape]),
        }
        return {"$ref": f"#/components/responses/{name}"}

    def _content(self, shapes: Iterable[Any]) -> Json:
        content: Json = {}
        schemas = []
        for shape in dict.fromkeys(shapes):
            if shape is None:
                continue  # an answer without a body
            if isinstance(shape, Media):
                content[shape.type] = {"schema": {"type": "string"}, "example": shape.example}
            else:
                schemas.append(self._shapes.answered(shape))
        if schemas:
            content[_JSON] = {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}
        return content

    def _of_all(self, *, keyed: bool) -> list[str]:
        limited = keyed and self._limited
        return [name for name in _HEADERS if name == "X-Request-Id" or (limited and "Rate" in name)]


def _refer(headers: Iterable[str]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in headers}


def _security(route: Route) -> list[Json]:
    if route.need is not None and not route.keyless:
        return _EITHER
    return [*_EITHER, {}] if route.keyless or route.said.with_key else []


def _description(route: Route) -> str:
    """What the text says beyond its first line, and which scopes are enough."""
    more = route.text.partition("\n")[2].strip()
    need = route.need if route.need is not None else route.said.with_key
    if not need:
        return more
    scopes = ", ".join(f"`{scope}`" for scope in sorted(need))
    words = "Needs a key with" if route.need else "May be sent a key, then with"
    unless = f" {_KEYLESS}" if route.keyless else ""
    return f"{more}\n\n{words} any of the scopes {scopes}.{unless}".strip()
