"""What a session begins with, as a page: the layout that clients of claude-mem know. ◦

A page is made of a `Briefing`, which holds what there is to tell, and a `Layout`, which says how
much of it and how. Everything in it that was remembered is tamed, and the page for an agent is
wrapped, so that it is recognised should it come back in a capture.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import groupby, pairwise
from typing import Literal

from observations.modes import Mode
from observations.rendering import Item, line_of, tame, wrapped

UNTITLED, UNASKED = "Untitled", "Session started"
SESSION_MARK = "§"
# What stands where a line would repeat the time of the one above it.
SAME_TIME = '"'

Role = Literal["title", "note", "day", "entry", "detail", "session", "label", "warning", "blank"]
Line = tuple[Role, str]
BLANK: Line = ("blank", "")

# What a terminal would take as an order, in what was captured.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_RESET = "\x1b[0m"
_COLOURS: dict[Role, str] = {
    "title": "\x1b[1;36m",
    "note": "\x1b[2m",
    "day": "\x1b[1m",
    "session": "\x1b[33m",
    "detail": "\x1b[2m",
    "label": "\x1b[32m",
    "warning": "\x1b[1;31m",
}


@dataclass(frozen=True, slots=True)
class Remembered:
    """An observation, and how many tokens the work cost of which it was made (0: unknown)."""

    item: Item
    work_tokens: int = 0

    @property
    def read_tokens(self) -> int:
        """What it costs to read it: a quarter of its characters, as JavaScript counts them."""
        facts = json.dumps(list(self.item.facts), ensure_ascii=False, separators=(",", ":"))
        # The wire's formula encodes the list's text once more.
        parts = (
            self.item.title,
            self.item.subtitle,
            self.item.narrative,
            json.dumps(facts, ensure_ascii=False),
        )
        return -(-sum(map(_units, parts)) // 4)


@dataclass(frozen=True, slots=True)
class Summed:
    """A session's summary by its fields, any of which may be empty."""

    number: int
    at: datetime
    request: str = ""
    investigated: str = ""
    learned: str = ""
    completed: str = ""
    next_steps: str = ""


@dataclass(frozen=True, slots=True)
class Briefing:
    """What there is to tell; observations and summaries newest first, one summary to spare.

    `fresh`: nothing at all was remembered here yet. `said` is what the agent said last, `warning`
    why memory may be incomplete.
    """

    project: str
    mode: Mode
    observations: tuple[Remembered, ...] = ()
    summaries: tuple[Summed, ...] = ()
    said: str = ""
    warning: str = ""
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """How much of a briefing is told, and how; the names are those of the settings.

    `full`: so many of the newest observations are told in full, by their `full_field`.
    """

    observations: int = 50
    sessions: int = 10
    full: int = 0
    full_field: str = "narrative"
    read_tokens: bool = False
    work_tokens: bool = False
    savings_amount: bool = False
    savings_percent: bool = True
    last_summary: bool = True
    last_message: bool = False
    welcome: bool = True

    @property
    def economics(self) -> bool:
        """Whether anything is told of tokens."""
        return any((self.read_tokens, self.work_tokens, self.savings_amount, self.savings_percent))


def page(
    briefing: Briefing, layout: Layout, *, now: datetime, zone: tzinfo, colours: bool = False
) -> str:
    """The page, with times in `zone`; for a terminal with `colours`, for an agent without."""
    lines = list(_lines(briefing, layout, now.astimezone(zone), zone))
    if colours:
        return "\n".join(_painted(line) for line in lines).strip()
    return wrapped("\n".join(text for _, text in lines).strip().split("\n"))


