"""JSON schemas of what goes in and out, made together so that what they share has one name."""

from collections.abc import Iterable
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from claudemem.api.words import MEANING, explained

Json = dict[str, Any]

_BOUNDS: Final = {"ge": "minimum", "le": "maximum"}


class _Plain(GenerateJsonSchema):
    """Without a title for each field: it would only be the field's name once more."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


class Shapes:
    """The schemas of some bodies and answers; `shared` has those that they refer to, by name."""

    def __init__(self, taken: Iterable[TypeAdapter[Any]], answered: Iterable[Any]) -> None:
        made: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = [
            *((shape, "validation", shape) for shape in dict.fromkeys(taken)),
            *((shape, "serialization", TypeAdapter(shape)) for shape in dict.fromkeys(answered)),
        ]
        self._of, shared = TypeAdapter.json_schemas(
            made, ref_template="#/components/schemas/{model}", schema_generator=_Plain
        )
        self.shared = {
            name: explained(_bounded(schema)) for name, schema in shared.get("$defs", {}).items()
        }

    def taken(self, shape: TypeAdapter[Any]) -> Json:
        """The schema of a body."""
        return self._of[shape, "validation"]

    def answered(self, shape: Any) -> Json:
        """The schema of an answer."""
        return self._of[shape, "serialization"]


def parameters(query: Any) -> list[Json]:
    """What a query may say: the fields of a class, each as a parameter."""
    schema = _bounded(TypeAdapter(query).json_schema(schema_generator=_Plain))
    required = schema.get("required", ())
    return [
        _parameter("query", name, field, name in required)
        for name, field in schema["properties"].items()
    ]


def path_parameter(name: str) -> Json:
    """A part of the path; there is one of which nothing is known but that it is there."""
    words = f"The {name.removesuffix('_id').replace('_', ' ')}'s id"
    return _parameter("path", name, {"type": "string", "description": words}, True)


def header_parameter(name: str, words: str) -> Json:
    """A header that a caller may send."""
    return _parameter("header", name, {"type": "string", "description": words}, False)


def _bounded(schema: Any) -> Any:
    """The schema with the bounds of a number under their names in JSON Schema.

    Where something looks at a number before its bounds are, pydantic leaves its own.
    """
    if isinstance(schema, list):
        return [_bounded(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    named = _BOUNDS if schema.get("type") == "integer" else {}
    return {named.get(name, name): _bounded(each) for name, each in schema.items()}


def _parameter(place: str, name: str, field: Json, required: bool) -> Json:
    field = dict(field)
    words = field.pop("description", MEANING.get(name, ""))
    told = {"name": name, "in": place, "required": required, "schema": field}
    return {**told, "description": words} if words else told
