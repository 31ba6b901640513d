"""An event's payload in a line: what a reader of a list needs to recognise it. Pure."""

from collections.abc import Mapping

LONGEST = 140

# The one value that tells most, in the order in which it is looked for.
_OF_TOOL = ("command", "file_path", "pattern", "query", "url", "path", "description", "prompt")
_OF_EVENT = ("prompt", "error", "last_assistant_message", "message", "reason", "source", "trigger")


def gist(payload: object) -> str:
    """What the payload is about, on one line of at most LONGEST characters; "" if unknown."""
    if not isinstance(payload, Mapping):
        return _line(payload) if isinstance(payload, str) else ""
    tool = payload.get("tool_name")
    if not isinstance(tool, str) or not tool:
        return _line(_first(payload, _OF_EVENT))
    return _line(f"{tool}: {_first(payload.get('tool_input'), _OF_TOOL)}".rstrip(": "))


def _first(values: object, names: tuple[str, ...]) -> str:
    if not isinstance(values, Mapping):
        return ""
    found = (values.get(name) for name in names)
    return next((value for value in found if isinstance(value, str) and value.strip()), "")


def _line(text: str) -> str:
    line = " ".join(text[: 8 * LONGEST].split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