def _lines(briefing: Briefing, layout: Layout, now: datetime, zone: tzinfo) -> Iterator[Line]:
    if briefing.warning:
        yield from (("warning", f"Warning: {_one_line(briefing.warning)}"), BLANK)
    if briefing.fresh and layout.welcome:
        yield from _welcome(briefing)
        return
    mode, project = briefing.mode, _one_line(briefing.project)
    yield "title", f"# [{project}] recent context, {now:%Y-%m-%d} {_clock(now)} {now:%Z}"
    yield "note", f"Mode: {_one_line(mode.name)} ({mode.id})"
    yield BLANK
    if not (briefing.observations or briefing.summaries):
        yield "note", "There are no previous sessions of this project to tell of."
        return
    yield from _legend(mode)
    if layout.economics:
        yield from _economics(briefing.observations, layout)
    yield from _timeline(briefing, layout, zone)
    yield from _last_summary(briefing, layout)
    if layout.last_message and briefing.said.strip():
        yield from (("day", "**Previously**"), BLANK, ("entry", f"A: {_tamed(briefing.said)}"))
        yield BLANK
    yield from _footer(briefing.observations, layout)


def _welcome(briefing: Briefing) -> Iterator[Line]:
    yield "title", f"# [{_one_line(briefing.project)}] nothing is remembered here yet"
    yield BLANK
    yield "note", "What this session does is captured, and turned into observations."
    yield "note", "The next session of this project begins with the newest of them."


def _legend(mode: Mode) -> Iterator[Line]:
    types = " ".join(f"{each.emoji}{each.id}" for each in mode.types)
    yield "note", f"Legend: {SESSION_MARK}session {types}"
    yield "note", "Format: ID TIME TYPE TITLE"
    yield "note", "Details: get_observations([IDs]) | Search: the mem-search skill"
    yield BLANK


def _economics(observations: Sequence[Remembered], layout: Layout) -> Iterator[Line]:
    read, work = _sums(observations)
    parts = [f"{len(observations)} obs ({read:,}t read)", f"{work:,}t work"]
    if layout.savings_percent:
        parts.append(f"{_percent(read, work)}% savings")
    elif layout.savings_amount:
        parts.append(f"{work - read:,}t saved")
    # What nobody has paid for saves nothing.
    yield "note", f"Stats: {' | '.join(parts if work else parts[:2])}"
    yield BLANK


def _timeline(briefing: Briefing, layout: Layout, zone: tzinfo) -> Iterator[Line]:
    in_full = {each.item.number for each in briefing.observations[: layout.full]}
    for day, those in groupby(_entries(briefing, layout, zone), key=lambda one: one[0].date()):
        yield "day", f"### {day:%b} {day.day}, {day.year}"
        above = ""
        for moment, entry in those:
            if isinstance(entry, Summed):
                asked = _one_line(entry.request) or UNASKED
                yield "session", f"S{entry.number} {asked} ({_date_and_time(moment)})"
                above = ""
                continue
            time = _short_clock(moment)
            if entry.item.number in in_full:
                yield from _in_full(entry, time, briefing.mode, layout)
            else:
                mark = briefing.mode.emoji(entry.item.kind)
                shown = SAME_TIME if time == above else time
                yield "entry", f"{entry.item.number} {shown} {mark} {_title(entry.item)}"
            above = time
        yield BLANK


def _entries(
    briefing: Briefing, layout: Layout, zone: tzinfo
) -> list[tuple[datetime, Remembered | Summed]]:
    """Everything with its place in time, oldest first."""
    placed: list[tuple[datetime, int, Remembered | Summed]] = [
        *((each.item.occurred_at, each.item.number, each) for each in briefing.observations),
        *((at, each.number, each) for at, each in _placed(briefing.summaries, layout.sessions)),
    ]
    placed.sort(key=lambda one: one[:2])
    return [(at.astimezone(zone), entry) for at, _, entry in placed]


def _placed(summaries: Sequence[Summed], shown: int) -> Iterator[tuple[datetime, Summed]]:
    """Each summary where its session began, roughly: at the end of the one before it.

    The newest stands at its own time, and so does the oldest if nothing is known from before.
    """
    older = [later.at for _, later in pairwise(summaries)]
    for place, summary in enumerate(summaries[:shown]):
        yield (older[place] if 0 < place < len(older) else summary.at), summary


def _in_full(entry: Remembered, time: str, mode: Mode, layout: Layout) -> Iterator[Line]:
    item = entry.item
    yield "entry", f"**{item.number}** {time} {mode.emoji(item.kind)} **{_title(item)}**"
    if layout.full_field == "facts":
        detail = "\n".join(f"- {_one_line(fact)}" for fact in item.facts)
    else:
        detail = _tamed(item.narrative)
    if detail:
        yield "detail", detail
    costs = [f"~{entry.read_tokens:,}t"] if layout.read_tokens else []
    if layout.work_tokens and entry.work_tokens:
        costs.append(f"{_work_mark(item.kind, mode)} {entry.work_tokens:,}t")
    if costs:
        yield "note", " | ".join(costs)
    yield BLANK


