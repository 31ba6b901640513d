"""Turning pieces of payloads into short, clean English: cutting, quoting, listing, counting."""

import re
from collections.abc import Iterable, Sequence

_COLOUR = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SENTENCE_END = re.compile(
    r"(?<=[.!?])[\"')]?\s+(?=[\"'(`]?[A-Z0-9])|(?<=[a-z)`]{2}[.!?])\s+(?=[a-z`])|\n\s*\n"
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|resp|no)|\b[A-Z])\.$", re.IGNORECASE
)
_HEAD = 8_000  # characters in which sentences are looked for
_PLAIN_START = re.compile(r"[a-z]+[ ,]")
_LONG = re.compile(r"[^\s`'\"…/]{41,}")
_BLOB = re.compile(r"[A-Za-z0-9+/=_-]{64,}")
_WORD = re.compile(r"[A-Za-z]{2,}")


def words_of(text: str) -> frozenset[str]:
    """The words of a text as a set, for tables that are easier to read as text."""
    return frozenset(text.split())


def plain(text: str) -> str:
    """`text` without terminal colours, carriage returns and control characters."""
    if "\x1b" in text:
        text = _COLOUR.sub("", text)
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def line_of(text: str) -> str:
    """`text` on one line."""
    return " ".join(text.split())


def clip(text: str, limit: int) -> str:
    """`text` on one line of at most `limit` characters, cut between words where it can be."""
    text = line_of(text[: limit * 4])
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    cut = head.rfind(" ")
    return (head[:cut] if cut > limit * 0.6 else head).rstrip(" ,;:([{-") + "…"


def elided(text: str) -> str:
    """`text` with the middle of words left out that are too long to be any."""
    return _BLOB.sub(lambda match: match[0][:12] + "…", text)


def shortened(text: str) -> str:
    """`text` with long words cut to their start and end, so that they can still be told apart."""
    return _LONG.sub(lambda match: f"{match[0][:12]}…{match[0][-8:]}", text)


def quoted(text: str, limit: int = 100) -> str:
    """`text` as a quotation, cut to `limit`: in backticks, or in quotes if it holds backticks."""
    words = clip(elided(text), limit)
    if "`" not in words:
        return f"`{words}`"
    return f"“{words}”" if "”" not in words else words


def sentences(text: str) -> list[str]:
    """The sentences at the head of a text, each on one line."""
    parts = [line_of(part) for part in _SENTENCE_END.split(text[:_HEAD], 100)]
    whole: list[str] = []
    for part in filter(None, parts):
        if whole and _ABBREVIATION.search(whole[-1][-8:]):
            whole[-1] = f"{whole[-1]} {part}"
        else:
            whole.append(part)
    return whole


def first_sentence(text: str, limit: int = 160) -> str:
    """The first sentence of a text, cut to `limit`."""
    return clip(next(iter(sentences(text[: limit * 6])), ""), limit)


def few_words(text: str, limit: int = 24) -> str:
    """`text` cut to `limit` words."""
    words = text.split()
    return " ".join(words) if len(words) <= limit else " ".join(words[:limit]).rstrip(",;:") + "…"


def balanced(text: str) -> str:
    """`text` with the backtick that cutting it may have lost."""
    lost = text.count("`") % 2 and text.endswith("…") and "“" not in text
    return f"{text}`" if lost else text


def ended(text: str) -> str:
    """`text` as a sentence: with a full stop, unless it ends with a mark of its own."""
    text = text.strip()
    return text if not text or text.endswith((".", "!", "?", ":", "…", "…`")) else f"{text}."


def article(noun: str) -> str:
    """The indefinite article of a noun."""
    return "an" if noun[:1].lower() in "aeiou" else "a"


def capital(text: str) -> str:
    """`text` with a capital first, if it starts with a plain word."""
    return text[:1].upper() + text[1:] if _PLAIN_START.match(text) else text


def listed(names: Sequence[str], limit: int = 3) -> str:
    """The names as "A, B and C"; beyond `limit` of them "A, B, C and 4 more"."""
    shown = list(names[:limit])
    if len(names) > limit:
        return f"{', '.join(shown)} and {len(names) - limit} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 file", "2 files"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {plural or noun + 's'}"


def paragraph(parts: Iterable[str], limit: int = 1200) -> str:
    """The parts as sentences one after the other, without repetitions, at most `limit` long."""
    whole = ""
    for part in dict.fromkeys(ended(line_of(each)) for each in parts):
        if part and len(whole) + len(part) < limit:
            whole = f"{whole} {part}" if whole else part
    return whole


def is_prose(text: str, words: int = 4) -> bool:
    """Whether `text` reads like a sentence rather than like code."""
    found = _WORD.findall(text)
    return len(found) >= words and sum(map(len, found)) >= 0.6 * len(text.replace(" ", ""))
