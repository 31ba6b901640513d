"""What an agent is told at a hook, as text: facts with number, age and kind, within a budget. Pure.

Memory is data. It was made of what agents read and ran, so anybody's words may be in it: marks that
agents take for structure are tamed, and sentences that read like orders are left out.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from observations.orders import reads_like_an_order
from observations.rendering import Item, line_of, wrapped

# No tokenizer of a model makes more of English or code than one token of three bytes.
_BYTES_A_TOKEN: Final = 3
TITLE: Final = 160  # characters
DETAIL: Final = 240
_PASSAGE: Final = 420
_MOST_FILES: Final = 3
_OPENS = re.compile(r"<(?=[/!?]?[A-Za-z_])")
_FENCE = re.compile(r"`{3,}|~{3,}")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])\s*(?=\S)")
_WORD = re.compile(r"[^\W_]+")
_LEFT_OUT: Final = "[left out: reads like an order]"
_IS_SEEN: Final = str.isprintable


@dataclass(frozen=True, slots=True)
class Recap:
    """A session's summary: what was asked, done, left open and learned; "" where nothing is."""

    item: Item
    request: str = ""
    completed: str = ""
    next_steps: str = ""
    learned: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Lines of a kind, under a heading if there is one.

    `detailed` of the items, the first ones, are told in a second line too. `notes` are lines that
    are no memory of their own.
    """

    heading: str = ""
    items: Sequence[Item] = ()
    recaps: Sequence[Recap] = ()
    detailed: int = 0
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A block for an agent, the items that are in it, in their order, and its size in tokens."""

    text: str = ""
    items: tuple[Item, ...] = ()
    tokens: int = 0


NOTHING: Final = Page()


