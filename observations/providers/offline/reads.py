"""Observations of what an agent read: what the file is about, in its own words."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from observations.drafts import ObservationDraft
from observations.providers.offline import paths
from observations.providers.offline.calls import Call, mapping_at
from observations.providers.offline.code import tested
from observations.providers.offline.docs import description, parameters
from observations.providers.offline.drafting import drafted
from observations.providers.offline.listings import Listing, listing_of
from observations.providers.offline.outlines import Outline, outline
from observations.providers.offline.wording import (
    article,
    capital,
    clip,
    counted,
    first_sentence,
    is_prose,
    line_of,
    listed,
    quoted,
    sentences,
)

_TRAP = re.compile(
    r"\b(?:deprecated|must not|do not|don't|never|careful|beware|warning|caveat|workaround|hack|"
    r"careful|unlike|otherwise|instead|not used anymore|legacy)\b",
    re.IGNORECASE,
)
_SECRET = re.compile(r"\[redacted[^\]\n]{0,60}\]")
_SETTING = re.compile(r"^(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=", re.MULTILINE)
_BINARY, _HEX = re.compile(r"[01]{64,}"), re.compile(r"(?:0x)?[0-9A-Fa-f]{64,}")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{60,}\s*\\?\s*)+[A-Za-z0-9+/]*={0,2}")


def read_draft(calls: Sequence[Call], readings: Sequence[Call]) -> ObservationDraft | None:
    """What reading one file, once or several times, showed; None if it showed nothing.

    `calls` are all that led to it, `readings` those of them that returned content.
    """
    pieces = [listing_in(call) for call in readings]
    named = (path_read(call, piece) for call, piece in zip(readings, pieces, strict=True))
    path = next(filter(None, named), "")
    text = "\n".join(dict.fromkeys(piece.text for piece in pieces if piece.text.strip()))
    if failed := next((call for call in readings if call.failed), None):
        return _unread(calls, path, failed.output)
    return content_draft(calls, path, text, _where(pieces)) if path and text.strip() else None


def _unread(calls: Sequence[Call], path: str, output: str) -> ObservationDraft | None:
    """A file that could not be read, and why."""
    error = first_sentence(output, 140)
    if not path or not error:
        return None
    return drafted(
        calls,
        "discovery",
        f"{paths.short(path)} could not be read: {error}",
        subtitle=error,
        narrative=[f"Reading {path} failed: {error}"],
        facts=[f"Reading {path} failed: {quoted(error, 140)}"],
        concepts=("gotcha", "how-it-works"),
        read=[path],
    )


def listing_in(call: Call) -> Listing:
    """The part of a file that a reading call returned."""
    file = mapping_at(call.answer, "file")
    piece = listing_of(call.output)
    if not file:
        return piece
    first, lines, total = (_number(file, key) for key in ("startLine", "numLines", "totalLines"))
    return Listing(
        piece.text, piece.path, first, first + lines - 1 if first and lines else 0, total
    )


def _number(values: Mapping[str, Any], key: str) -> int:
    value = values.get(key)
    return value if isinstance(value, int) and value > 0 else 0


def path_read(call: Call, piece: Listing | None = None) -> str:
    """The file that a reading call read: the one that its result names, else the one asked for."""
    named = piece.path if piece else listing_of(call.output[:600]).path
    asked = call.text("file_path", "path", "notebook_path", "filename", "file", "uri")
    return paths.shown(named or asked, call.cwd)


def content_draft(
    calls: Sequence[Call], path: str, text: str, where: str = "", also: Iterable[str] = ()
) -> ObservationDraft | None:
    """What a file's content, or a part of it, is about."""
    if special := _settings(calls, path, text) or _blob(calls, path, text):
        return special
    found = outline(text, path)
    title = _title(path, found, text)
    if not title:
        return None
    return drafted(
        calls,
        "discovery",
        title,
        subtitle=_subtitle(found, path, where),
        narrative=_story(path, found, where, also),
        facts=_facts(path, found),
        concepts=_concepts(path, found),
        read=[path],
    )


def _title(path: str, found: Outline, text: str) -> str:
    name = paths.short(path)
    if found.symbols:
        outer = [each for each in found.symbols if not each.owner] or list(found.symbols)
        about = listed([each.path for each in outer], 3)
        only = description(outer[0].doc) if len(outer) == 1 else ""
        return f"{name}: {about}" + (f": {first_sentence(only, 70)}" if only else "")
    about = next(iter(found.headings), "") or listed(found.keys, 4)
    about = about or first_sentence(found.doc, 80) or next((n.text for n in found.notes), "")
    about = about or next(iter(found.lines[-1:]), "")
    about = about or next((line for line in text.split("\n") if re.search(r"\w{2}", line)), "")
    return f"{name}: {clip(about, 90)}" if about else ""


def _subtitle(found: Outline, path: str, where: str) -> str:
    for symbol in found.symbols:
        if words := first_sentence(description(symbol.doc)):
            return f"{symbol.path}: {words}"
    if tests := tested(found.symbols):
        return f"Tests: {listed(tests, 4)}"
    words = found.doc or next((note.text for note in found.notes), "")
    if words:
        return first_sentence(words)
    if found.lines:
        return f"It has {listed([quoted(each, 60) for each in found.lines[-2:]], 2)}"
    return f"Read {where or 'all'} of {paths.short(path)}"


def _where(pieces: Sequence[Listing]) -> str:
    spans = sorted({(p.first, p.last, p.total) for p in pieces if p.first})
    if not spans or any(first == 1 and last >= total for first, last, total in spans):
        return ""
    lines = listed([f"{first}–{last}" for first, last, _ in spans], 4)
    total = max(total for *_, total in spans)
    return f"lines {lines}" + (f" of {total:,}" if total else "")


