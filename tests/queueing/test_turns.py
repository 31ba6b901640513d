"""Turns by weights, as arithmetic."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from queueing.turns import Turns

NAMES = "abcdef"
weights = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 9), min_size=1)


def served(turns: Turns, waiting: dict[str, int], times: int) -> list[str]:
    """Who has the next turns, if all of `waiting` always have something to do."""
    had = []
    for _ in range(times):
        who = turns.next(waiting)
        turns.serve(who, waiting[who])
        had.append(who)
    return had


@given(weights, st.integers(1, 200))
def test_those_who_always_wait_are_served_by_their_weights(
    waiting: dict[str, int], times: int
) -> None:
    had = Counter(served(Turns(), waiting, times))
    for one in waiting:
        for other in waiting:
            assert abs(had[one] / waiting[one] - had[other] / waiting[other]) <= (
                1 / waiting[one] + 1 / waiting[other] + 1e-6
            )


@given(weights, st.integers(len(NAMES), 200), st.integers(1, 9))
def test_whoever_comes_has_the_next_turn(waiting: dict[str, int], before: int, weight: int) -> None:
    turns = Turns()
    served(turns, waiting, before)
    assert turns.next({**waiting, "newcomer": weight}) == "newcomer"


@given(weights, st.integers(0, 50), st.integers(0, 50), st.integers(1, 50))
def test_nothing_is_saved_up_by_idling(
    waiting: dict[str, int], early: int, idle: int, late: int
) -> None:
    turns = Turns()
    served(turns, {**waiting, "sleeper": 1}, early)
    served(turns, waiting, idle)
    had = Counter(served(turns, {**waiting, "sleeper": 1}, late))
    assert all(had["sleeper"] <= 2 + had[who] / waiting[who] for who in waiting)


def test_who_was_served_out_of_turn_pays_for_it() -> None:
    turns = Turns()
    turns.next({"a": 1, "b": 1})
    for _ in range(16):
        turns.serve("a", 1)
    assert served(turns, {"a": 1, "b": 1}, 16) == ["b"] * 16


def test_a_fork_changes_nothing() -> None:
    turns = Turns()
    served(turns.fork(), {"a": 1, "b": 1}, 1)
    assert served(turns, {"a": 1, "b": 1}, 2) == ["a", "b"]


def test_marks_are_not_kept_for_ever() -> None:
    turns = Turns()
    for n in range(5000):
        served(turns, {f"{n}": 1}, 2)
    assert len(turns._marks) <= 1001
