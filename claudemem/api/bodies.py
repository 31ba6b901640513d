"""Request bodies: read within a bound, inflated within it, parsed, and checked against a shape."""

import re
import zlib
from collections.abc import Callable
from typing import Any, TypeVar

import orjson
from django.conf import settings
from django.http import HttpRequest
from pydantic import TypeAdapter

from claudemem.api.errors import TooLarge, UnknownEncoding
from observations.errors import InvalidInput

T = TypeVar("T")

# An answer wraps a payload in a few levels more, and no writer of JSON goes below 254.
DEEPEST = 240
_BOM = b"\xef\xbb\xbf"
_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32
_RAW_DEFLATE = -zlib.MAX_WBITS
# A pair of surrogates, which is a character, or one on its own, which is none; not `\\ud800`.
_SURROGATE = re.compile(
    rb"(?<!\\)(?:\\\\)*"
    rb"(?:\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2}))"
)


def read(request: HttpRequest, shape: TypeAdapter[T]) -> T:
    """The body as `shape`. An empty one counts as `{}`.

    Raises TooLarge, UnknownEncoding, InvalidInput, and pydantic's ValidationError.
    """
    return shape.validate_python(json_of(request))


def json_of(request: HttpRequest) -> Any:
    """The body as JSON. Raises TooLarge, UnknownEncoding, InvalidInput."""
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    return parse(inflate(_raw(request), encoding))


def parse(raw: bytes) -> Any:
    """`raw` as JSON. Raises InvalidInput for what is none, and for what is nested too deeply.

    Lone surrogates and bytes that are not UTF-8 are replaced and not refused: tools print such.
    """
    if not raw or raw.isspace():
        return {}
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        value = _parse_mended(raw)
    if raw.count(b"[") + raw.count(b"{") > DEEPEST:
        _refuse_depth(value)
    return value


def inflate(raw: bytes, encoding: str) -> bytes:
    """`raw` with its Content-Encoding undone; TooLarge as soon as it grows beyond the limit."""
    if encoding in ("", "identity"):
        return raw
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise UnknownEncoding(f"Content-Encoding must be gzip or deflate, not {encoding[:40]!r}")
    try:
        return _inflated(raw, _ZLIB_OR_GZIP)
    except zlib.error:
        pass
    try:
        # Some call it deflate and leave the header out.
        return _inflated(raw, _RAW_DEFLATE)
    except zlib.error as error:
        raise InvalidInput(f"The body is not {encoding} data") from error


def _raw(request: HttpRequest) -> bytes:
    limit: int = settings.MAX_BODY_BYTES
    declared = int(request.META.get("CONTENT_LENGTH") or 0)
    if declared > limit:
        raise TooLarge
    source = _source(request)
    raw = source(limit + 1) if source else b""
    if len(raw) > limit:
        raise TooLarge
    if len(raw) < declared:
        raise InvalidInput("The body ended before its Content-Length")
    return raw


def _source(request: HttpRequest) -> Callable[[int], bytes] | None:
    """How to read the body: Django bounds one with a length; one in chunks comes as it is."""
    if request.META.get("CONTENT_LENGTH"):
        return request.read
    if request.META.get("wsgi.input_terminated"):
        chunked: Callable[[int], bytes] = request.META["wsgi.input"].read
        return chunked
    return None


def _parse_mended(raw: bytes) -> Any:
    text = raw.removeprefix(_BOM).decode("utf-8", "replace").encode()
    mended = _SURROGATE.sub(_mend, text)
    try:
        return orjson.loads(mended)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"The body is not JSON: {error}") from error


def _mend(found: re.Match[bytes]) -> bytes:
    return found[0][: -len(found["lone"])] + b"\\ufffd" if found["lone"] else found[0]


def _refuse_depth(value: Any) -> None:
    for _ in range(254 - DEEPEST):
        value = [value]
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise InvalidInput(f"The body is nested deeper than {DEEPEST} levels") from error


def _inflated(raw: bytes, window: int) -> bytes:
    stream = zlib.decompressobj(window)
    content = stream.decompress(raw, settings.MAX_BODY_BYTES + 1)
    if len(content) > settings.MAX_BODY_BYTES:
        raise TooLarge
    if not stream.eof:
        raise zlib.error("ended early")
    return content
