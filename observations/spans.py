"""Tagged spans that must not be remembered: what they are called and how they are cut. ◦"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from observations.needles import finder

NAMES = (
    "private",
    "claude-mem-context",
    "claudemem-context",
    "system_instruction",
    "system-instruction",
    "persisted-output",
    "system-reminder",
)
_MARKED_BY_HAND = "private"
_NAME = "|".join(NAMES)


@dataclass(frozen=True, slots=True)
class _Way:
    """How a tag is written that was put into another text, as patterns; each is bounded.

    One that was put into a text twice is escaped twice, so what escapes it may be repeated.
    """

    opens: str
    slash: str
    ends: str
    inside: str  # what stands in `<name … />` before its end

    @property
    def pattern(self) -> str:
        # The end of an opening tag is not looked for: all up to its closing tag goes, whatever
        # stands in it. Only `<name … />`, which opens nothing, has to be told apart.
        return (
            rf"{self.opens}(?:{self.slash}({_NAME})\s*+{self.ends}"
            rf"|({_NAME})(?=[\s/>\\&%+])"
            rf"((?:\s{self.inside}{{0,256}})?{self.slash}{self.ends})?)"
        )


# Each way has three groups, in this order; so a group's number says what it is and of which way.
_CLOSING, _OPENING, _ALONE = range(3)
_RAW = 0
_BACK = r"\\{0,16}+/"
_CODE = r"(?:u00|x)"
_AMP = "(?:amp;){0,8}+"
_LESS = rf"{_AMP}(?:lt|#0{{0,5}}60|#x0{{0,5}}3c);"
_SLASH = rf"(?:{_BACK}|&{_AMP}(?:sol|#0{{0,5}}47|#x0{{0,5}}2f);)"
_GREATER = rf"(?:&|\\{{1,16}}+u0026){_AMP}(?:gt|#0{{0,5}}62|#x0{{0,5}}3e);"
_TAG = re.compile(
    "|".join(
        way.pattern
        for way in (
            _Way("<", _BACK, ">", r"[^<>]"),
            _Way(rf"\\\\{{0,15}}+{_CODE}3c", _BACK, rf"\\{{1,16}}+{_CODE}3e", r"[^<>\\]"),
            _Way(f"&{_LESS}", _SLASH, _GREATER, r"[^<>&\\]"),
            _Way(rf"\\\\{{0,15}}+u0026{_LESS}", _SLASH, _GREATER, r"[^<>&\\]"),
            _Way("%(?:25){0,8}+3c", "(?:/|%(?:25){0,8}+2f)", "%(?:25){0,8}+3e", r"[^<>%]"),
        )
    )
)
_names_one = finder(NAMES)


def fold(text: str) -> str:
    """`text` in lower case, character for character, so that offsets hold in both."""
    low = text.lower()
    # U+0130 is the only character that lowers to more than one.
    return low if len(low) == len(text) else text.replace("\u0130", "i").lower()


def has_spans(low: str) -> bool:
    """Whether a folded text holds anything that `cut_spans` may remove."""
    return _names_one(low) and _TAG.search(low) is not None


def cut_spans(text: str, removed: Counter[str]) -> str:
    """`text` without its tagged spans, counted by tag; one walk, whatever the input.

    A span ends where its own tag has been closed as often as opened. One that never ends reaches
    to the end of the text. A closing tag that closes nothing goes alone; but `</private>` takes
    with it what stands before it, up to another tag: the text is a part, and its span began
    before it.
    """
    return "".join([text[start:end] for start, end in _kept(fold(text), removed)])


def cut_lines(lines: Sequence[str], removed: Counter[str]) -> list[str]:
    """The lines of one text without the spans that begin in one and end in another of them."""
    text = "\n".join(lines)
    ranges = _kept(fold(text), removed)
    cut: list[str] = []
    start = at = 0
    for line in lines:
        end, parts = start + len(line), []
        while at < len(ranges) and ranges[at][0] <= end:
            parts.append(text[max(start, ranges[at][0]) : min(end, ranges[at][1])])
            if ranges[at][1] > end:
                break
            at += 1
        cut.append("".join(parts))
        start = end + 1
    return cut


def _kept(low: str, removed: Counter[str]) -> list[tuple[int, int]]:
    """The ranges of a folded text that stand in no span."""
    last_bracket = low.rfind(">")
    kept: list[tuple[int, int]] = []
    kept_to = depth = 0
    inside = (_RAW, "")
    for tag in _TAG.finditer(low):
        group = tag.lastindex or 0
        way, role = divmod(group - 1, 3)
        name = tag[group] if role != _ALONE else tag[group - 1]
        if depth:
            if (way, name) == inside:
                depth += (role == _OPENING) - (role == _CLOSING)
            kept_to = tag.end()
        elif role != _OPENING or way != _RAW or tag.end() <= last_bracket:
            if role != _CLOSING or name != _MARKED_BY_HAND:
                kept.append((kept_to, tag.start()))
            kept_to = tag.end()
            removed[name] += 1
            depth, inside = int(role == _OPENING), (way, name)
    return kept if depth else [*kept, (kept_to, len(low))]
