"""Whether what was found bears on what was asked, by the words that both have. Pure.

A search always finds something, and agents read all that they are told: a prompt about something
else must get nothing. What counts is how much of what the question says a memory says as well,
rare words more than common ones.
"""

import re
from collections.abc import Iterable, Mapping
from math import log
from typing import Final

from observations.search.index import Held
from observations.search.terms import STOP_WORDS

# Enough of any prompt to tell what it is about.
MOST_WORDS: Final = 12
# Talk: it says nothing of what is talked about.
_OF_TALK = """
    again agree agreed alright anyway back begin better bit can carry continue cool correct
    course exactly fine first get getting go going good great hello help hey hi keep know last
    let lets like look looks lot maybe mean much need next nice nope now ok okay perfect please
    proceed really right see show sounds start still stop sure tell thank thanks thing things
    think time today try us use using wait want way well work works yeah yep yes yesterday
"""
# What is done to anything: such words alone find anything.
_OF_DEEDS = """
    add bug bugs build change changes check class code commit create debug delete do error errors
    explain failing fails file files find fix fixed function implement improve issue issues line
    lines make method module new old project read refactor remove rename repo rewrite run running
    script session set simple test tests update write
"""
_TALK, _DEEDS = frozenset(_OF_TALK.split()), frozenset(_OF_DEEDS.split())
_CHUNK = re.compile(r"[^\W_]+(?:[-_./\\:@#]+[^\W_]+)*")
_NAMED = re.compile(r"[-_./\\:@#]|[a-z][A-Z]|[A-Za-z]\d|\d[A-Za-z]")
_PATH = re.compile(r"[/\\]")
# What is asked for when somebody wants to know where they stood.
_WHERE_WE_STOOD = re.compile(
    r"\b(?:last|previous|earlier|past|prior)\s+(?:time|session|conversation|chat|work|day|week)\b"
    r"|\bwhat\s+(?:did|have|had|were|was|are)\s+(?:i|we|you)\s+(?:\w+\s+){0,2}?"
    r"(?:do|done|doing|work|working|finish|change|stop|leave|left)\b"
    r"|\bwhere\s+(?:did|were|are|was)\s+(?:i|we|you)\b|\b(?:left|leave)\s+off\b|\bwhat'?s\s+next\b"
    r"|\bpick(?:ing)?\s+up\s+where\b|\bcatch\s+me\s+up\b|\bopen\s+(?:tasks|ends|points)\b"
    r"|\bstatus\s+of\s+(?:the|our|my)\s+work\b|\byesterday\b",
    re.IGNORECASE,
)
# A question so long is about something of its own, whatever it mentions.
_LONGEST_QUESTION: Final = 200

# So much of what a question says must be in a memory, by weight,
_SHARE: Final = 0.4
# but not more than that: of a long text a few rare words in common are much,
_ENOUGH: Final = 7.5
# nor less: a single word that every other memory has tells nothing.
_LEAST: Final = 1.4
# And of what was found, what fits less than half as well as the best is left out.
_OF_BEST: Final = 0.5
# Rows are looked for by words that stand in such a part of all, or in so few.
_PART: Final = 6
_FEW: Final = 40
# Few rows tell little of how common a word is: as if there were so many more.
_UNSEEN: Final = 60
_UNSEEN_HOLDING: Final = 6


def asks_where_we_stood(text: str) -> bool:
    """Whether a prompt wants to know what was done before."""
    return len(text) <= _LONGEST_QUESTION and bool(_WHERE_WE_STOOD.search(text))


def words_of(text: str) -> tuple[str, ...]:
    """What a prompt is about: its telling words and names, as terms of a query; none if talk.

    A name stays one: `max_wait` is "max wait". Names come first, then long words.
    """
    found: dict[str, bool] = {}
    for chunk in _CHUNK.findall(text[:8_000]):
        name = _PATH.split(chunk)[-1] if _PATH.search(chunk) else chunk
        term = " ".join(re.findall(r"[^\W_]+", name)).lower()
        if 1 < len(term) <= 64 and term not in STOP_WORDS | _TALK and not term.isdigit():
            found.setdefault(term, bool(_NAMED.search(name)))
    if all(term in _DEEDS for term in found):
        return ()
    ordered = sorted(found, key=lambda term: (not found[term], -len(term)))
    return tuple(ordered[:MOST_WORDS])


def sought(words: Iterable[str], held: Held) -> tuple[str, ...]:
    """The words by which rows are looked for: the rarest, as far as it is known how rare they are.

    Together they are to stand in few rows, for each of these is read; the others only count where
    they stand beside one of them.
    """
    room = max(held.rows // _PART, _FEW)
    chosen: list[str] = []
    for word in sorted(words, key=lambda word: held.holding.get(word, 0)):
        room -= held.holding.get(word, 0)
        if room < 0 and any(held.holding.get(each) for each in chosen):
            break
        chosen.append(word)
    return tuple(chosen)


def fitting(words: Iterable[str], held: Held) -> Mapping[int, float]:
    """How well each row fits, by number; those that do not bear on the words are not there."""
    known = frozenset().union(*held.by.values())
    worth = {word: _worth(held, word, known) for word in words}
    needed = max(min(_SHARE * sum(worth.values()), _ENOUGH), _LEAST)
    fits = {
        number: sum(worth[word] for word in holds)
        for number, holds in held.by.items()
        if not holds <= _DEEDS
    }
    least = max(needed, _OF_BEST * max(fits.values(), default=0.0))
    return {number: fit for number, fit in fits.items() if fit >= least}


def _worth(held: Held, word: str, known: frozenset[str]) -> float:
    """How much it tells that a row holds a word: the rarer, the more; a deed half as much.

    A name tells more than a word; one that no row holds may be new, and tells little.
    """
    rows, holding = held.rows + _UNSEEN, held.holding.get(word, 0) + _UNSEEN_HOLDING
    told = log(max(rows / holding, 1.0) + 0.2)
    if " " in word:
        return told * (2.0 if word in known else 0.5)
    return told / 2 if word in _DEEDS else told
