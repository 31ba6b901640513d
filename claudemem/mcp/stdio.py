"""The protocol over standard input and output, for agents that start a program. No Django."""

import asyncio

from mcp.server.stdio import stdio_server

from claudemem.mcp import protocol
from claudemem.mcp.protocol import Backend


def serve(backend: Backend) -> None:
    """Serve until standard input ends. Nothing but the protocol goes to standard output."""
    asyncio.run(_served(backend))


async def _served(backend: Backend) -> None:
    server = protocol.server(backend)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())