def _story(path: str, found: Outline, where: str, also: Iterable[str]) -> Iterator[str]:
    kind = paths.called(path)
    name = paths.short(path)
    what = f"{name} ({article(kind)} {kind})" if kind else name
    yield f"Read {where} of {what}" if where else f"Read {what}"
    yield from also
    if found.symbols:
        names = [_described(each.path, each.kind) for each in found.symbols]
        yield f"It defines {listed(names, 8)}"
    if tests := tested(found.symbols):
        yield f"Its tests are of {listed(tests, 6)}"
    if found.headings:
        yield f"Its sections are {listed(found.headings, 10)}"
    if found.keys:
        yield f"It has {listed(found.keys, 12)}"
    yield from sentences(found.doc[:1500])[:5]
    for symbol in found.symbols[:4]:
        if words := sentences(description(symbol.doc)[:1500]):
            yield f"{symbol.path}: {' '.join(words[:5])}"
        yield from parameters(symbol.doc)
    for note in found.notes:
        yield f"{note.subject}: {note.text}" if note.subject else capital(note.text)


def _described(name: str, kind: str) -> str:
    return f"class {name}" if kind == "class" else name


def _facts(path: str, found: Outline) -> Iterator[str]:
    name = paths.short(path)
    for symbol in found.symbols[:4]:
        if words := first_sentence(description(symbol.doc), 200):
            yield f"{symbol.path} in {name}: {words}"
    said = sentences(found.doc[:1000])[:2] if not found.symbols else []
    yield from (f"{name}: {clip(each, 200)}" for each in said)
    longest = sorted(found.notes, key=lambda note: -len(note.text.split()))[:5]
    for note in (each for each in found.notes if each in longest):
        subject = f"{note.subject} in {name}" if note.subject else name
        yield f"{subject}: {note.text}"
    if found.lines:
        yield f"{name} has {listed([quoted(each, 80) for each in found.lines[:2]])}"
        yield f"{name} has {listed([quoted(each, 80) for each in found.lines[2:4]])}" * (
            len(found.lines) > 2
        )
    if found.constants:
        yield f"{name} sets {listed([quoted(each, 70) for each in found.constants], 6)}"
    for message in found.raised[:2]:
        yield f"{name} raises {quoted(message, 140)}"
    if found.keys:
        yield f"{name} has {listed(found.keys, 10)}"
    for words in found.open_ends[:2]:
        yield f"Open in {name}: {quoted(words, 140)}"


def _concepts(path: str, found: Outline) -> Iterator[str]:
    yield "how-it-works"
    words = " ".join((found.doc[:600], *(note.text for note in found.notes)))
    docs = " ".join(symbol.doc[:300] for symbol in found.symbols[:5])
    if _TRAP.search(words) or _TRAP.search(docs):
        yield "gotcha"
    told = found.doc or docs or paths.kind(path) in ("prose", "data")
    yield "why-it-exists" if told and not paths.is_test(path) else "pattern"


def _settings(calls: Sequence[Call], path: str, text: str) -> ObservationDraft | None:
    """A file of settings is told by its names alone: values are nobody's business."""
    names = list(dict.fromkeys(_SETTING.findall(text[:4000])))
    secret = bool(_SECRET.search(text))
    if not names or not (".env" in path or secret) or paths.kind(path) == "code":
        return None
    facts = [f"{path} sets {listed(names, 12)}"]
    if secret:
        facts.append(f"{path} holds credentials, which are kept out of memory")
    return drafted(
        calls,
        "security_note" if secret else "discovery",
        f"{paths.short(path)} sets {listed(names, 4)}",
        subtitle=facts[-1],
        narrative=[*facts, "Only the names of its settings are kept here, not their values"],
        facts=facts,
        concepts=("how-it-works", "gotcha" if secret else "why-it-exists"),
        read=[path],
    )


def _blob(calls: Sequence[Call], path: str, text: str) -> ObservationDraft | None:
    """A file of encoded data: what encoding, how much, how it starts."""
    body = text.strip()
    what = blob_kind(body)
    if not what:
        return None
    fact = f"{path} holds {what} starting with {quoted(line_of(body[:24]))}"
    return drafted(
        calls,
        "discovery",
        f"{paths.short(path)} holds {what}",
        subtitle="The content is encoded data, not text",
        narrative=[fact],
        facts=[fact],
        concepts=("how-it-works", "gotcha"),
        read=[path],
    )


def blob_kind(body: str) -> str:
    """What an encoded text is ("1,544 binary digits"), or "" for a text that is none."""
    body = body.strip()
    for pattern, what in (
        (_BINARY, "binary digits"),
        (_HEX, "hexadecimal digits"),
        (_BASE64, "characters of Base64"),
    ):
        match = pattern.match(body)
        if match and len(match[0]) >= 0.9 * len(body):
            return f"{len(''.join(match[0].split())):,} {what}"
    scrambled = not body.isascii() and not is_prose(body) and _scripts(body) > 5
    return f"{counted(len(body), 'character')} that are no readable text" if scrambled else ""


def _scripts(body: str) -> int:
    """How many scripts a text mixes; many of them in one text come from wrong decoding only."""
    signs = (
        each
        for each in body[:200]
        if ord(each) > 0x2AF and unicodedata.category(each)[0] not in "PZ"
    )
    return len({unicodedata.name(each, "?").partition(" ")[0] for each in signs})
