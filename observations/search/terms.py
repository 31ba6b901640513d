"""Words: what a text offers to be found by, and what a question asks for. Pure.

Identifiers and paths are taken whole and in pieces: `TimeDelta` is also time and delta,
`retry_max_wait` also retry, max, wait and retrymaxwait. Both sides use the same rule, so each of
the forms finds all of the others.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from unicodedata import normalize

# Enough for any question; a pasted page is asked about by its first words.
MAX_TERMS = 48
MAX_QUERY_CHARACTERS = 8_000
MAX_PARTS_BYTES = 4_096
# Longer runs are encoded data, not words.
_MAX_WORD = 64
_MAX_CHUNK = 1_024

# Scripts that put no spaces between words: found by each pair of neighbours.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_SMALL = rf"[^\W\dA-Z_{_UNSPACED}]"
_WORD = re.compile(r"[^\W_]+")
# Words held together by the marks that identifiers, paths, versions and addresses are made with.
_CHUNK = re.compile(r"[^\W_]+(?:[-_./\\:@#+]+[^\W_]+)*")
# What separates names in a chunk; the others join the words of one name.
_BETWEEN_NAMES = re.compile(r"[./\\:@#+]+")
_PIECE = re.compile(rf"[{_UNSPACED}]+|[A-Z]+s?(?!{_SMALL})|[A-Z]?{_SMALL}+|\d+")
_UNSPACED_RUN = re.compile(rf"[{_UNSPACED}]{{2,}}")
# Hashes and ids: digits among letters, but nothing to take apart.
_OPAQUE = re.compile(r"(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,}|[^\W\d]*(?:\d+[^\W\d]+){3,}\d*")
_ID_OR_DATE = re.compile(r"(?=[-a-f]*\d)[0-9a-f]+(?:-[0-9a-f]+)+", re.IGNORECASE)
_TOKEN = re.compile(
    rf'(?P<no>(?<!\S)-(?=[^\W\d_]|"))?(?:"(?P<quoted>[^"]*)"|(?P<chunk>{_CHUNK.pattern}))'
)
_QUOTES = str.maketrans(dict.fromkeys("“”„«»", '"'))

_SMALL_WORDS = """
    a about all also am an and any are as at be been being but by can could did do does doing don
    down each for from had has have having he her here hers him his how i if in into is isn it its
    itself just ll me my no nor not of off on only or other our ours out over own re s same she
    should so some such t than that the their theirs them then there these they this those through
    to too until up ve very was wasn we were what when where which while who whom whose why will
    with would you your yours
"""
STOP_WORDS = frozenset(_SMALL_WORDS.split())


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for: rows with `any` of these terms and `none` of those.

    A term is lower-case words with one space between; several words stand side by side in a row
    that matches. Terms hold letters, their accents and digits, nothing else. A query without `any`
    finds nothing.
    """

    any: tuple[str, ...] = ()
    none: tuple[str, ...] = ()


def parts(*texts: str) -> str:
    """The pieces of all identifiers and paths in the texts, each once, in order of appearance.

    At most MAX_PARTS_BYTES of UTF-8; plain words are not repeated.
    """
    kept: list[str] = []
    room = MAX_PARTS_BYTES
    for piece in dict.fromkeys(_all_pieces(texts)):
        room -= len(piece.encode()) + 1
        if room < 0:
            break
        kept.append(piece)
    return " ".join(kept)


def query_terms(text: str) -> Query:
    """A question in plain words as the terms to look for, at most MAX_TERMS.

    `"quoted words"` stay together, `-word` and `-"quoted words"` exclude (a lone letter after a
    hyphen is an option, not an exclusion); every other character only separates words. Stop words
    are left out, except inside quotes.
    """
    text = normalize("NFC", text[:MAX_QUERY_CHARACTERS].translate(_QUOTES))
    asked: list[str] = []
    pieces: list[str] = []
    plain: list[str] = []
    none: list[str] = []
    for found in _TOKEN.finditer(text):
        term = _words(found["quoted"] if found["chunk"] is None else found["chunk"])
        if found["no"] and len(term) > 1:
            none.append(term)
        elif found["chunk"] is None:
            asked.append(term)
        else:
            asked += [term, *term.split()]
            pieces += _asked_pieces(found["chunk"])
            plain.append(term)
    return Query(_kept([*asked, *pieces, *_joined_neighbours(plain)]), _kept(none))


def _all_pieces(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for chunk in _CHUNK.findall(normalize("NFC", text)):
            # Most chunks are plain words; asking that of the string is the cheapest test.
            plain = chunk.isascii() and chunk.isalpha() and chunk[1:].islower()
            if not plain and len(chunk) <= _MAX_CHUNK:
                yield from _pieces(chunk)


# The same names come again and again in the texts of a project.
@lru_cache(maxsize=4096)
def _pieces(chunk: str) -> tuple[str, ...]:
    """What a chunk is made of, lower-case; nothing for a plain word."""
    return tuple(dict.fromkeys(_taken_apart(chunk)))


def _taken_apart(chunk: str) -> Iterator[str]:
    words = () if _ID_OR_DATE.fullmatch(chunk) else _WORD.findall(chunk)
    for word in words:
        for run in _UNSPACED_RUN.findall(word):
            yield from map("".join, pairwise(run))
        lower = word.lower()
        if len(word) > _MAX_WORD or _OPAQUE.fullmatch(lower):
            continue
        inner = _PIECE.findall(word)
        if len(words) > 1:
            yield from _worth(lower)
        if len(inner) > 1:
            for piece in inner:
                yield from _worth(piece.lower())
    if len(words) > 1:
        for name in _BETWEEN_NAMES.split(chunk):
            yield from _joined(_WORD.findall(name))


def _worth(piece: str) -> Iterator[str]:
    if len(piece) > 1:
        yield piece


def _joined(words: list[str]) -> Iterator[str]:
    joined = "".join(words).lower()
    plain = len(words) < 2 or joined.isdigit() or len(joined) > _MAX_WORD
    if not plain and not _OPAQUE.fullmatch(joined):
        yield joined


def _asked_pieces(chunk: str) -> Iterator[str]:
    if len(chunk) > _MAX_CHUNK:
        return
    yield from _pieces(chunk)
    for word in _WORD.findall(chunk):
        if len(word) <= _MAX_WORD and not _OPAQUE.fullmatch(word.lower()):
            yield " ".join(_PIECE.findall(word)).lower()


def _joined_neighbours(words: Iterable[str]) -> Iterator[str]:
    """ "time delta" was perhaps written timedelta: neighbours as one word."""
    for one, two in pairwise(words):
        joined = one + two
        whole = joined.isalpha() and min(len(one), len(two)) > 1 and len(joined) <= _MAX_WORD
        if whole and not {one, two} <= STOP_WORDS:
            yield joined


def _words(text: str) -> str:
    return " ".join(_WORD.findall(text)).lower()


def _kept(terms: Iterable[str]) -> tuple[str, ...]:
    wanted = (term for term in terms if term and term not in STOP_WORDS)
    return tuple(dict.fromkeys(wanted))[:MAX_TERMS]
