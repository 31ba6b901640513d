"""What of a session is missing, by its events and by its transcript."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from observations.completeness import Fact, Told, completeness, missing

PROMPT = Fact("UserPromptSubmit", prompt="p1", said="go", at=1.0)
STOP = Fact("Stop", prompt="p1", said="done", at=4.0)
BEFORE = Fact("PreToolUse", "t1", "p1", at=2.0, tool="Bash")
AFTER = Fact("PostToolUse", "t1", "p1", at=3.0, tool="Bash")
START, END = Fact("SessionStart", at=0.0), Fact("SessionEnd", prompt="p1", at=4.0)
WHOLE = (START, PROMPT, BEFORE, AFTER, STOP, END)

sessions = st.lists(
    st.builds(
        Fact,
        st.sampled_from(("UserPromptSubmit", "Stop", "PostToolUse", "PreToolUse", "SubagentStop")),
        st.sampled_from(("t1", "t2", "t3")),
        st.sampled_from(("", "p1", "p2")),
        st.sampled_from(("a1", "a2")),
        st.sampled_from(("", "go", "done")),
        st.floats(0, 100),
    ),
    max_size=8,
)


@given(sessions)
def test_nothing_is_missing_of_what_was_captured_and_all_of_what_was_not(told: list[Fact]) -> None:
    assert missing(told, told) == []
    assert missing(told, []) == list(range(len(told)))


@given(sessions, st.integers(0, 8))
def test_what_is_missing_once_captured_is_missing_no_more(told: list[Fact], kept: int) -> None:
    captured = told[:kept]
    lost = missing(told, captured)
    assert missing(told, [*captured, *(told[place] for place in lost)]) == []


def test_each_event_that_was_lost_is_found() -> None:
    for lost in (START, PROMPT, STOP, END):
        captured = [one for one in WHOLE if one is not lost]
        assert [WHOLE[place] for place in missing(WHOLE, captured)] == [lost]
    assert [WHOLE[p] for p in missing(WHOLE, [one for one in WHOLE if one is not AFTER])] == [AFTER]


def test_the_announcement_of_a_use_whose_end_was_captured_says_nothing_more() -> None:
    assert missing(WHOLE, [one for one in WHOLE if one is not BEFORE]) == []


def test_without_ids_of_prompts_words_tell_events_apart() -> None:
    told = [replace(one, prompt="") for one in WHOLE]
    assert missing(told, WHOLE) == []
    assert missing(WHOLE, [replace(one, prompt="", at=one.at + 1) for one in WHOLE]) == []
    twice = [PROMPT, STOP, PROMPT, STOP]
    without = [replace(one, prompt="") for one in twice]
    assert len(missing(without, without[:2])) == 2


def test_the_end_of_a_turn_in_other_words_is_the_same_end() -> None:
    assert missing(WHOLE, [*WHOLE[:4], replace(STOP, said="done."), END]) == []
    assert len(missing([*WHOLE, replace(STOP, said="and more", at=9.0)], WHOLE)) == 1


def test_an_end_of_an_earlier_part_of_a_session_is_not_that_of_a_later() -> None:
    later = Fact("SessionEnd", prompt="p2", at=99.0)
    assert missing([later], [END]) == [0]
    assert missing([replace(later, prompt="")], [END]) == [0]
    assert missing([replace(later, prompt="")], [replace(END, at=99.5)]) == []


def test_events_tell_of_uses_whose_end_and_prompts_that_nobody_captured() -> None:
    found = completeness([START, BEFORE, STOP, END])
    assert [(one.event_type, one.tool_use or one.prompt) for one in found.missing] == [
        ("UserPromptSubmit", "p1"), ("PostToolUse", "t1"),
    ]  # fmt: skip
    assert [(each.noun, each.captured, each.expected) for each in found.tallies] == [
        ("prompts", 0, 1), ("tool uses", 0, 1), ("ends of turns", 1, 1),
    ]  # fmt: skip
    assert not found.by_transcript
    assert completeness(WHOLE).is_whole


def test_a_transcript_decides_what_became_of_the_uses_that_it_knows() -> None:
    rejected = [START, PROMPT, BEFORE, STOP, END]
    assert not completeness(rejected).is_whole
    told = Told((START, PROMPT, STOP, END), frozenset({"t1"}))
    assert completeness(rejected, told).is_whole


def test_a_transcript_tells_of_what_no_event_names() -> None:
    found = completeness([START, END], Told(WHOLE, frozenset({"t1"})))
    assert [one.event_type for one in found.missing] == ["UserPromptSubmit", "PostToolUse", "Stop"]
    assert found.by_transcript
