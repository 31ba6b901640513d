"""Payloads that are too large for the server: their largest strings are left out, whole.

A part of a string may hold the end of what must not be stored without its beginning, by which it
would be known. For the same reason a list of strings, such as the lines of a patch, goes as one.
"""

from __future__ import annotations

import json
from typing import Any

_SHORT = 1024
# Reading so many values takes some tenths of a second, in which nothing can end the process.
_MOST_VALUES = 200_000


def is_too_fine(raw: bytes) -> bool:
    """Whether so large a text holds too many values to be read in the time of a hook."""
    plain = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') > 2 * _MOST_VALUES:
        return True
    return sum(part.count(b",") for part in plain.split(b'"')[::2]) > _MOST_VALUES


def fitted(said: dict[str, Any], most: int) -> bytes:
    """`said` as JSON of at most `most` bytes; b"" if it has too few long strings for that.

    It is changed: what is left out, the longest first, is replaced by its length.
    """
    size = len(_written(said))
    for length, within, key in sorted(_long(said), key=lambda found: -found[0]):
        if size <= most:
            break
        left = f"[{length} characters left out: too large to be sent]"
        note = [left] if isinstance(within[key], list) else left
        size -= len(_written(within[key])) - len(_written(note))
        within[key] = note
    written = _written(said)
    return written if len(written) <= most else b""


def _long(said: dict[str, Any]) -> list[tuple[int, Any, Any]]:
    """The strings and lists of strings that are not short: their lengths, and where they are."""
    found: list[tuple[int, Any, Any]] = []
    left: list[Any] = [said]
    while left:
        within = left.pop()
        for key, value in within.items() if isinstance(within, dict) else enumerate(within):
            if isinstance(value, str) or _is_lines(value):
                length = len(value) if isinstance(value, str) else sum(map(len, value))
                if length > _SHORT:
                    found.append((length, within, key))
            elif isinstance(value, (dict, list)):
                left.append(value)
    return found


def _is_lines(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)


def _written(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")