def _last_summary(briefing: Briefing, layout: Layout) -> Iterator[Line]:
    if not layout.last_summary or not briefing.summaries:
        return
    last, newest = briefing.summaries[0], briefing.observations[:1]
    if newest and last.at <= newest[0].item.occurred_at:
        return
    fields = (
        ("Investigated", last.investigated),
        ("Learned", last.learned),
        ("Completed", last.completed),
        ("Next Steps", last.next_steps),
    )
    told: list[Line] = [("label", f"**{name}**: {_tamed(text)}") for name, text in fields if text]
    yield from (*told, BLANK) if told else ()


def _footer(observations: Sequence[Remembered], layout: Layout) -> Iterator[Line]:
    read, work = _sums(observations)
    if layout.economics and work > read:
        yield (
            "note",
            f"This page stands for {_rounded(work / 1000)}k tokens of past work: "
            "get_observations([IDs]) or the mem-search skill tell more of it.",
        )


def _sums(observations: Sequence[Remembered]) -> tuple[int, int]:
    """What it costs to read them all, and what the work cost."""
    return sum(each.read_tokens for each in observations), sum(
        each.work_tokens for each in observations
    )


def _percent(read: int, work: int) -> int:
    return _rounded(100 * (work - read) / work) if work else 0


def _rounded(number: float) -> int:
    return math.floor(number + 0.5)


def _mark(kind: str, mode: Mode) -> str:
    return SESSION_MARK if kind == "summary" else mode.emoji(kind)


def _work_mark(kind: str, mode: Mode) -> str:
    return next((each.work_emoji for each in mode.types if each.id == kind), "•")


def _title(item: Item) -> str:
    words = item.title.strip() or next(iter(item.narrative.strip().splitlines()), "")
    return _one_line(words) or UNTITLED


def _one_line(text: str) -> str:
    return tame(_CONTROLS.sub("", line_of(text)))


def _tamed(text: str) -> str:
    return tame(_CONTROLS.sub("", text.strip()))


def _units(text: str) -> int:
    """Its length in UTF-16, by which JavaScript counts."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _clock(moment: datetime) -> str:
    return f"{moment.hour % 12 or 12}:{moment:%M}{_half(moment)}m"


def _short_clock(moment: datetime) -> str:
    return f"{moment.hour % 12 or 12}:{moment:%M}{_half(moment)}"


def _date_and_time(moment: datetime) -> str:
    half = f"{_half(moment)}m".upper()
    return f"{moment:%b} {moment.day}, {moment.hour % 12 or 12}:{moment:%M} {half}"


def _half(moment: datetime) -> str:
    return "a" if moment.hour < 12 else "p"


def _painted(line: Line) -> str:
    role, text = line
    return f"{_COLOURS[role]}{text}{_RESET}" if role in _COLOURS and text else text


def excerpts(items: Sequence[Item], zone: tzinfo) -> str:
    """A few memories that bear on what was asked, to be put before an agent; "" for none."""
    lines = ["## Past work that may bear on this"]
    for item in items:
        moment = item.occurred_at.astimezone(zone)
        lines += ["", f"### {_title(item)} ({moment:%Y-%m-%d}, #{item.number})"]
        lines += [_tamed(item.narrative)] if item.narrative.strip() else []
    return wrapped(lines) if items else ""


def index(items: Sequence[Item], mode: Mode, zone: tzinfo, *, marked: int | None = None) -> str:
    """Memories as lines in the order given, with their ids; the `marked` one with an arrow."""
    if not items:
        return wrapped(["Nothing was found."])
    return wrapped(
        f"{'→ ' if item.number == marked else ''}{item.number} "
        f"{_date_and_time(item.occurred_at.astimezone(zone))} {_mark(item.kind, mode)} "
        f"{_title(item)}"
        for item in items
    )
