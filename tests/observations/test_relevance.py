"""Whether what was found bears on what was asked."""

import pytest

from observations.relevance import asks_where_we_stood, fitting, sought, words_of
from observations.search import Held

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    "prompt",
    ["", "go on", "Yes, please!", "ok", "thanks, that looks great", "continue", "1", "fix the test",
     "run the tests again", "what time is it", "…", "try again now"],
)  # fmt: skip
def test_talk_is_about_nothing(prompt: str) -> None:
    assert words_of(prompt) == ()


def test_a_name_stays_one_and_comes_before_words_and_of_a_path_counts_its_last_part() -> None:
    prompt = "Why does max_wait in /srv/shop/src/retry.py ignore the exponential backoff?"
    assert words_of(prompt) == ("max wait", "retry py", "exponential", "backoff", "ignore")


@pytest.mark.parametrize(
    "prompt",
    ["what did I do last time", "What did we do last time?", "where were we?", "catch me up",
     "Where did I leave off?", "summarise yesterday", "what were you working on",
     "pick up where we left off", "What have I done in the previous session?"],
)  # fmt: skip
def test_who_asks_where_we_stood_is_understood(prompt: str) -> None:
    assert asks_where_we_stood(prompt)


@pytest.mark.parametrize(
    "prompt",
    ["Add a max_wait cap", "What does retry.py do?", "the last time " + "I looked " * 30,
     "How does the worker do its work?"],
)  # fmt: skip
def test_who_asks_something_else_is_not(prompt: str) -> None:
    assert not asks_where_we_stood(prompt)


def held(holding: dict[str, int], rows: int = 500, **by: set[str]) -> Held:
    return Held(rows, holding, {int(n[1:]): frozenset(words) for n, words in by.items()})


def test_rows_are_looked_for_by_the_rarest_words_and_by_no_common_one() -> None:
    holding = {"a1": 10, "a2": 20, "a3": 30, "a4": 40, "common": 300}
    known = held(holding, rows=600)
    assert sought(["common", "a4", "new", "a3", "a2", "a1"], known) == (
        "new",
        "a1",
        "a2",
        "a3",
        "a4",
    )
    assert sought(["common", "new"], known) == ("new", "common")


def test_a_row_that_has_most_of_what_tells_fits() -> None:
    known = held({"lock": 9, "fifo": 2}, _1={"lock", "fifo"}, _2={"lock"})
    assert fitting(["lock", "fifo"], known).keys() == {1}


def test_one_common_word_of_many_does_not_make_a_row_fit() -> None:
    words = ["write", "haiku", "sea"]
    assert not fitting(words, held({"write": 40}, _1={"write"}))
    assert not fitting(["kubernetes", "staging", "cluster"], held({"cluster": 30}, _1={"cluster"}))


def test_a_word_that_nearly_every_row_has_tells_nothing() -> None:
    assert not fitting(["manager"], held({"manager": 480}, _1={"manager"}))
    assert fitting(["manager"], held({"manager": 4}, _1={"manager"}))


def test_deeds_alone_make_no_row_fit() -> None:
    words = ["rename", "frobnicator"]
    assert not fitting(words, held({"rename": 3}, rows=20, _1={"rename"}))


def test_a_name_that_is_new_to_memory_does_not_hide_one_that_is_known() -> None:
    words = ["max wait", "maximum wait", "everywhere", "rename"]
    assert fitting(words, held({"max wait": 6}, rows=17, _1={"max wait"}))


def test_nothing_fits_where_nothing_is_held() -> None:
    assert not fitting(["lock"], Held(0, {}, {}))
    assert not fitting(["lock"], held({}, _1=set()))
