"""What agents pass, as it is read."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudemem.mcp.arguments import Arguments, reference
from claudemem.mcp.catalogue import Limit
from observations.errors import InvalidInput

pytestmark = pytest.mark.once

LIMIT = Limit(20, 100)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (5, 5), (5.9, 5), (0, 1), (-3, 1), (1_000, 100), (10**30, 100), (float("inf"), 20),
        ("5", 20), (None, 20), (True, 20), ([], 20),
    ],
)  # fmt: skip
def test_a_limit_is_cut_off_clamped_or_the_usual_one(given: Any, taken: int) -> None:
    assert Arguments({"limit": given}).limit("limit", LIMIT) == taken


def test_a_limit_that_is_left_out_is_the_usual_one() -> None:
    assert Arguments({}).limit("limit", LIMIT) == LIMIT.usual


@pytest.mark.parametrize(
    ("given", "meant"), [(7, 7), ("7", 7), ("#7", 7), (" #7 ", 7), (7.0, 7), ("0199-ab", "0199-ab")]
)
def test_an_observation_is_named_by_number_or_id(given: Any, meant: int | str) -> None:
    assert reference(given, "id") == meant


@pytest.mark.parametrize("given", [0, -1, 2**63, "", "  ", True, [], {}, "a\0b", float("nan")])
def test_what_names_no_observation_is_refused(given: Any) -> None:
    with pytest.raises(InvalidInput, match='"id" must be the number or id'):
        reference(given, "id")


def test_several_are_named_each_once_and_one_needs_no_list() -> None:
    assert Arguments({"ids": [3, "#3", "a", "a"]}).references("ids", 5) == [3, "a"]
    assert Arguments({"ids": 3}).references("ids", 5) == [3]


@pytest.mark.parametrize("given", [None, [], [1, 2, 3]])
def test_none_and_too_many_are_refused(given: Any) -> None:
    with pytest.raises(InvalidInput, match="1 to 2"):
        Arguments({"ids": given}).references("ids", 2)


@pytest.mark.parametrize("given", [{}, {"query": None}, {"query": ""}, {"query": " \n"}])
def test_a_text_that_is_needed_must_say_something(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r'^"query" is required$'):
        Arguments(given).text("query")


@given(VALUES)
def test_whatever_is_passed_is_read_or_refused(value: Any) -> None:
    arguments = Arguments({"it": value})

    assert 1 <= arguments.limit("it", LIMIT) <= LIMIT.most
    assert arguments.flag("it") in (True, False)
    for read in (arguments.text, arguments.reference):
        with suppress(InvalidInput):
            assert read("it") != ""
