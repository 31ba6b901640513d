"""Memory as text: what is stored as an observation's content, timelines, and context blocks.

Every size is in tokens as `estimate_tokens` counts them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from observations.drafts import ObservationDraft, SummaryDraft

OPEN, CLOSE = "<claude-mem-context>", "</claude-mem-context>"
# The marks of the mode `code`; a caller with another mode in force passes that mode's.
MARKS: Mapping[str, str] = {
    "bugfix": "●",
    "feature": "◆",
    "refactor": "↻",
    "change": "✓",
    "discovery": "○",
    "decision": "⚖",
    "security_alert": "⚠",
    "security_note": "⚷",
    "sensitive": "⊘",
    "summary": "§",
}
_TAG = re.compile(
    r"<(?=/?(?:private|claude-mem-context|system[_-]instruction|persisted-output|system-reminder))",
    re.IGNORECASE,
)
TITLE = 120  # characters
_SUMMARY_LABELS = (
    ("Request", "request"),
    ("Investigated", "investigated"),
    ("Learned", "learned"),
    ("Completed", "completed"),
    ("Next steps", "next_steps"),
    ("Notes", "notes"),
)


@dataclass(frozen=True, slots=True)
class Item:
    """One memory, ready to be shown. A summary has kind "summary" and its text as `narrative`."""

    number: int
    id: str
    kind: str
    title: str
    subtitle: str
    narrative: str
    facts: tuple[str, ...]
    files_read: tuple[str, ...]
    files_modified: tuple[str, ...]
    occurred_at: datetime
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class ContextText:
    """A context block, the ids of the items that went in, in their order, and its size."""

    text: str
    ids: tuple[str, ...]
    tokens: int


def estimate_tokens(text: str) -> int:
    """A quarter of the characters, rounded up."""
    return -(-len(text) // 4)


def observation_text(draft: ObservationDraft) -> str:
    """An observation's content: title, subtitle, narrative and facts, a blank line between."""
    facts = "\n".join(f"- {fact}" for fact in draft.facts)
    return _joined((draft.title, draft.subtitle, draft.narrative, facts))


def summary_text(draft: SummaryDraft) -> str:
    """A summary's content: its fields that are not empty, labelled, a blank line between."""
    fields = ((label, getattr(draft, name)) for label, name in _SUMMARY_LABELS)
    return _joined(f"{label}: {text}" for label, text in fields if text.strip())


def summary_title(draft: SummaryDraft) -> str:
    """A summary's title: the first sentence of the request, or of what there is instead."""
    fields = (getattr(draft, name) for _, name in _SUMMARY_LABELS)
    text = next((line_of(field) for field in fields if field.strip()), "")
    return _cut(re.split(r"(?<=[.!?]) (?=[A-Z])", text, maxsplit=1)[0])


def timeline(items: Iterable[Item], *, marks: Mapping[str, str] = MARKS) -> str:
    """The items as lines, oldest first, by day; a blank line where the session changes."""
    ordered = sorted(items, key=lambda each: (each.occurred_at, each.number))
    days = groupby(ordered, key=lambda each: each.occurred_at.date())
    return "\n\n".join(
        f"### {day:%b} {day.day}, {day.year}\n\n{_sessions(tuple(those), marks)}"
        for day, those in days
    )


def index(items: Iterable[Item], *, marks: Mapping[str, str] = MARKS) -> str:
    """The items as lines with their day, in the order given."""
    return "\n".join(
        f"#{each.number} {each.occurred_at:%Y-%m-%d} {marks.get(each.kind, '•')} "
        f"{_title(each)}{_files(each)}"
        for each in items
    )


def context_block(
    items: Sequence[Item],
    *,
    project: str,
    budget_tokens: int,
    now: datetime | None = None,
    marks: Mapping[str, str] = MARKS,
) -> ContextText:
    """What the next session of a project is told, never larger than `budget_tokens`.

    The newest summary comes first, then one line for each other item, in the order given, as far
    as they fit. Ages are counted to `now`, or to the newest item. An empty text if nothing fits.
    """
    now = now or max((each.occurred_at for each in items), default=None)
    summary = max(
        (each for each in items if each.kind == "summary"),
        key=lambda each: (each.occurred_at, each.number),
        default=None,
    )
    lines = [f"# {tame(line_of(project))}: what is remembered", ""]
    room = budget_tokens * 4 - len(wrapped(lines))
    ids: list[str] = []
    for item in _summary_first(items, summary):
        text = _entry(item, now, marks, room=room // 2 if item is summary else None)
        if text and len(text) + 1 <= room:
            lines.append(text)
            ids.append(item.id)
            room -= len(text) + 1
    text = wrapped(lines) if ids else ""
    return ContextText(text, tuple(ids), estimate_tokens(text))


def _summary_first(items: Iterable[Item], summary: Item | None) -> Iterator[Item]:
    if summary:
        yield summary
    yield from (each for each in items if each is not summary)


def _entry(item: Item, now: datetime | None, marks: Mapping[str, str], room: int | None) -> str:
    age = f" ({_age(now - item.occurred_at)})" if now else ""
    head = f"#{item.number} {marks.get(item.kind, '•')} {_title(item)}{age}{_files(item)}"
    if room is None:
        return head
    return _fitting([f"#{item.number} Last session{age}", *_body(item)], room)


def _body(item: Item) -> Iterator[str]:
    text = item.narrative.strip() or item.title
    return (tame(line) for line in text.splitlines() if line.strip())


def _fitting(lines: Iterable[str], room: int) -> str:
    """The leading lines that fit, the last of them cut if need be, and a blank line after them."""
    kept: list[str] = []
    left = room - 1
    for line in lines:
        kept.append(line if len(line) < left else line[: max(left - 1, 0)].rstrip() + "…")
        left -= len(line) + 1
        if left <= 1:
            break
    return "\n".join((*kept, "")) if len(kept) > 1 else ""


def _sessions(items: tuple[Item, ...], marks: Mapping[str, str]) -> str:
    runs = groupby(items, key=lambda each: each.session_id)
    return "\n\n".join("\n".join(_moment(each, marks) for each in run) for _, run in runs)


def _moment(item: Item, marks: Mapping[str, str]) -> str:
    mark = marks.get(item.kind, "•")
    return f"#{item.number} {item.occurred_at:%H:%M} {mark} {_title(item)}{_files(item)}"


def _title(item: Item) -> str:
    words = item.title.strip() or next(iter(item.narrative.strip().splitlines()), "")
    return tame(_cut(line_of(words))) or item.kind


def _files(item: Item) -> str:
    names = dict.fromkeys((*item.files_modified, *item.files_read))
    new = [tame(line_of(name)) for name in names if name not in item.title]
    rest = f" +{len(new) - 3}" if len(new) > 3 else ""
    return f" [{', '.join(new[:3])}{rest}]" if new else ""


def _age(age: timedelta) -> str:
    seconds = max(int(age.total_seconds()), 0)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "just now"


def wrapped(lines: Iterable[str]) -> str:
    """The lines as a block that is recognised, and not captured, should it come back."""
    return "\n".join((OPEN, *lines, CLOSE))


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part.strip() for part in parts if part.strip())


def _cut(text: str) -> str:
    return text if len(text) <= TITLE else text[: TITLE - 1].rsplit(" ", 1)[0].rstrip(",;:") + "…"


def line_of(text: str) -> str:
    """`text` in one line, each run of blanks one space."""
    return " ".join(text.split())


def tame(text: str) -> str:
    """`text` in which no tag can open or close a block that readers treat as not captured."""
    return _TAG.sub("‹", text)
