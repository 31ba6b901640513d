"""Variables become settings, and whatever is wrong with them is said at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudemem.environment import ELSEWHERE, OURS, Environment

pytestmark = pytest.mark.once

SECRET = "hunter2-hunter2"


def env(**variables: str) -> Environment:
    return Environment({f"{OURS}{name}": value for name, value in variables.items()})


def test_what_is_not_set_has_its_default() -> None:
    nothing = Environment({})
    assert nothing.text("A", "a") == "a"
    assert nothing.whole("B", 3) == 3
    assert nothing.number("C", 1.5) == 1.5
    assert nothing.flag("D") is False
    assert nothing.choice("E", "x", "x", "y") == "x"
    assert nothing.words("F", ["a", "b"]) == ["a", "b"]
    assert nothing.url("G", schemes=("http",)) == ""
    assert nothing.verdict() == ""


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_an_empty_variable_counts_as_one_that_is_not_set(empty: str) -> None:
    found = env(A=empty, B=empty, C=empty)
    assert found.text("CLAUDE_MEM_A", "a") == "a"
    assert found.whole("CLAUDE_MEM_B", 3) == 3
    assert found.choice("CLAUDE_MEM_C", "x", "x") == "x"
    assert not found.given("CLAUDE_MEM_A")
    assert found.faults == []


def test_values_are_read_as_their_kind() -> None:
    found = Environment({"A": " a ", "B": "12", "C": "0.5", "D": "TRUE", "E": "Y", "F": "a, b,"})
    assert found.text("A") == "a"
    assert found.whole("B", 3) == 12
    assert found.number("C", 1.5) == 0.5
    assert found.flag("D") is True
    assert found.choice("E", "x", "x", "y") == "y"
    assert found.words("F", []) == ["a", "b"]
    assert found.faults == []


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "65536", "٣٣٣٣٣٣"])
def test_a_number_out_of_its_range_is_a_fault_and_the_default_stands_in(value: str) -> None:
    found = Environment({"PORT": value})
    assert found.whole("PORT", 80, most=65535) == 80
    assert found.faults == ["PORT must be a whole number from 1 to 65535"]


@pytest.mark.parametrize("value", ["0", "-0.5", "nan", "inf", "1e300", "1000001", "soon"])
def test_a_time_must_be_positive_and_end(value: str) -> None:
    found = Environment({"WAIT": value})
    assert found.number("WAIT", 2.0) == 2.0
    assert found.faults == ["WAIT must be a number above 0, and 1000000 at most"]


def test_a_time_may_be_nothing_where_that_has_a_meaning() -> None:
    assert Environment({"WAIT": "0"}).number("WAIT", 2.0, zero=True) == 0


def test_a_flag_or_word_that_is_none_is_a_fault() -> None:
    found = Environment({"A": "perhaps", "B": "often"})
    assert (found.flag("A"), found.choice("B", "x", "x", "y")) == (False, "x")
    assert found.faults == ["A must be 1 or 0, or not be set", "B must be one of: x, y"]


@pytest.mark.parametrize(("value", "read"), [("", True), ("0", False), ("yes", True), ("x", True)])
def test_a_flag_may_be_on_until_it_is_switched_off(value: str, read: bool) -> None:
    assert Environment({"A": value}).flag("A", True) is read


@pytest.mark.parametrize("url", ["", "redis://h", "redis://:p@h:6379/0", "rediss://[::1]:1/0"])
def test_a_url_that_names_a_host_is_taken(url: str) -> None:
    found = Environment({"U": url})
    assert found.url("U", schemes=("redis", "rediss")) == url
    assert found.faults == []


@pytest.mark.parametrize(
    "url",
    [
        "h:6379",
        "http://h",
        "redis://",
        "redis://h:port",
        "redis://h:99999",
        "redis://[h",
        "REDIS://h",
    ],
)
def test_another_is_a_fault(url: str) -> None:
    found = Environment({"U": url})
    assert found.url("U", "redis://default", schemes=("redis",)) == "redis://default"
    assert found.faults == ["U must be a URL that begins with redis:// and names a host"]


def test_all_faults_are_in_one_message() -> None:
    found = Environment({"A": "x", "B": "y"})
    found.whole("A", 1)
    assert found.verdict() == "A must be a whole number from 1 to 2147483647"
    found.flag("B")
    assert found.verdict().splitlines() == [
        "2 settings must be mended:",
        "- A must be a whole number from 1 to 2147483647",
        "- B must be 1 or 0, or not be set",
    ]


@given(st.text(min_size=1).map(lambda text: f"{SECRET}{text}"))
def test_no_fault_repeats_a_value(value: str) -> None:
    found = Environment(dict.fromkeys("ABCDEF", value))
    found.whole("A", 1)
    found.number("B", 1.0)
    found.flag("C")
    found.choice("D", "x", "x")
    found.url("E", schemes=("http",))
    found.words("F", [], check=lambda _: "is wrong")
    assert len(found.faults) == 6
    assert SECRET not in found.verdict()


def test_a_name_that_looks_like_a_setting_is_told_with_the_one_that_may_be_meant() -> None:
    found = env(SEVER_PORT="1", SERVER_PORT="1")
    found.whole("CLAUDE_MEM_SERVER_PORT", 1)
    assert found.strangers() == (
        "CLAUDE_MEM_SEVER_PORT is no setting: CLAUDE_MEM_SERVER_PORT may be meant; rename or "
        "unset it",
    )


def test_what_belongs_to_others_is_passed_over() -> None:
    others = dict.fromkeys(f"{OURS}{name}" for name in ELSEWHERE.split())
    theirs = {**others, "CLAUDE_MEM_TEST_MODE": "", "SERVER_PRT": "", "CLAUDE_MEM_ZEBRA": ""}
    found = Environment(dict.fromkeys(theirs, "x"))
    found.text("CLAUDE_MEM_MODE")
    found.whole("CLAUDE_MEM_SERVER_PORT", 1)
    assert found.strangers() == ()
