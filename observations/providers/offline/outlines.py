"""What a piece of code, prose or data is about, as far as its lines show."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from observations.providers.offline import paths
from observations.providers.offline.code import (
    Symbol,
    by_weight,
    comment,
    definitions,
    is_definition,
    telling,
)
from observations.providers.offline.wording import clip, is_prose, line_of, words_of

LOOKED_AT = 8_000  # characters of a text that are outlined
_LINES = 260
_TRAILING = re.compile(r"[ \t](?:#:?|//|--)[ \t]+(\S.*)$")
_SUBJECT = re.compile(
    r"(?:(?:const|let|var|pub|static|final|self\.|this\.)[ \t]*)*([A-Za-z_]\w*)[ \t]*"
    r"(?::(?!:)|=(?!=))"
    r"|(?:async )?(?:def|class|func?|function|struct|enum)[ \t]+([A-Za-z_]\w*)"
)
_KEYWORDS = words_of("else try finally default return do")
_CONSTANT = re.compile(
    r"\n[ \t]*((?:const |static |final |export |let |var )*(?:self\.|this\.)?[A-Za-z_]\w*"
    r"[ \t]*(?::[ \t]*[\w\[\]. |]{1,40})?[ \t]*=[ \t]*"
    r"(?:-?\d[\w.]*|b?\"[^\"\n]{1,60}\"|b?'[^'\n]{1,60}'))[ \t;]*(?:#[^\n]*|//[^\n]*)?(?=\n|\Z)"
)
_RAISED = re.compile(
    r"(?:raise|throw(?:[ \t]+new)?|panic!?|bail!|errors\.New|die)\b[ \t(]*"
    r"(?:[A-Za-z_][\w.]*)?[ \t(]*"
    r"(?:\"([^\"\n]{6,160})\"|'([^'\n]{6,160})')"
)
_FENCED = re.compile(r"^[ \t]*```.*?(?:^[ \t]*```|\Z)", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(
    r"^#{1,4}[ \t]+(\S[^\n]*)|^(\S[^\n]{2,80})\n(?:={3,}|-{3,}|~{3,})[ \t]*$", re.MULTILINE
)
_BULLET = re.compile(
    r"^[ \t]*[-*+•][ \t]+(\S[^\n]*(?:\n[ \t]{2,}[^\s*+-][^\n]*){0,3})", re.MULTILINE
)
_KEY = re.compile(
    r"^(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*[:=]|^\[+([\w. \"'-]+)\]+[ \t]*$"
    r"|^[ \t]{0,4}\"([^\"\n]{1,60})\"[ \t]*:",
    re.MULTILINE,
)
_OPEN_END = re.compile(r"(?:TODO|FIXME|XXX)\b(?=[:( ])[^\n]{0,160}")
_PRAGMAS = (
    *("noqa", "type: ignore", "pylint", "eslint", "coding:", "coding=", "pragma", "copyright"),
    *("spdx", "licence", "license", "---", "===", "***", "~~~"),
)
_MODULE_DOC = re.compile(r"\s*(?:#[^\n]*\n\s*)*[rRuU]?(\"\"\"|''')(.*?)(?:\1|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Note:
    """A comment, with the name that it stands at or ""."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Outline:
    """What was found. `doc` is what the whole says about itself; `raised` are error messages."""

    symbols: tuple[Symbol, ...] = ()
    doc: str = ""
    notes: tuple[Note, ...] = ()
    constants: tuple[str, ...] = ()
    raised: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    open_ends: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


def outline(text: str, path: str = "") -> Outline:
    """The outline of a file's content, or of a piece of it; `path` helps to tell what it is."""
    text = text[:LOOKED_AT]
    kind = paths.kind(path)
    if kind == "prose":
        return _prose(text)
    if kind == "data":
        return _data(text)
    symbols = by_weight(definitions(text))
    return _code(text, symbols) if symbols or kind else _prose(text)


def _code(text: str, symbols: tuple[Symbol, ...]) -> Outline:
    module = _MODULE_DOC.match(text)
    docs = [line_of(each.doc) for each in symbols if each.doc]
    notes = tuple(note for note in _notes(text) if not any(note.text[:80] in doc for doc in docs))
    documented = module or notes or any(each.doc for each in symbols)
    return Outline(
        symbols=symbols,
        doc=module[2].strip() if module else "",
        notes=notes,
        constants=_unique(_CONSTANT.findall(f"\n{text}"), 6),
        lines=() if documented else _body(text),
        raised=_unique(_raised(text), 4),
        open_ends=_open_ends(text),
    )


def _raised(text: str) -> Iterator[str]:
    """The error messages that read like sentences."""
    if any(word in text for word in ("raise", "throw", "panic", "bail!", "errors.New", "die")):
        for double, single in _RAISED.findall(text):
            if is_prose(double or single, 2):
                yield double or single


def _open_ends(text: str) -> tuple[str, ...]:
    """What the text itself says is still to be done."""
    if not any(word in text for word in ("TODO", "FIXME", "XXX")):
        return ()
    return _unique(_OPEN_END.findall(text), 3)


def _body(text: str) -> tuple[str, ...]:
    """The lines that do most, where nothing documents them."""
    lines = [line for line in text.split("\n")[:120] if not is_definition(line)]
    return _unique(telling(lines, 4), 4)


def _prose(text: str) -> Outline:
    words = _FENCED.sub("", text) if "```" in text else text
    headings = [(a or b).strip(" #*`") for a, b in _HEADING.findall(words)]
    bullets = [line_of(each).rstrip(":") for each in _BULLET.findall(words)]
    return Outline(
        doc=next(_paragraphs(words), ""),
        notes=tuple(Note("", each) for each in _unique(filter(is_prose, bullets), 8)),
        headings=_unique(headings, 12),
        open_ends=_open_ends(words),
    )


def _data(text: str) -> Outline:
    keys = ("".join(each).strip(" \"'") for each in _KEY.findall(text))
    return Outline(
        notes=tuple(note for note in _notes(text)),
        keys=_unique(keys, 12),
        open_ends=_open_ends(text),
    )


def _paragraphs(text: str) -> Iterator[str]:
    """The paragraphs that are neither headings nor lists nor code."""
    for part in re.split(r"\n\s*\n", text):
        line = part.strip()
        if not line.startswith(("#", "-", "*", "+", "|", "<", "=", "`", ".. ")) and is_prose(
            line, 6
        ):
            yield line_of(line)


def _notes(text: str) -> Iterator[Note]:
    """The comments that read like sentences, those of consecutive lines as one."""
    block: list[str] = []
    for line in (*text.split("\n")[:_LINES], ""):
        words = comment(line)
        if words is not None:
            block.append(words)
            continue
        if block:
            yield from _note(_subject(line), " ".join(block))
            block = []
        if "#" in line or "//" in line or "--" in line:
            trailing = _TRAILING.search(line)
            if trailing:
                yield from _note(_subject(line), trailing[1])


def _note(subject: str, words: str) -> Iterator[Note]:
    words = line_of(words)
    if is_prose(words) and not _OPEN_END.match(words):
        low = words[:80].lower()
        if not any(each in low for each in _PRAGMAS):
            yield Note(subject, clip(words, 240))


def _subject(line: str) -> str:
    match = _SUBJECT.match(line.strip())
    name = (match[1] or match[2]) if match else ""
    return "" if name in _KEYWORDS else name


def _unique(texts: Iterable[str], limit: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line_of(each) for each in texts if each.strip()))[:limit]
