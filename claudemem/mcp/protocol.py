"""The server of the protocol's own library, over what lists the tools and what calls one.

Both transports serve this; they differ in who stands behind `Backend`.
"""

from importlib.metadata import version
from typing import Any, Protocol

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
)

from claudemem.mcp import catalogue
from claudemem.mcp.answers import Answer

Context = ServerRequestContext[Any, Any]


class Backend(Protocol):
    """Who stands behind the protocol."""

    def tools(self, context: Context) -> list[dict[str, Any]]:
        """What is listed for this caller."""

    async def call(self, context: Context, name: str, arguments: dict[str, Any]) -> Answer:
        """What the tool says; errors are answers."""


def server(backend: Backend) -> Server[Any]:
    """The protocol's server. It holds nothing of a call, so that all calls share it."""

    async def listed(context: Context, _: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[Tool.model_validate(each) for each in backend.tools(context)])

    async def called(context: Context, params: CallToolRequestParams) -> CallToolResult:
        answer = await backend.call(context, params.name, params.arguments or {})
        content = TextContent(type="text", text=answer.text)
        return CallToolResult(content=[content], is_error=answer.is_error)

    return Server(
        catalogue.NAME,
        version=version("claudemem"),
        instructions=catalogue.INSTRUCTIONS,
        on_list_tools=listed,
        on_call_tool=called,
    )
