"""Private key blocks (PEM, OpenSSH, PGP, SSH2, PuTTY), closed or not. ◦"""

import re
from collections import Counter

_NAME = "private-key"
_BEGIN = re.compile(
    r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}|Private-Lines: ?\d{1,4}"
)
_END = re.compile(
    r"-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}|Private-MAC: ?[0-9a-fA-F]*"
)
# What follows the first line of a key: a line break, as such or escaped, or the key itself. A
# quote or a bracket follows where a program or a text only speaks of keys.
_BODY = re.compile(r"[ \t]*+(?:[\r\n]|\\+[rn]|[A-Za-z0-9+/=]{16}|$)")
# Lines of a key that is written as a program's strings.
_MATERIAL = re.compile(r"[A-Za-z0-9+/=]{40}")
_REACH = 1024
# Without one of these a folded text holds no such block.
KEY_WORDS = ("private key", "private-lines:")


def may_hold_keys(low: str) -> bool:
    """Whether a folded text may hold a private key block."""
    return ("private key" in low and "begin" in low) or "private-lines:" in low


def redact_keys(text: str, removed: Counter[str]) -> str:
    """`text` with private key blocks replaced; one that is not closed goes to the text's end."""
    kept: list[str] = []
    done = 0
    end = _END.search(text)
    for begin in _BEGIN.finditer(text):
        if begin.start() < done:
            continue
        if end and end.start() < begin.end():
            end = _END.search(text, begin.end())
        if not _is_key(text, begin.end(), end):
            continue
        kept += text[done : begin.start()], f"[redacted:{_NAME}]"
        removed[_NAME] += 1
        done = end.end() if end else len(text)
    return "".join([*kept, text[done:]]) if kept else text


def _is_key(text: str, start: int, end: re.Match[str] | None) -> bool:
    """Whether a key follows a first line that ends at `start`, or just talk of keys."""
    if _BODY.match(text, start):
        return True
    reach = min(end.start(), start + _REACH) if end else start
    return _MATERIAL.search(text, start, reach) is not None
