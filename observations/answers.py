"""What a model answered, as raw drafts: one JSON object, or the tag grammar of older models.

Lenient about what surrounds an answer, strict about what it holds: a field of the wrong type makes
the whole answer unreadable, so that the model can be asked once more. Nothing here knows of modes.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Task = Literal["observe", "summarise"]

ONE = ("type", "title", "subtitle", "narrative")
MANY = {"facts": "fact", "concepts": "concept", "files_read": "file", "files_modified": "file",
        "events": "event"}  # fmt: skip
SUMMARY = ("request", "investigated", "learned", "completed", "next_steps", "notes")

_FENCED = re.compile(r"\s*```\w*\s*\n(.*?)\n?\s*```\s*", re.DOTALL)
_SKIP = re.compile(r"<skip_summary\b[^<>]*/>")
_PROBE = re.compile(r"<(observation|summary)\b", re.IGNORECASE)
_ENTITY = re.compile(r"&(lt|gt|quot|apos|amp|#39|#x27|#34);")
_CHARACTER = {"lt": "<", "gt": ">", "quot": '"', "apos": "'", "amp": "&", "#39": "'", "#x27": "'",
              "#34": '"'}  # fmt: skip


class Unreadable(ValueError):
    """An answer that says nothing usable; the message says what is wrong, quoting none of it."""


@dataclass(frozen=True, slots=True)
class Raw:
    """One draft as it was answered: texts and lists of texts by field, nothing missing."""

    one: Mapping[str, str]
    many: Mapping[str, tuple[str, ...]]


def read(text: object, task: Task) -> tuple[Raw, ...]:
    """The drafts of an answer, empty where it says that there is nothing. Raises Unreadable."""
    if not isinstance(text, str) or not text.strip():
        raise Unreadable("it is empty")
    if fenced := _FENCED.fullmatch(text):
        text = fenced[1]
    if text.lstrip()[:1] in ("{", "["):
        return tuple(filter(_substantial, _from_json(text, task)))
    return tuple(_from_tags(text, task))


def unescaped(text: str) -> str:
    """`text` with XML's own entities read, once."""
    return _ENTITY.sub(lambda entity: _CHARACTER[entity[1]], text)


def _from_json(text: str, task: Task) -> Iterable[Raw]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        at = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise Unreadable(f"it is not valid JSON{at}, or it was cut off") from None
    if task == "summarise":
        inner = data.get("summary", data) if isinstance(data, dict) else data
        return [_raw(inner, "the answer", SUMMARY, {})] if inner is not None else []
    items = data.get("observations") if isinstance(data, dict) else data
    if not isinstance(items, list):
        raise Unreadable('it has no list "observations"')
    return [_raw(item, f"observations[{n}]", ONE, MANY) for n, item in enumerate(items)]


def _raw(item: object, where: str, one: Iterable[str], many: Iterable[str]) -> Raw:
    if not isinstance(item, dict):
        raise Unreadable(f"{where} is not an object")
    if not any(key in item for key in (*one, *many)):
        raise Unreadable(f"{where} has none of the fields asked for")
    return Raw(
        {key: _text(item.get(key), f"{where}.{key}") for key in one},
        {key: _texts(item.get(key), f"{where}.{key}") for key in many},
    )


def _text(value: object, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unreadable(f"{where} is not a text")
    return unescaped(value).strip()


def _texts(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise Unreadable(f"{where} is not a list")
    numbers = where.endswith(".events")
    texts = (_number(each, where) if numbers else _text(each, f"an item of {where}")
             for each in value)  # fmt: skip
    return tuple(text for text in texts if text)


def _number(value: object, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise Unreadable(f"an item of {where} is not a number")
    return str(value) if isinstance(value, str) or abs(value) < 10**9 else "0"


def _from_tags(text: str, task: Task) -> list[Raw]:
    if _SKIP.search(text):
        return []
    probe = _PROBE.search(text)
    wanted = "observation" if task == "observe" else "summary"
    if probe is None or probe[1].lower() != wanted:
        raise Unreadable(f"it has no <{wanted}> element")
    found = [_tagged(body, task) for body in _elements(text, wanted)]
    if not found:
        raise Unreadable(f"no <{wanted}> element is complete")
    kept = [raw for raw in found if _substantial(raw)]
    if task == "summarise":
        kept = kept[:1]
    if not kept:
        raise Unreadable(f"every <{wanted}> element is empty")
    return kept


def _tagged(body: str, task: Task) -> Raw:
    one, many = (ONE, MANY) if task == "observe" else (SUMMARY, {})
    return Raw(
        {name: _first(body, name) for name in one},
        {name: tuple(_items(_first(body, name, raw=True), item)) for name, item in many.items()},
    )


def _elements(text: str, name: str) -> Iterable[str]:
    """The bodies of the complete elements of that name, by plain search: no input is slow."""
    start, opening, closing = 0, f"<{name}>", f"</{name}>"
    while (at := text.find(opening, start)) >= 0:
        end = text.find(closing, at)
        if end < 0:
            return
        yield text[at + len(opening) : end]
        start = end + len(closing)


def _first(body: str, name: str, *, raw: bool = False) -> str:
    inner = next(iter(_elements(body, name)), "")
    return inner if raw else unescaped(inner).strip()


def _items(body: str, name: str) -> Iterable[str]:
    texts: Iterable[str] = (unescaped(each).strip() for each in _elements(body, name))
    return filter(None, texts)


_TELLING: dict[bool, Callable[[Raw], Iterable[Any]]] = {
    True: lambda raw: (raw.one[name] for name in SUMMARY if name != "notes"),
    False: lambda raw: (raw.one["title"], raw.one["narrative"], raw.many["facts"],
                        raw.many["concepts"]),
}  # fmt: skip


def _substantial(raw: Raw) -> bool:
    """Whether a draft says anything; subtitle, files or notes alone do not save it."""
    return any(_TELLING["request" in raw.one](raw))
