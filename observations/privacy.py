"""What happens to a payload at the door, before anything of it is written. ◦

Tagged spans and secrets are taken out of every string and every key, at any depth; characters that
no database takes are cleaned; strings that are too long lose their middle. All of it is settled:
to scrub what has been scrubbed changes nothing.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

from observations.drafts import JSON
from observations.literals import is_pointer, is_random, secret_kind
from observations.secrets import KEY_BLOCKS, SECRETS, Rule, suspects
from observations.spans import cut_lines, cut_spans, fold, has_spans

_Container: TypeAlias = dict[str, JSON] | list[JSON]
_Pending: TypeAlias = tuple[_Container, _Container, str | None]  # from, to, what its strings are

_SPANS = Rule(lambda _text, low: has_spans(low), cut_spans)
_RULES = (_SPANS, *SECRETS)
_REACHING = (_SPANS, KEY_BLOCKS)  # what they remove may be as long as the text

_SHORT = 20  # an identifier that is shorter holds no secret
# Ids are such: nothing that any rule looks for can be spelt with these letters.
_ID = re.compile(r"[0-9a-f-]{1,96}")
_ROUNDS = 8
_MOST_SUSPECTED = 10_000  # texts of a value: to look into each takes some 40 us
_UNSETTLED = "[redacted:unsettled]"
_SURROGATES = re.compile("[\ud800-\udfff]+")
_TOKEN_RUN = re.compile(r"[A-Za-z0-9+/=_.-]*+")
_SMALL = 96  # twice the room of a cut's marker; below, a cut text just ends
_MARGIN = 4096  # a secret that is longer may lose only its middle at a cut
_LONGEST_NAME = 100
_LONGEST_IDENTIFIER = 480


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """A value that may be kept, of the same shape as the one that came, and what it lost."""

    value: JSON
    removed: dict[str, int]


def scrub(value: JSON, *, max_text: int = 16_384) -> Scrubbed:
    """`value` without what must not be kept, and counts of what was removed by the rule's name.

    No string of it is longer than `max_text` characters. `value` itself is never changed: what is
    returned is a copy, or `value` where nothing was to be removed. Nothing that a JSON parser
    returns is refused.
    """
    if not value:
        return Scrubbed(value, {})
    texts, lists, tells = _texts(value)
    removed: Counter[str] = Counter()
    cleaned = _cleaned(_joined_up(texts, lists, removed), max_text, removed)
    if not tells and cleaned == texts:
        return Scrubbed(value, {})
    return Scrubbed(_rebuilt(value, iter(cleaned), removed), dict(removed))


def scrub_text(text: str, *, max_text: int | None = None) -> str:
    """The same for a single text: cleaned, and cut to `max_text` characters if given."""
    limit = sys.maxsize if max_text is None else max_text
    if limit >= _SMALL and _is_plain(text):
        return text
    return _cleaned([text], limit, Counter())[0]


def scrub_name(text: str) -> str:
    """The same for a name that tells things apart: two that differ still do afterwards.

    One that loses something gets a digest of what it was.
    """
    clean = scrub_text(text, max_text=_LONGEST_IDENTIFIER)
    return (
        text
        if clean == text
        else f"{clean}~{sha256(text.encode('utf-8', 'replace')).hexdigest()[:16]}"
    )


def _joined_up(texts: list[str], lists: list[slice], removed: Counter[str]) -> list[str]:
    """The texts without the spans that reach over several strings of a list: lines of a patch."""
    for strings in lists:
        lines = [_storable(text) for text in texts[strings]]
        if has_spans(fold("\n".join(lines))):
            texts = [*texts]
            texts[strings] = cut_lines(lines, removed)
    return texts


def _cleaned(texts: list[str], max_text: int, removed: Counter[str]) -> list[str]:
    """The texts, cleaned one by one, but only by the rules that all of them together call for."""
    if max_text < _SMALL:
        return [_within(_storable(text), _RULES, max_text, removed) for text in texts]
    odd = [text for text in texts if not _is_plain(text)]
    if not odd:
        return texts
    joined = "\n".join(odd)
    if not _is_storable(joined):
        texts = [_storable(text) for text in texts]
        joined = "\n".join(texts)
    if len(joined) > max_text:
        joined = "\n".join([text for text in texts if len(text) <= max_text])
    rules = suspects(joined, _RULES)
    if not rules and len(max(texts, key=len)) <= max_text:
        return texts
    return list(_each(texts, rules, max_text, removed))


def _each(
    texts: list[str], rules: Sequence[Rule], max_text: int, removed: Counter[str]
) -> Iterator[str]:
    """The texts, each cleaned; where more are suspected than anything real holds, whole."""
    suspected = 0
    for text in texts:
        suspicions = () if _is_plain(text) else suspects(text, rules)
        if not suspicions and len(text) <= max_text:
            yield text
            continue
        suspected += 1
        if suspected <= _MOST_SUSPECTED:
            yield _within(text, suspicions, max_text, removed)
        else:
            yield _withheld(text, "unsettled", removed)


def _is_plain(text: str) -> bool:
    """Whether no rule changes it: most names of fields and kinds are such, and are not searched."""
    if len(text) < _SHORT and text.isascii() and (text.isidentifier() or not text):
        return True
    return _ID.fullmatch(text) is not None


def _within(text: str, rules: Sequence[Rule], max_text: int, removed: Counter[str]) -> str:
    """A text cleaned and cut; one that is far too long is not searched where it will be cut."""
    if len(text) <= max_text:
        text = _settled(text, rules, removed)
    else:
        text = _settled(text, _REACHING, removed, among=_REACHING)
        if len(text) > max_text + 2 * _MARGIN:
            removed["truncated"] += 1
            text = _ends(text, max_text, removed)
        text = _settled(text, _RULES, removed)
    if len(text) <= max_text:
        return text
    removed["truncated"] += 1
    for _ in range(_ROUNDS):
        text = _settled(_cut(text, max_text), _RULES, removed)
        if len(text) <= max_text:
            return text
    return _UNSETTLED[:max_text]


def _settled(
    text: str, rules: Sequence[Rule], removed: Counter[str], among: Sequence[Rule] = _RULES
) -> str:
    """`text` after its rules, and after those that a removal has called for, until none changes it.

    A text that takes too many rounds was made to; nothing of it is kept.
    """
    if len(text) < 7 or (len(text) < _SHORT and text.isascii() and text.isidentifier()):
        return text
    for _ in range(_ROUNDS):
        before, low = text, fold(text)
        for rule in rules:
            if rule.may_apply(text, low):
                changed = rule.apply(text, removed)
                if changed != text:
                    text, low = changed, fold(changed)
        if text == before:
            return text
        rules = among
    removed["unsettled"] += 1
    return _UNSETTLED


def _ends(text: str, max_text: int, removed: Counter[str]) -> str:
    """Head and tail of a very long text, without the secrets that lie in them or reach into them.

    Both are searched with a margin that is dropped afterwards, and with it any half of a secret.
    """
    room, tail_room = _room(max_text)
    head = _settled(text[: room + _MARGIN], _RULES, removed)[:-_MARGIN]
    head = head[: _outside_placeholder(head, room)[0]]
    tail = _settled(text[-tail_room - _MARGIN :], _RULES, removed)[_MARGIN:]
    tail = tail[_outside_placeholder(tail, max(0, len(tail) - tail_room))[1] :]
    run = _TOKEN_RUN.match(tail)
    if run and is_random(run[0][:256]):
        tail = tail[run.end() :]
    return head + _marker(len(text) - len(head) - len(tail)) + tail


def _cut(text: str, max_text: int) -> str:
    """`text` without its middle; without its end, if there is no room for more."""
    if max_text < _SMALL:
        return text[: max(0, max_text - 1)] + "…"[:max_text]
    room, tail_room = _room(max_text)
    start = _outside_placeholder(text, room)[0]
    end = _outside_placeholder(text, len(text) - tail_room)[1]
    return text[:start] + _marker(end - start) + text[end:]


def _room(max_text: int) -> tuple[int, int]:
    """How long head and tail may be."""
    both = max(0, max_text - _SMALL // 2)
    return both - both // 4, both // 4


def _marker(lost: int) -> str:
    return f"\n[… {lost} characters cut …]\n"


def _outside_placeholder(text: str, at: int) -> tuple[int, int]:
    """Where to cut before and behind a placeholder that stands at `at`; else just there."""
    start = text.rfind("[redacted:", max(0, at - 64), at + 9)
    end = text.find("]", start) + 1
    return (start, end) if 0 <= start < at < end else (at, at)


def _is_storable(text: str) -> bool:
    """Whether every database takes it; in Python a text may hold halves of characters."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _storable(text: str) -> str:
    return _SURROGATES.sub(lambda run: "\ufffd" * len(run[0]), text.replace("\0", ""))


