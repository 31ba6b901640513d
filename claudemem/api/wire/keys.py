"""Keys, and how to connect with one."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from claudemem.api.wire.fields import Id, Moment, NextCursor, one_of

McpUrl = Annotated[
    str,
    Field(description="Where MCP clients connect", examples=["http://127.0.0.1:37877/v1/mcp"]),
]
ConnectCommand = Annotated[str, Field(description="What connects Claude Code with it")]


class KeyMade(TypedDict):
    """A key that was just made. It cannot be had again."""

    id: Id
    apiKey: str
    scopes: list[str]
    expiresAt: Moment | None
    mcpUrl: McpUrl
    connectCommand: ConnectCommand


class Connect(TypedDict):
    """How to connect, with a place for a key."""

    mcpUrl: McpUrl
    connectCommand: ConnectCommand
    hint: str


class Key(TypedDict):
    """What is known of a key."""

    id: Id
    name: Annotated[str, Field(description="What it is for")]
    teamId: str | None
    projectId: Annotated[str | None, Field(description="null: all projects of the team")]
    scopes: list[str]
    status: Annotated[str, one_of("active", "expired", "revoked", description="Whether it works")]
    lastUsedAt: Annotated[Moment | None, Field(description="To the minute")]
    expiresAt: Moment | None
    createdAt: Moment


class OneKey(TypedDict):
    """A key."""

    key: Key


class KeysPage(TypedDict):
    """A page of keys, newest first."""

    keys: list[Key]
    nextCursor: NextCursor


class KeyRevoked(TypedDict):
    """A key that works no more."""

    id: Id
    status: Annotated[Literal["revoked"], Field(description="It works no more")]
