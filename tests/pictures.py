"""Pictures of pages, made small: PNG with a palette, which a page's few colours do not miss."""

import struct
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = 256
# Bytes a pixel, by what the header calls its colours: without and with transparency.
_PIXEL = {2: 3, 6: 4}

Colour = bytes


def smaller(picture: bytes) -> bytes:
    """The same PNG in its most frequent colours alone; others become the nearest of them.

    As browsers make them: eight bits a channel, not interlaced.
    """
    parts = defaultdict(bytes)
    for name, body in _chunks(picture):
        parts[name] += body
    width, height, depth, colours = struct.unpack(">IIBB", parts[b"IHDR"][:10])
    assert depth == 8
    pixel = _PIXEL[colours]
    packed = zlib.decompress(parts[b"IDAT"])
    rows = [_colours(row, pixel) for row in _rows(packed, width * pixel, pixel)]
    palette, places = _palette(rows)
    indexed = b"".join(b"\0" + bytes(places[colour] for colour in row) for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return _SIGNATURE + b"".join((
        _chunk(b"IHDR", header),
        _chunk(b"PLTE", b"".join(palette)),
        _chunk(b"IDAT", zlib.compress(indexed, 9)),
        _chunk(b"IEND", b""),
    ))  # fmt: skip


def _palette(rows: list[list[Colour]]) -> tuple[list[Colour], dict[Colour, int]]:
    """The colours that are kept, and for each that there is the place of the one it becomes."""
    counted = Counter(colour for row in rows for colour in row)
    kept = [colour for colour, _ in counted.most_common(_COLOURS)]
    return kept, {colour: _nearest(colour, kept) for colour in counted}


def _nearest(colour: Colour, kept: list[Colour]) -> int:
    def distance(place: int) -> int:
        return sum((a - b) ** 2 for a, b in zip(colour, kept[place], strict=True))

    return min(range(len(kept)), key=distance)


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(picture):
        (size,) = struct.unpack(">I", picture[at : at + 4])
        yield picture[at + 4 : at + 8], picture[at + 8 : at + 8 + size]
        at += size + 12


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _rows(packed: bytes, size: int, step: int) -> Iterator[bytearray]:
    """The rows, each with its filter undone."""
    above = bytearray(size)
    for start in range(0, len(packed), size + 1):
        row = bytearray(packed[start + 1 : start + 1 + size])
        _unfilter(packed[start], row, above, step)
        yield row
        above = row


def _unfilter(way: int, row: bytearray, above: bytearray, step: int) -> None:
    for place, up in enumerate(above) if way else ():
        left = row[place - step] if place >= step else 0
        if way == 1:
            guess = left
        elif way == 2:
            guess = up
        elif way == 3:
            guess = (left + up) // 2
        else:
            guess = _paeth(left, up, above[place - step] if place >= step else 0)
        row[place] = (row[place] + guess) & 0xFF


def _paeth(left: int, up: int, corner: int) -> int:
    sum_ = left + up - corner
    return min((left, up, corner), key=lambda value: abs(sum_ - value))


def _colours(row: bytearray, step: int) -> list[Colour]:
    return [bytes(row[place : place + 3]) for place in range(0, len(row), step)]