def _texts(value: JSON) -> tuple[list[str], list[slice], bool]:
    """All keys and strings, in the order in which `_rebuilt` takes them back.

    And where in them the strings of each list are, and whether any key is the name of a secret.
    """
    texts: list[str] = []
    lists: list[slice] = []
    containers: list[JSON] = [[value]]
    tells = False
    while containers:
        container = containers.pop()
        items: Iterable[JSON] = ()
        if isinstance(container, dict):
            texts += container
            items = container.values()
            tells = tells or any(map(secret_kind, filter(_is_short, container)))
        elif isinstance(container, list):
            items = container
        begin = len(texts)
        for item in items:
            if isinstance(item, str):
                texts.append(item)
            elif isinstance(item, (dict, list)):
                containers.append(item)
        if isinstance(container, list) and len(texts) > begin + 1:
            lists.append(slice(begin, len(texts)))
    return texts, lists, tells


def _rebuilt(value: JSON, texts: Iterator[str], removed: Counter[str]) -> JSON:
    """A copy of `value` with the cleaned texts; what a secret's name holds is replaced whole.

    It walks with a list of its own: a payload may be nested deeper than Python calls.
    """
    root: list[JSON] = []
    waiting: list[_Pending] = [([value], root, None)]

    def copied(item: JSON, kind: str | None) -> JSON:
        if isinstance(item, str):
            text = next(texts)
            return _withheld(text, kind, removed) if kind else text
        if isinstance(item, dict):
            fields: dict[str, JSON] = {}
            waiting.append((item, fields, None))
            return fields
        if isinstance(item, list):
            items: list[JSON] = []
            waiting.append((item, items, kind))
            return items
        return item

    while waiting:
        source, target, kind = waiting.pop()
        if isinstance(source, dict) and isinstance(target, dict):
            names = [next(texts) for _ in source]
            for name, item in zip(names, source.values(), strict=True):
                target[_unused(name, target)] = copied(item, _kind_of(name))
        elif isinstance(source, list) and isinstance(target, list):
            target.extend([copied(item, kind) for item in source])
    return root[0]


def _is_short(name: str) -> bool:
    return len(name) <= _LONGEST_NAME


def _kind_of(name: str) -> str | None:
    if name.startswith(_UNSETTLED):
        return "secret"  # whatever it was
    if len(name) > _LONGEST_NAME or "[redacted:" in name:
        return None
    return secret_kind(name)


def _unused(name: str, fields: dict[str, JSON]) -> str:
    """A name that is still free: two keys may be alike once their secrets are gone."""
    free, n = name, len(fields)
    while free in fields:
        free, n = f"{name}#{n}", n + 1
    return free


def _withheld(text: str, kind: str, removed: Counter[str]) -> str:
    if is_pointer(text):
        return text
    removed[kind] += 1
    return f"[redacted:{kind}]"
