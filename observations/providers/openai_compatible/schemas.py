"""The form of an answer as a JSON schema, for models that keep to one."""

from typing import Any

from observations.modes import Field, Mode
from observations.prompts import known_fields

_TEXT = {"type": "string"}
_NUMBERS = {"type": "array", "items": {"type": "integer"}}


def response_format(task: str, mode: Mode) -> dict[str, Any]:
    """What is sent as `response_format`: strict, so every field is there, empty or not."""
    fields = known_fields(mode, task)
    if task == "summarise":
        schema = _object({field.id: _TEXT for field in fields})
    else:
        one = {field.id: _field(field, mode) for field in fields}
        items = _object({**one, "events": _NUMBERS})
        schema = _object({"observations": {"type": "array", "items": items}})
    name = "summary" if task == "summarise" else "observations"
    described = {"name": name, "strict": True, "schema": schema}
    return {"type": "json_schema", "json_schema": described}


def _field(field: Field, mode: Mode) -> dict[str, Any]:
    allowed = {"type": mode.type_ids, "concepts": mode.concept_ids}.get(field.id)
    text = {**_TEXT, "enum": list(allowed)} if allowed else _TEXT
    return {"type": "array", "items": text} if field.many else text


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
