"""Entries put into JSON text and taken out again; whatever else is in it stays as it is. Pure.

A file of settings belongs to its user: indentation, order, line ends, a byte order mark and escapes
are kept to the byte. What was put in and is taken out leaves the bytes that were there before, also
where others changed other parts of the text meanwhile, and with nothing but the text to go by. So
the text has to say which containers were made for an entry and go with it, and which were there,
empty: after the bracket of one of those a blank ends the line, behind the white space that was in
it. In a text on one line it is those that were made that have a blank after their bracket. A text
that was there with nothing in it ends with a blank. Where somebody wrote the text anew, in another
layout, those signs are gone: what holds our entry alone then goes with it.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

JSON = Any
Step = str | int

# Characters. Agents keep histories in such files, of a few million at most.
LARGEST = 64_000_000
_BOM = "\ufeff"
_SIGN = " "
_SPACE = re.compile(r"[ \t\r\n]*")
_SIGNED = re.compile(r"([ \t\r\n]*) \r?\n[ \t]*")
_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false",
          int: "a number", float: "a number", type(None): "null"}  # fmt: skip


class Unreadable(Exception):
    """The text cannot be edited; the message says where, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Document:
    """JSON text that was read from `place`; None where there is no file."""

    text: str | None
    place: str
    marked: bool = False

    @property
    def value(self) -> JSON:
        """What the text says: an object, empty where there is no text."""
        return {} if _is_blank(self) else _DECODER.decode(self.text or "")


@dataclass(frozen=True, slots=True)
class _Slot:
    """A member of an object or an element of a list: where it and its value are in the text."""

    name: Step
    begin: int
    value: int
    end: int


@dataclass(frozen=True, slots=True)
class _Style:
    """How a text is laid out. On one line where `unit` is None."""

    unit: str | None
    newline: str


def load(data: bytes | None, place: str) -> Document:
    """The document in a file's bytes, or the one of a file that is not there.

    Raises Unreadable for what is not an object in JSON and in UTF-8.
    """
    if data is None:
        return Document(None, place)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable(f"{place} is no text in UTF-8: mend it, or move it away") from None
    document = Document(text.removeprefix(_BOM), place, text.startswith(_BOM))
    if not isinstance(_parsed(document), dict):
        raise Unreadable(f"{place} must hold an object of settings: mend it, or move it away")
    return document


def dump(document: Document) -> bytes | None:
    """The bytes of the file; None where there is to be none."""
    if document.text is None:
        return None
    return (_BOM * document.marked + document.text).encode("utf-8")


def at(document: Document, path: Sequence[Step], kind: type = dict) -> JSON:
    """The container at a path, empty where nothing is there.

    Raises Unreadable where something of another kind stands in it or on the way to it.
    """
    value = document.value
    for depth, step in enumerate(path):
        if isinstance(value, dict) and step not in value:
            return kind()
        value = value[step]
        wanted = kind if depth == len(path) - 1 else list if _is_index(path, depth + 1) else dict
        if not isinstance(value, wanted):
            raise Unreadable(
                f"{document.place}: {_named(path[: depth + 1])} is {_KINDS[type(value)]} and must "
                f"be {_KINDS[wanted]}: mend it, and run this again"
            )
    return value


def put(document: Document, path: Sequence[Step], value: JSON) -> Document:
    """The document with this value at a path; objects on the way to it are made.

    A value that is there is replaced where it stands. Raises Unreadable.
    """
    at(document, path[:-1], list if isinstance(path[-1], int) else dict)
    if _is_blank(document):
        return _begun(document, path, value)
    found, rest = _reach(document, path)
    if rest:
        return _insert(document, found, rest, value)
    text, slot = _text(document), found[-1]
    if _DECODER.decode(text[slot.value : slot.end]) == value:
        return document
    return replace(document, text=text[: slot.value] + json.dumps(value) + text[slot.end :])


def append(document: Document, path: Sequence[str], value: JSON) -> Document:
    """The document with this value at the end of the list at a path, which is made if missing.

    Raises Unreadable.
    """
    at(document, path, list)
    if _is_blank(document):
        return _begun(document, (*path, 0), value)
    found, rest = _reach(document, path)
    return _insert(document, found, (*rest, 0), value)


