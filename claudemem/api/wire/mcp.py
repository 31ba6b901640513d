"""Messages of the Model Context Protocol."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

MessageId = Annotated[str | int, Field(description="Its sender's name for it")]


JsonRpc = Annotated[Literal["2.0"], Field(description="The version of JSON-RPC")]


class McpMessage(TypedDict):
    """A message of JSON-RPC; one without `id` is not answered."""

    jsonrpc: JsonRpc
    id: NotRequired[MessageId]
    method: Annotated[str, Field(description="What is asked", examples=["tools/call"])]
    params: NotRequired[Annotated[dict[str, Any], Field(description="What it is asked with")]]


class McpError(TypedDict):
    """What is wrong with a message, or with the request that brought it."""

    code: Annotated[int, Field(description="Which error of JSON-RPC or of the protocol it is")]
    message: Annotated[str, Field(description="The same in words")]
    data: NotRequired[Annotated[Any, Field(description="What else is known of it")]]


class McpAnswer(TypedDict):
    """The answer to a message: its result, or what is wrong with it."""

    jsonrpc: JsonRpc
    id: Annotated[str | int | None, Field(description="That of the message; null if it had none")]
    result: NotRequired[Annotated[dict[str, Any], Field(description="What was asked for")]]
    error: NotRequired[Annotated[McpError, Field(description="What went wrong")]]
