"""What the OpenAPI document says of bodies: handlers read them themselves, after the key."""

from typing import Any

from pydantic import TypeAdapter


def takes(shape: TypeAdapter[Any]) -> dict[str, Any]:
    """`openapi_extra` of a route whose body is of `shape`."""
    schema = shape.json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return {"requestBody": {"content": {"application/json": {"schema": schema}}, "required": True}}
