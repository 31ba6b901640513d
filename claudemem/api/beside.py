"""Routes that another server than Django's answers on the same port: the document has them too."""

from pydantic import TypeAdapter

from claudemem.api import queries, wire
from claudemem.api.documents import Media, Route, Said
from claudemem.api.errors import TooManyListeners
from observations import scopes

_MCP = Said(
    takes=TypeAdapter(wire.McpMessage | list[wire.McpMessage]),
    answers={
        200: wire.McpAnswer | list[wire.McpAnswer],
        202: None,
        400: wire.McpAnswer,
        404: wire.McpAnswer,
        406: wire.McpAnswer,
        408: wire.McpAnswer,
        415: wire.McpAnswer,
    },
)

_STREAM = Said(
    query=queries.Listening,
    answers={200: Media("text/event-stream", "retry: 2000\n\n")},
    refusals=(TooManyListeners,),
)

_MCP_STREAM = Said(
    answers={
        200: Media("text/event-stream", ": nothing comes here\n\n"),
        400: wire.McpAnswer,
        406: wire.McpAnswer,
    }
)

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "/v1/mcp",
        "mcpSpeak",
        ("mcp",),
        "Speak the Model Context Protocol.\n\nA message of JSON-RPC, or a batch of at most 50. "
        "`Accept` must have `application/json` and `text/event-stream`. No session is kept, and "
        "`initialize` is not needed. A tool that fails says so in its result.",
        scopes.READ_MEMORY,
        _MCP,
    ),
    Route(
        "GET",
        "/v1/mcp",
        "mcpListen",
        ("mcp",),
        "Open a stream on which nothing comes, for clients that ask for one.",
        scopes.READ_MEMORY,
        _MCP_STREAM,
    ),
    Route(
        "GET",
        "/v1/stream",
        "streamListen",
        ("stream",),
        "Listen to what happens, as it happens.\n\nServer-sent events. One that comes back with "
        "the id of the last one that it got, in `Last-Event-ID`, misses and repeats nothing.",
        scopes.READ_MEMORY,
        _STREAM,
    ),
)
