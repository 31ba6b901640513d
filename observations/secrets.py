"""The rules by which secrets leave a text, and the cheap test that tells which may apply. ◦"""

import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from observations.assignments import STEMS, may_assign, redact_assignments, redact_flags
from observations.detectors import PHRASES, TOKENS
from observations.keyblocks import KEY_WORDS, may_hold_keys, redact_keys
from observations.needles import finder
from observations.spans import fold

_WORD_BYTES = frozenset((string.ascii_letters + string.digits + "_-.").encode())
_SHAPE = bytes(ord("w") if b in _WORD_BYTES else ord(" ") for b in range(256))
_SHORTEST_TOKEN = 20
_LONG = b"w" * _SHORTEST_TOKEN
_TOKEN_ANCHORS = tuple(dict.fromkeys(anchor for token in TOKENS for anchor in token.anchors))
_has_token_anchor = finder(_TOKEN_ANCHORS)


@dataclass(frozen=True, slots=True)
class Rule:
    """`may_apply` to a text and its folded form, at little cost; if so, `apply` may change it.

    One that is `anchored` applies to no text without one of the words that this module looks for.
    """

    may_apply: Callable[[str, str], bool]
    apply: Callable[[str, Counter[str]], str]
    anchored: bool = False


def suspects(text: str, rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """Those of the rules that may change `text`."""
    low = fold(text)
    # In most texts there is none of the words, and with that nothing of most rules is asked.
    some = _has_anchor(low)
    return tuple(
        [rule for rule in rules if (some or not rule.anchored) and rule.may_apply(text, low)]
    )


def long_words(text: str) -> str:
    """The words of `text` that are long enough to be a token: few, so cheap to search."""
    raw = text.encode()
    # What is long is found by its shape: to look at each word would take far longer.
    shape, found = raw.translate(_SHAPE), []
    start = shape.find(_LONG)
    while start >= 0:
        end = shape.find(b" ", start)
        end = len(raw) if end < 0 else end
        found.append(raw[start:end])
        start = shape.find(_LONG, end)
    return b" ".join(found).decode()


def _token_anchors(text: str) -> list[str]:
    words = long_words(text) if len(text) >= _SHORTEST_TOKEN else ""
    return [anchor for anchor in _TOKEN_ANCHORS if anchor in words] if words else []


def _may_hold_tokens(text: str, _low: str) -> bool:
    return _has_token_anchor(text) and bool(_token_anchors(text))


def _redact_tokens(text: str, removed: Counter[str]) -> str:
    anchors = set(_token_anchors(text))
    for token in TOKENS:
        if not anchors.isdisjoint(token.anchors):
            text = token.redact(text, removed)
    return text


def _phrases(anchors: tuple[str, ...]) -> Rule:
    """All detectors that look for the same anchors, so that these are looked for once."""
    detectors = [detector for detector in PHRASES if detector.anchors == anchors]

    holds = finder(anchors)

    def may_apply(_text: str, low: str) -> bool:
        return holds(low)

    def redact(text: str, removed: Counter[str]) -> str:
        for detector in detectors:
            text = detector.redact(text, removed)
        return text

    return Rule(may_apply, redact, anchored=True)


def _may_flag(_text: str, low: str) -> bool:
    return "--" in low and may_assign(low)


def _may_assign(_text: str, low: str) -> bool:
    return may_assign(low)


def _may_hold_keys(_text: str, low: str) -> bool:
    return may_hold_keys(low)


_has_anchor = finder((
    *STEMS, *KEY_WORDS, *[anchor for detector in PHRASES for anchor in detector.anchors],
))  # fmt: skip
KEY_BLOCKS = Rule(_may_hold_keys, redact_keys, anchored=True)
SECRETS: tuple[Rule, ...] = (
    KEY_BLOCKS,
    Rule(_may_hold_tokens, _redact_tokens),
    *[_phrases(anchors) for anchors in dict.fromkeys(d.anchors for d in PHRASES)],
    Rule(_may_flag, redact_flags, anchored=True),
    Rule(_may_assign, redact_assignments, anchored=True),
)