def tokens_of(text: str) -> int:
    """How many tokens a text is at most: a third of its bytes, rounded up."""
    return -(-len(text.encode()) // _BYTES_A_TOKEN)


def page(title: str, sections: Iterable[Section], *, budget_tokens: int, now: datetime) -> Page:
    """The block, never larger than `budget_tokens`; nothing where no memory fits.

    Sections come in their order, and so do their items; what was said before is not said again.
    """
    draft = _Draft(budget_tokens * _BYTES_A_TOKEN)
    draft.head(safe(title))
    for section in sections:
        draft.add(section, now)
    return draft.page()


@dataclass(slots=True)
class _Draft:
    """Lines as far as there is room (bytes)."""

    room: int
    lines: list[str] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    titles: set[str] = field(default_factory=set)

    def head(self, title: str) -> None:
        self.lines.append(title)
        self.room -= len(wrapped(self.lines).encode())

    def add(self, section: Section, now: datetime) -> None:
        """The section's lines that fit, if any of its memories does."""
        before = len(self.lines), self.room, len(self.items)
        told = not section.heading or self._line(section.heading)
        for recap in section.recaps if told else ():
            self._recap(recap, now)
        for place, item in enumerate(section.items if told else ()):
            self._item(item, now, detailed=place < section.detailed)
        if len(self.items) == before[2]:
            del self.lines[before[0] :]
            self.room = before[1]
            return
        for note in section.notes:
            self._line(note)

    def page(self) -> Page:
        if not self.items:
            return NOTHING
        text = wrapped(self.lines)
        return Page(text, tuple(self.items), tokens_of(text))

    def _line(self, text: str) -> bool:
        size = len(text.encode()) + 1
        if size > self.room:
            return False
        self.lines.append(text)
        self.room -= size
        return True

    def _item(self, item: Item, now: datetime, *, detailed: bool = False) -> bool:
        title = title_of(item)
        if title in self.titles or not self._line(line(item, now)):
            return False
        self.titles.add(title)
        self.items.append(item)
        if detailed and (more := detail(item)):
            self._line(f"  {more}")
        return True

    def _recap(self, recap: Recap, now: datetime) -> None:
        if not self._item(recap.item, now):
            return
        most = self.room // 2
        for text in _told(recap):
            if len(text.encode()) < most and self._line(text):
                most -= len(text.encode()) + 1


def _told(recap: Recap) -> Iterator[str]:
    """What is open comes first: it is what the next session asks for."""
    said: set[str] = {title_of(recap.item)}
    for label, text in (
        ("asked", recap.request),
        ("still open", recap.next_steps),
        ("done", recap.completed),
        ("learned", recap.learned),
    ):
        kept = [each for each in _sentences(text) if each not in said]
        said.update(kept)
        if passage := _cut(" ".join(kept), _PASSAGE):
            yield f"  {label}: {passage}"


def _sentences(text: str) -> list[str]:
    return list(dict.fromkeys(_SENTENCE.split(safe(text)))) if text.strip() else []


def line(item: Item, now: datetime) -> str:
    """`#12 bugfix, 3 d ago: what it says [where]`."""
    return f"#{item.number} {safe(item.kind)}, {age(now - item.occurred_at)}: {title_of(item)}"


def title_of(item: Item) -> str:
    """What an item says in a line, with the files that it does not name itself."""
    words = item.title.strip() or next(iter(item.narrative.strip().splitlines()), "")
    title = _cut(safe(words), TITLE) or "untitled"
    return f"{title}{_files(item, title)}"


def detail(item: Item) -> str:
    """What an item says beyond its title, in a line; "" if nothing."""
    said = title_of(item)
    for text in (item.subtitle, *item.facts[:2], item.narrative):
        if (plain := safe(text)) and plain.rstrip(".") not in said:
            return _cut(plain, DETAIL)
    return ""


def passage(texts: Iterable[str], words: Sequence[str]) -> str:
    """Of all sentences the few that hold most of these words, in their order."""
    stems = [word[: max(4, len(word) - 3)] for word in words]
    sentences = list(dict.fromkeys(each for text in texts for each in _sentences(text)))
    holds = [sum(stem in _plain(each) for stem in stems) for each in sentences]
    kept: list[int] = []
    room = DETAIL
    for place in sorted(range(len(sentences)), key=lambda each: (-holds[each], each)):
        if holds[place] and len(sentences[place]) <= room:
            kept.append(place)
            room -= len(sentences[place]) + 1
    return " ".join(sentences[place] for place in sorted(kept))


def _plain(text: str) -> str:
    """The words of a text as terms of a query are written."""
    return " ".join(_WORD.findall(text)).lower()


def _files(item: Item, title: str) -> str:
    paths = (*item.files_modified, *item.files_read)
    names = dict.fromkeys(safe(_short(path)) for path in paths)
    new = [name for name in names if name and name.rpartition("/")[2] not in title]
    rest = f" +{len(new) - _MOST_FILES}" if len(new) > _MOST_FILES else ""
    return f" [{', '.join(new[:_MOST_FILES])}{rest}]" if new else ""


def _short(path: str) -> str:
    """The last two parts of a path: enough to know it by."""
    parts = [part for part in path.replace("\\", "/").split("/") if part]
    return "/".join(parts[-2:])


def age(passed: timedelta) -> str:
    """How long ago that is, in one unit."""
    seconds = max(int(passed.total_seconds()), 0)
    for unit, size in (("y", 31_536_000), ("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "just now"


def safe(text: str) -> str:
    """`text` in one line, with no tag or fence in it and without what reads like an order.

    Nothing is in it that readers do not see: terminals and models would take orders from that.
    """
    plain = _FENCE.sub("'", _OPENS.sub("‹", _seen(line_of(text))))
    kept = [_LEFT_OUT if reads_like_an_order(each) else each for each in _SENTENCE.split(plain)]
    return " ".join(dict.fromkeys(kept)) if _LEFT_OUT in kept else plain


def _seen(text: str) -> str:
    """`text` without control characters and others that have no form."""
    return text if text.isprintable() else "".join(filter(_IS_SEEN, text))


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return text[: most - 1].rsplit(" ", 1)[0].rstrip(",;:.") + "…"