def take(document: Document, path: Sequence[Step]) -> Document:
    """The document without what is at a path, and without what was made to hold that alone.

    Nothing at the path: the same document.
    """
    if _is_blank(document):
        return document
    text, (found, rest) = _text(document), _reach(document, path)
    if rest:
        return document
    as_put = _is_as_put(text, found[-1])
    for depth in range(len(found) - 1, -1, -1):
        opening = found[depth - 1].value if depth else _start(text)
        slots = list(_slots(text, opening))
        if len(slots) > 1:
            return replace(document, text=_without(text, slots, found[depth]))
        closing = _past_space(text, slots[0].end)
        was = _was_in(text, opening, slots[0], closing, as_put)
        if was is not None:
            return replace(document, text=text[: opening + 1] + was + text[closing:])
    return replace(document, text=_ended(text))


def _parsed(document: Document) -> JSON:
    text = document.text or ""
    if len(text) > LARGEST:
        raise Unreadable(f"{document.place} is larger than any settings file: move it away")
    try:
        return document.value
    except json.JSONDecodeError as error:
        rest = text[error.pos :].lstrip()
        why = (
            "there is a comment, and comments would be lost: take it out"
            if rest.startswith(("//", "/*", "#")) or _comments_before(text, error.pos)
            else f"it is no JSON ({error.msg}): mend it"
        )
        raise Unreadable(
            f"{document.place}, line {error.lineno}: {why}, or add the entries by hand"
        ) from None
    except (ValueError, RecursionError):
        raise Unreadable(f"{document.place} holds JSON that cannot be read: mend it") from None


def _comments_before(text: str, position: int) -> bool:
    return text[:position].rstrip().endswith(("//", "/*"))


def _no_constant(name: str) -> JSON:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _is_blank(document: Document) -> bool:
    return not _SPACE.sub("", document.text or "", count=1)


def _begun(document: Document, path: Sequence[Step], value: JSON) -> Document:
    """The document of what was no text, or blank. See `_ended`."""
    blank = document.text or ""
    style = _Style("  ", "\r\n" if "\r\n" in blank else "\n")
    written = _within(path, value, style, _indent(blank, len(blank)))
    return replace(document, text=blank + written + ("\n" if document.text is None else _SIGN))


def _ended(text: str) -> str | None:
    """What is left of a text whose object was made for what was in it.

    One that was there without anything in it ends with a sign. Nothing is left of any other: a
    file with nothing in it is no JSON.
    """
    opening = _start(text)
    before, after = text[:opening], text[_DECODER.raw_decode(text, opening)[1] :]
    return before if after == _SIGN else None


def _text(document: Document) -> str:
    assert document.text is not None
    return document.text


def _start(text: str) -> int:
    return _past_space(text, 0)


def _past_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    assert match is not None
    return match.end()


def _slots(text: str, opening: int) -> Iterator[_Slot]:
    """What is in the container that opens there."""
    named = text[opening] == "{"
    position, index = _past_space(text, opening + 1), 0
    while text[position] not in "]}":
        begin, name = position, index
        if named:
            name, position = _DECODER.raw_decode(text, position)
            position = _past_space(text, _past_space(text, position) + 1)
        _value, end = _DECODER.raw_decode(text, position)
        yield _Slot(name, begin, position, end)
        position = _past_space(text, end)
        if text[position] == ",":
            position = _past_space(text, position + 1)
        index += 1


def _reach(document: Document, path: Sequence[Step]) -> tuple[list[_Slot], tuple[Step, ...]]:
    """The slots on the way to a path as far as they are there, and the steps that are not."""
    text, found = _text(document), list[_Slot]()
    opening = _start(text)
    for depth, step in enumerate(path):
        if text[opening] not in "{[" or (text[opening] == "[") != isinstance(step, int):
            return found, tuple(path[depth:])
        here = [slot for slot in _slots(text, opening) if slot.name == step]
        if len(here) > 1:
            raise Unreadable(
                f"{document.place} says {_named(path[: depth + 1])} twice: take one out, and run "
                "this again"
            )
        if not here:
            return found, tuple(path[depth:])
        found.append(here[0])
        opening = here[0].value
    return found, ()


