"""Tagged spans that must not be remembered: what they are called and how they are cut. ◦"""

import re
from collections import Counter

NAMES = (
    "private",
    "claude-mem-context",
    "claudemem-context",
    "system_instruction",
    "system-instruction",
    "persisted-output",
    "system-reminder",
)

_NAME = "|".join(NAMES)
# The end of an opening tag is not looked for: all up to its closing tag goes, whatever stands in
# it. Only `<name … />`, which opens nothing, has to be told apart, and that within a bound.
_TAG = re.compile(
    rf"<(?:/(?P<closing>{_NAME})\s*+>"
    rf"|(?P<opening>{_NAME})(?=[\s/>])(?P<alone>(?:\s[^<>]{{0,256}})?/>)?)"
)


def fold(text: str) -> str:
    """`text` in lower case, character for character, so that offsets hold in both."""
    low = text.lower()
    # U+0130 is the only character that lowers to more than one.
    return low if len(low) == len(text) else text.replace("\u0130", "i").lower()


def has_spans(low: str) -> bool:
    """Whether a folded text holds anything that `cut_spans` may remove."""
    return _TAG.search(low) is not None


def cut_spans(text: str, removed: Counter[str]) -> str:
    """`text` without its tagged spans, counted by tag; one walk, whatever the input.

    A span ends where its own tag has been closed as often as opened. One that never ends reaches
    to the end of the text, and a closing tag that closes nothing goes alone.
    """
    low = fold(text)
    last_bracket = low.rfind(">")
    kept: list[str] = []
    kept_to = depth = 0
    inside = ""
    for tag in _TAG.finditer(low):
        opening, closing = tag["opening"], tag["closing"]
        if depth:
            depth += (opening == inside and not tag["alone"]) - (closing == inside)
            kept_to = tag.end()
        elif closing or tag["alone"] or tag.end() <= last_bracket:
            kept.append(text[kept_to : tag.start()])
            kept_to = tag.end()
            removed[opening or closing] += 1
            if opening and not tag["alone"]:
                depth, inside = 1, opening
    if not depth:
        kept.append(text[kept_to:])
    return "".join(kept)
