"""What an event says that the agent did, whatever shape it arrived in."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from observations.drafts import JSON, SourceEvent
from observations.providers.offline.wording import plain

HEAD, TAIL = 10_000, 3_000  # characters of a text that are looked at
CUT = "\n…\n"
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_INPUTS = ("tool_input", "toolInput", "input", "arguments", "args", "parameters")
_OUTPUTS = (
    *("tool_response", "toolResponse", "tool_result", "tool_output", "toolOutput"),
    *("response", "result", "output"),
)
_TEXTS = ("stdout", "stderr", "content", "text", "result", "output", "message", "error", "data")
_EXIT = re.compile(r"\A\s*(?:Error: )?Exit code (\d+)\s*")


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call and its result, or one message, as far as its event shows it.

    `given` is the tool's input, `answer` its structured result, `output` the text of the result,
    cut to a head and a tail. `exit_code` is None where none was reported.
    """

    event: SourceEvent
    tool: str
    given: Mapping[str, Any]
    answer: Mapping[str, Any]
    output: str
    failed: bool
    exit_code: int | None
    cwd: str

    def text(self, *keys: str) -> str:
        """The first of the input's values under these keys that is a text, else ""."""
        return text_at(self.given, *keys)


def call_of(event: SourceEvent) -> Call:
    """The call that an event reports; without a tool's name `tool` is ""."""
    payload = event.payload if isinstance(event.payload, dict) else _NOTHING
    given = _first(payload, _INPUTS)
    response = _first(payload, _OUTPUTS)
    answer = response if isinstance(response, dict) else _NOTHING
    error = text_at(payload, "error", "tool_error")
    code, output = _exit(capped(error) if error else _output(response))
    return Call(
        event=event,
        tool=text_at(payload, "tool_name", "toolName", "tool")[:120].strip(),
        given=given if isinstance(given, dict) else _given(given),
        answer=answer,
        output=output,
        failed=bool(error) or _failed(event, answer, code),
        exit_code=code,
        cwd=text_at(payload, "cwd"),
    )


def text_at(values: Mapping[str, Any], *keys: str) -> str:
    """The first value under these keys that is a text which is not blank, else ""."""
    for key in keys:
        value = values.get(key)
        if isinstance(value, str) and value.strip():
            return value
    return ""


def mapping_at(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The object under this key, else an empty one."""
    value = values.get(key)
    return value if isinstance(value, dict) else _NOTHING


def list_at(values: Mapping[str, Any], key: str, limit: int = 200) -> list[Any]:
    """The head of the list under this key, else an empty one."""
    value = values.get(key)
    return value[:limit] if isinstance(value, list) else []


def capped(text: str) -> str:
    """The head and the tail of a text, or all of it if it is not much longer."""
    if len(text) > HEAD + TAIL + 500:
        text = f"{text[:HEAD]}{CUT}{text[-TAIL:]}"
    return plain(text)


def text_of(value: JSON) -> str:
    """The text in a result: its text fields, the text of its blocks, or the value itself."""
    if isinstance(value, str):
        return capped(value)
    if isinstance(value, dict):
        return capped("\n".join(_texts(value)))
    if isinstance(value, list):
        return capped("\n".join(filter(None, map(_block, value[:50]))))
    return "" if value is None or isinstance(value, bool) else str(value)[:100]


def _texts(value: Mapping[str, Any]) -> Iterable[str]:
    for key in _TEXTS:
        part = value.get(key)
        if isinstance(part, str) and part.strip():
            yield part if len(part) < HEAD else capped(part)
        elif isinstance(part, list):
            yield "\n".join(filter(None, map(_block, part[:50])))


def _block(value: JSON) -> str:
    if isinstance(value, dict):
        return text_at(value, "text", "content", "title", "url")[:HEAD]
    return value[:HEAD] if isinstance(value, str) else ""


def _output(response: JSON) -> str:
    file = response.get("file") if isinstance(response, dict) else None
    return text_of(file if isinstance(file, dict) else response)


def _exit(output: str) -> tuple[int | None, str]:
    match = _EXIT.match(output)
    return (int(match[1][:9]), output[match.end() :]) if match else (None, output)


def _failed(event: SourceEvent, answer: Mapping[str, Any], code: int | None) -> bool:
    flags = (answer.get(key) for key in ("is_error", "isError", "interrupted"))
    return "Failure" in event.event_type or code not in (None, 0) or any(f is True for f in flags)


def _first(values: Mapping[str, Any], keys: Iterable[str]) -> Any:
    return next((values[key] for key in keys if values.get(key) is not None), None)


def _given(value: JSON) -> Mapping[str, Any]:
    return {"text": value} if isinstance(value, str) else _NOTHING