def _insert(
    document: Document, found: Sequence[_Slot], rest: Sequence[Step], value: JSON
) -> Document:
    """Put a value into the container in the last slot, at its end, within new ones where needed."""
    text, style = _text(document), _style(_text(document), document.value)
    opening = found[-1].value if found else _start(text)
    slots = list(_slots(text, opening))
    inner = _inner_indent(text, opening, slots, style)
    if inner is None:
        style = replace(style, unit=None)
    entry = _entry(rest, value, style, inner or "")
    lead = "" if inner is None else style.newline + inner
    if slots:
        where, entry = slots[-1].end, f",{lead or ' '}{entry}"
    else:
        where = opening + 1
        # The white space that is in it goes before a sign, so that it can be put back.
        was = "" if inner is None else text[where : _past_space(text, where)]
        sign, end = (" ", style.newline + _indent(text, opening)) if lead else ("", "")
        entry = was + sign + lead + entry + end
        text = text[:where] + text[where + len(was) :]
    return replace(document, text=text[:where] + entry + text[where:])


def _is_as_put(text: str, slot: _Slot) -> bool:
    """Whether an entry is as we write it, blanks and all: one that others wrote has no signs."""
    name = f"{json.dumps(slot.name)}: " if isinstance(slot.name, str) else ""
    value = _DECODER.decode(text[slot.value : slot.end])
    return text[slot.begin : slot.end] == name + json.dumps(value)


def _was_in(text: str, opening: int, slot: _Slot, closing: int, as_put: bool) -> str | None:
    """The white space that was in a container before its only entry; None if it was made for it.

    On one line nothing tells that of an entry which is not `as_put`.
    """
    before = text[opening + 1 : slot.begin]
    if not before:
        return text[slot.end : closing] if as_put else None
    signed = _SIGNED.fullmatch(before)
    return signed[1] if signed else None


def _without(text: str, slots: Sequence[_Slot], slot: _Slot) -> str:
    """The text without one of several slots, and one comma."""
    index = slots.index(slot)
    if index:
        return text[: slots[index - 1].end] + text[slot.end :]
    return text[: slot.begin] + text[slots[1].begin :]


def _style(text: str, value: JSON) -> _Style:
    """How the text is laid out, by the first of its lines that is indented."""
    newline = "\r\n" if "\r\n" in text else "\n"
    if value and "\n" not in text.strip():
        return _Style(None, newline)
    first = re.search(r"[\[{][ \t]*\r?\n([ \t]+)[^ \t\r\n]", text)
    return _Style(first[1] if first else "  ", newline)


def _indent(text: str, position: int) -> str:
    """The white space with which the line of a position begins."""
    line = text[text.rfind("\n", 0, position) + 1 : position]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _inner_indent(text: str, opening: int, slots: Sequence[_Slot], style: _Style) -> str | None:
    """What stands before an entry of a container on its line; None for one all on one line."""
    if style.unit is None:
        return None
    if not slots:
        return _indent(text, opening) + style.unit
    _line, line_end, indent = text[opening + 1 : slots[-1].begin].rpartition("\n")
    return indent if line_end and not indent.strip() else None


def _entry(rest: Sequence[Step], value: JSON, style: _Style, indent: str) -> str:
    """The text of a value, within the containers that are made for it, and its name."""
    name = f"{json.dumps(rest[0])}: " if isinstance(rest[0], str) else ""
    return name + _within(rest[1:], value, style, indent)


def _within(path: Sequence[Step], value: JSON, style: _Style, indent: str) -> str:
    if not path:
        return json.dumps(value)
    opening, closing = "[]" if isinstance(path[0], int) else "{}"
    if style.unit is None:
        return f"{opening} {_entry(path, value, style, '')}{closing}"
    inner = indent + style.unit
    entry = _entry(path, value, style, inner)
    return f"{opening}{style.newline}{inner}{entry}{style.newline}{indent}{closing}"


def _is_index(path: Sequence[Step], depth: int) -> bool:
    return depth < len(path) and isinstance(path[depth], int)


def _named(path: Sequence[Step]) -> str:
    return "`" + ".".join(map(str, path)) + "`"
