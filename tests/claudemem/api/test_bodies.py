import gzip
import json
import re
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudemem.api import bodies
from claudemem.api.errors import TooLarge, UnknownEncoding
from observations.errors import InvalidInput

pytestmark = pytest.mark.once

LIMIT = 5 * 1024 * 1024

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)


@given(json_values)
def test_json_comes_through_as_it_was_sent(value: Any) -> None:
    assert bodies.parse(json.dumps([value]).encode()) == [value]
    assert bodies.parse(json.dumps([value], ensure_ascii=False).encode()) == [value]


@given(st.text() | st.text(st.characters(min_codepoint=0xD7F0, max_codepoint=0xE010)))
def test_text_with_lone_surrogates_is_mended_and_never_refused(text: str) -> None:
    sent = json.dumps([text])
    # Python's own parser joins pairs, and leaves the lone ones as they are.
    whole: str = json.loads(sent)[0]
    assert bodies.parse(sent.encode()) == [re.sub("[\ud800-\udfff]", "\ufffd", whole)]


@pytest.mark.parametrize(
    ("sent", "taken"),
    [
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\ud83d"', "\ufffd"),
        (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (rb'"\ud83d\ud83d\ude00"', "\ufffd😀"),
        (rb'"\\ud83d \ud83d"', "\\ud83d \ufffd"),
        (rb'"\\\ud83d"', "\\\ufffd"),
        (b'"\xed\xa0\x80\xff"', "\ufffd" * 4),
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        (rb'"a\u0000b"', "a\0b"),
    ],
)
def test_what_tools_print_is_taken(sent: bytes, taken: Any) -> None:
    assert bodies.parse(sent) == taken


@pytest.mark.parametrize("raw", [b"", b" ", b"\r\n\t "])
def test_an_empty_body_is_an_empty_object(raw: bytes) -> None:
    assert bodies.parse(raw) == {}


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"nul",
        b"{'a':1}",
        b"[1,]",
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b"1e400",
        b'{"a":1}{"b":2}',
        b'"\x00"',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        rb'{"\ud800":' * 100_000,
    ],
    ids=lambda raw: raw[:12].decode("latin-1"),
)
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidInput, match="body is not JSON"):
        bodies.parse(raw)


@pytest.mark.parametrize("levels", [bodies.DEEPEST + 1, 254, 255, 1000])
def test_what_could_not_be_shown_again_is_refused(levels: int) -> None:
    with pytest.raises(InvalidInput, match="nested deeper than 240 levels"):
        bodies.parse(b"[" * levels + b"]" * levels)


def test_what_is_nested_as_deeply_as_allowed_is_taken() -> None:
    levels = bodies.DEEPEST
    assert bodies.parse(b"[" * levels + b"]" * levels)
    assert bodies.parse(b'{"a":' * levels + b"1" + b"}" * levels)
    assert len(bodies.parse(b"[" + b"[]," * 5000 + b"[]]")) == 5001


def test_numbers_beyond_64_bits_are_taken() -> None:
    assert bodies.parse(b"[18446744073709551616, -1e300]") == [1.8446744073709552e19, -1e300]


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", _raw_deflate),
        ("identity", bytes),
        ("", bytes),
    ],
)
def test_compressed_bodies_are_inflated(encoding: str, pack: Any) -> None:
    assert bodies.inflate(pack(b'{"a":1}'), encoding) == b'{"a":1}'


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_what_inflates_beyond_the_limit_is_refused_before_it_does(encoding: str) -> None:
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    assert len(bodies.inflate(pack(b" " * LIMIT), encoding)) == LIMIT
    for size in (LIMIT + 1, 200 * 1024 * 1024):
        with pytest.raises(TooLarge):
            bodies.inflate(pack(bytes(size), 1), encoding)


@pytest.mark.parametrize(
    "raw",
    [b"{}", b"", gzip.compress(b"{}")[:-9], b"\x1f\x8b"],
    ids=["plain", "empty", "cut off", "a header alone"],
)
def test_what_is_not_compressed_as_claimed_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidInput, match="not gzip data"):
        bodies.inflate(raw, "gzip")


def test_an_encoding_that_cannot_be_undone_is_named() -> None:
    with pytest.raises(UnknownEncoding, match="'br'"):
        bodies.inflate(b"{}", "br")
