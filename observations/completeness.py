"""What of a session was captured, and what is missing. Pure.

Events tell of others: a tool's use is announced before its end is, and all of a turn name its
prompt. A transcript tells the rest. Both are held together as facts, by the ids that hooks and
transcripts share; where there is none, by the words.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from observations.drafts import JSON

PROMPT, STOP, AGENT_STOP = "UserPromptSubmit", "Stop", "SubagentStop"
ANNOUNCED, STARTED, ENDED = "PreToolUse", "SessionStart", "SessionEnd"
RESULTS = frozenset({"PostToolUse", "PostToolUseFailure"})
# The fields of payloads that facts are made of.
FIELDS = ("tool_use_id", "prompt_id", "agent_id", "prompt", "last_assistant_message", "tool_name")


@dataclass(frozen=True, slots=True)
class Fact:
    """An event as far as it tells it from others. `at`: seconds since 1970."""

    event_type: str
    tool_use: str = ""
    prompt: str = ""
    agent: str = ""
    said: str = ""
    at: float = 0.0
    tool: str = ""


def fact(event_type: str, fields: Mapping[str, JSON], at: float) -> Fact:
    """The fact of an event of this type with these of the fields of its payload."""
    words = {name: value for name, value in fields.items() if isinstance(value, str)}
    said = words.get("prompt" if event_type == PROMPT else "last_assistant_message", "")
    return Fact(
        event_type,
        words.get("tool_use_id", ""),
        words.get("prompt_id", ""),
        words.get("agent_id", ""),
        said.strip(),
        at,
        words.get("tool_name", ""),
    )


def missing(told: Sequence[Fact], captured: Sequence[Fact]) -> list[int]:
    """The places of those that a transcript tells of and nobody captured.

    The announcement of a use whose end was captured says nothing more. A session that was captured
    at all began for us.
    """
    ours = _Captured.of(captured)
    # Those of the same words first: what is left of a turn stands for what is left.
    alike = {place for place, one in enumerate(told) if ours.take_alike(one)}
    return [place for place, one in enumerate(told) if place not in alike and not ours.has(one)]


@dataclass(slots=True)
class _Captured:
    """What was captured, each to be found once by what tells it from others."""

    announced: set[str] = field(default_factory=set)
    ended_uses: set[str] = field(default_factory=set)
    began: bool = False
    ends: list[Fact] = field(default_factory=list)
    words: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    turns: Counter[tuple[str, str]] = field(default_factory=Counter)

    @classmethod
    def of(cls, facts: Iterable[Fact]) -> "_Captured":
        ours = cls()
        for one in facts:
            ours._note(one)
        return ours

    def _note(self, one: Fact) -> None:
        if one.event_type in RESULTS:
            self.ended_uses.add(one.tool_use)
        elif one.event_type == ANNOUNCED:
            self.announced.add(one.tool_use)
        elif one.event_type == STARTED:
            self.began = True
        elif one.event_type == ENDED:
            self.ends.append(one)
        elif one.event_type in _SAYING:
            self.words[one.event_type, _turn(one), one.said] += 1
            self.turns[one.event_type, _turn(one)] += 1

    def take_alike(self, one: Fact) -> bool:
        """Whether one of the same turn, or of none that is known, said the same; it is used up."""
        if one.event_type not in _SAYING:
            return False
        for turn in dict.fromkeys((_turn(one), "")):
            if self.words[one.event_type, turn, one.said]:
                return self._use_up(one.event_type, turn, one.said)
        if _turn(one):
            return False
        turns = (key for key, left in self.words.items() if left and key[::2] == _said(one))
        return any(self._use_up(*key) for key in list(turns)[:1])

    def _use_up(self, event_type: str, turn: str, said: str) -> bool:
        self.words[event_type, turn, said] -= 1
        self.turns[event_type, turn] -= 1
        return True

    def has(self, one: Fact) -> bool:
        """Whether what the fact tells was captured, if under other words."""
        if one.event_type in RESULTS:
            return one.tool_use in self.ended_uses
        if one.event_type == ANNOUNCED:
            return one.tool_use in self.ended_uses or one.tool_use in self.announced
        if one.event_type == STARTED:
            return self.began
        if one.event_type == ENDED:
            return any(_same_end(each, one) for each in self.ends)
        turn = (one.event_type, _turn(one))
        if not turn[1] or self.turns[turn] < 1:
            return False
        self.turns[turn] -= 1
        return True


_SAYING = frozenset({PROMPT, STOP, AGENT_STOP})


def _said(one: Fact) -> tuple[str, str]:
    return one.event_type, one.said


def _turn(one: Fact) -> str:
    return one.agent if one.event_type == AGENT_STOP else one.prompt


def _same_end(captured: Fact, told: Fact) -> bool:
    if captured.prompt and told.prompt:
        return captured.prompt == told.prompt
    # A hook comes after all that it ends.
    return captured.at >= told.at - 1


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of a sort were captured, of how many that there should be."""

    noun: str
    captured: int
    expected: int


@dataclass(frozen=True, slots=True)
class Completeness:
    """What was captured and expected, and what is missing, in the order of time.

    `by_transcript`: a transcript was there to hold it against.
    """

    tallies: tuple[Tally, ...]
    missing: tuple[Fact, ...]
    by_transcript: bool

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing that is known of."""
        return not self.missing


@dataclass(frozen=True, slots=True)
class Told:
    """What a transcript tells: its facts, and all tool uses in it, whatever became of them."""

    facts: tuple[Fact, ...]
    uses: frozenset[str] = frozenset()


_NOUNS = {
    "prompts": frozenset({PROMPT}),
    "tool uses": RESULTS,
    "ends of turns": frozenset({STOP}),
    "ends of subagents": frozenset({AGENT_STOP}),
}


def completeness(captured: Sequence[Fact], told: Told | None = None) -> Completeness:
    """Hold what was captured against what it tells of itself, and against the transcript."""
    lost = [] if told else _named(captured)
    lost += _announced(captured, told.uses if told else frozenset())
    if told:
        expected = [one for one in told.facts if one.event_type in _COUNTED]
        lost += [expected[place] for place in missing(expected, captured)]
    ordered = tuple(sorted(lost, key=lambda one: one.at))
    return Completeness(tuple(_tallies(captured, ordered)), ordered, told is not None)


_COUNTED = frozenset().union(*_NOUNS.values())


def _announced(captured: Sequence[Fact], decided: Collection[str]) -> Iterable[Fact]:
    """The ends of tool uses that were announced, but for those of which a transcript decides."""
    ended = {one.tool_use for one in captured if one.event_type in RESULTS}
    for one in captured:
        if one.event_type == ANNOUNCED and one.tool_use not in ended | set(decided):
            yield Fact("PostToolUse", one.tool_use, one.prompt, one.agent, "", one.at, one.tool)


def _named(captured: Sequence[Fact]) -> list[Fact]:
    """The prompts that others were captured with."""
    asked = {one.prompt for one in captured if one.event_type == PROMPT}
    named = {one.prompt: one for one in reversed(captured) if one.prompt not in asked}
    return [Fact(PROMPT, "", prompt, at=one.at) for prompt, one in named.items() if prompt]


def _tallies(captured: Sequence[Fact], lost: Sequence[Fact]) -> Iterable[Tally]:
    for noun, sorts in _NOUNS.items():
        had = sum(one.event_type in sorts for one in captured)
        gone = sum(one.event_type in sorts for one in lost)
        if had or gone:
            yield Tally(noun, had, had + gone)
