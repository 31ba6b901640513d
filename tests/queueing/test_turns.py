"""Turns by weights, as arithmetic."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueing import shares
from queueing.shares import Line, Order, Share, View
from queueing.turns import Turns

NAMES = "abcdef"
FEW = 10
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


@given(weights, weights, st.integers(0, 30), st.integers(1, 30))
def test_a_fork_tells_what_follows(
    earlier: dict[str, int], waiting: dict[str, int], before: int, times: int
) -> None:
    turns = Turns()
    served(turns, {**waiting, "sleeper": 1}, 3)
    served(turns, earlier, before)
    waiting["sleeper"] = 1
    assert served(turns.fork(), waiting, times) == served(turns, waiting, times)


@given(weights, weights, st.integers(0, 50), st.integers(1, 20))
def test_none_but_the_foremost_have_the_next_turns(
    earlier: dict[str, int], waiting: dict[str, int], before: int, most: int
) -> None:
    turns = Turns()
    served(turns, earlier, before)
    turns.next(waiting)
    foremost = turns.foremost(waiting, most)
    assert set(served(turns, waiting, most)) <= set(foremost)
    assert len(foremost) == min(most, len(waiting))


# --- of teams, their projects, and kinds ----------------------------------------------------------


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Order:
    """Turns that are soon too many to be kept."""
    monkeypatch.setattr(shares, "KEPT", FEW)
    return Order(_most=FEW)


def known(order: Order) -> int:
    """How many marks it has of anybody."""
    turns = [order._teams, *order._projects.values(), *order._kinds.values()]
    return sum(len(each._marks) + len(each._served) + 1 for each in turns)


def test_teams_and_projects_that_came_and_went_are_forgotten(few: Order) -> None:
    sizes = []
    for n in range(30 * FEW):
        came = Line("event", f"team-{n // 3}", f"project-{n}")
        few.serve(few.next([came]), View((came,)))
        sizes.append(known(few))
    assert max(sizes) <= 7 * (FEW + 1)
    assert min(sizes[-FEW:]) <= 9


def test_those_who_wait_have_the_same_however_many_come_and_go(few: Order) -> None:
    lines = [Line("event", f"team-{n}", name) for n in range(2 * FEW) for name in "abc"]
    had = Counter[Line]()
    for n in range(10 * len(lines)):
        came = Line("event", f"came-{n}", "project")
        view = View((*lines, came))
        few.serve(came, view)
        whose = few.next(lines)
        few.serve(whose, view)
        had[whose] += 1
    assert set(had.values()) == {10}


def test_a_place_is_free_whatever_other_teams_and_projects_work() -> None:
    limits = {("ours", ""): Share(most=3), ("ours", "narrow"): Share(most=1)}
    view = View((), limits, {("ours", "wide"): 1, ("others", "wide"): 9})
    assert [view.room("ours", name) for name in ("wide", "narrow")] == [2, 1]
    assert view.room("others", "wide") is None
    # Whose limit was lowered has no place, and not fewer.
    assert View((), limits, {("ours", "wide"): 9}).room("ours", "wide") == 0


OURS = Line("event", "ours", "web")
APART = {
    "teams": Line("event", "others", "web"),
    "projects": Line("event", "ours", "app"),
    "kinds": Line("summary", "ours", "web"),
}
apart = pytest.mark.parametrize("other", APART.values(), ids=APART.keys())


def turns_of(order: Order, lines: tuple[Line, ...], times: int) -> Counter[Line]:
    """Who has the next turns, if all always have something to do."""
    had = Counter[Line]()
    for _ in range(times):
        line = order.next(lines)
        order.serve(line, View(lines))
        had[line] += 1
    return had


@apart
def test_who_comes_when_one_was_alone_has_its_share_and_no_more(other: Line) -> None:
    order = Order()
    turns_of(order, (OURS,), 50)
    assert turns_of(order, (OURS, other), 20) == {OURS: 10, other: 10}


@apart
def test_who_was_served_before_its_turn_waits_for_the_others(other: Line) -> None:
    order = Order()
    for _ in range(10):
        order.serve(OURS, View((OURS, other)))
    assert turns_of(order, (OURS, other), 10) == {other: 10}
