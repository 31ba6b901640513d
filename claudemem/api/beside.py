"""Routes that another server than Django's answers on the same port: the document has them too."""

from pydantic import TypeAdapter

from claudemem.api import wire
from claudemem.api.documents import Media, Route, Said
from claudemem.api.errors import TooManyListeners
from observations import scopes
from observations.errors import NotFound

_MCP = Said(
    takes=TypeAdapter(wire.mcp.McpMessage | list[wire.mcp.McpMessage]),
    answers={
        200: wire.mcp.McpAnswer | list[wire.mcp.McpAnswer],
        202: None,
        400: wire.mcp.McpAnswer,
        404: wire.mcp.McpAnswer | wire.problems.Problem,
        406: wire.mcp.McpAnswer,
        408: wire.mcp.McpAnswer,
        415: wire.mcp.McpAnswer,
    },
    example={
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "projects"},
    },
)
_OPEN = Said(
    answers={
        200: Media("text/event-stream", ": \n\n"),
        400: wire.mcp.McpAnswer,
        406: wire.mcp.McpAnswer,
    },
    refusals=(NotFound, TooManyListeners),
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
        "mcpOpen",
        ("mcp",),
        "Open a stream on which nothing comes.\n\nIt is for clients of older revisions of the "
        "Model Context Protocol, which ask for one. `Accept` must have `text/event-stream`.",
        scopes.READ_MEMORY,
        _OPEN,
    ),
)
