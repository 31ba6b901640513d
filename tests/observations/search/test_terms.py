"""What a text is found by, and what a question asks for."""

import re
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observations.search import terms
from observations.search.terms import Query, parts, query_terms

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("TimeDelta", "time delta"),
        ("time_delta", "time delta timedelta"),
        ("long-running", "long running longrunning"),
        ("retry_max_wait", "retry max wait retrymaxwait"),
        ("RetryStrategy.get_wait", "retrystrategy retry strategy get wait getwait"),
        ("procrastinate/retry.py", "procrastinate retry py"),
        ("C:\\work\\app.cfg", "work app cfg"),
        ("HTTPServer", "http server"),
        ("parseURLs", "parse urls"),
        ("sha256 utf8", "sha 256 utf"),
        ("__init__.py", "init py"),
        ("überTimeout", "über timeout"),
        ("使用timeout重试", "使用 重试 timeout"),
        ("指数退避", "指数 数退 退避"),
        ("Plain words, Capitalised or not.", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_identifiers_and_paths_come_apart(text: str, pieces: str) -> None:
    assert parts(text) == pieces


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22",
        "0193f2ab-11aa-7bcd-8eef-001122334455",
        "e2d1df5",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3ODkrLw",
        "1.2.3",
    ],
)
def test_ids_hashes_and_dates_are_not_taken_apart(text: str) -> None:
    assert parts(text) == ""


def test_a_piece_is_given_once_for_all_texts() -> None:
    assert parts("retry_max", "see retry_max and RetryStrategy") == "retry max retrymax strategy"


@given(st.lists(st.text(max_size=60), max_size=4))
def test_parts_of_any_text_are_plain_words(texts: list[str]) -> None:
    given_back = parts(*texts)
    words = given_back.split(" ") if given_back else []
    assert len(words) == len(set(words))
    assert all(words)
    assert not set('"()*^:\0') & set(given_back)


def test_parts_are_bounded_at_a_whole_piece() -> None:
    names = [f"name{n}_ünit" for n in range(2000)]
    text = parts(*names)
    assert terms.MAX_PARTS_BYTES - 20 < len(text.encode()) <= terms.MAX_PARTS_BYTES
    assert set(text.split()) <= set(parts(names[0]).split()) | {
        word for name in names for word in parts(name).split()
    }


def asked(text: str) -> set[str]:
    return set(query_terms(text).any)


def test_a_question_asks_for_its_words_without_the_small_ones() -> None:
    assert {"cap", "exponential", "backoff"} <= asked(
        "What is the cap for the exponential backoff?"
    )
    assert not {"what", "is", "the", "for"} & asked("What is the cap for the exponential backoff?")


@pytest.mark.parametrize("text", ["", "what is it?", "!?", "-lock", '"" -""', "\0", "\ud800"])
def test_a_question_of_small_words_asks_for_nothing(text: str) -> None:
    assert query_terms(text).any == ()


def test_quoted_words_are_one_term() -> None:
    assert query_terms('"The database is locked"') == Query(("the database is locked",))
    assert query_terms("“The database is locked”") == Query(("the database is locked",))


def test_identifiers_are_asked_for_whole_in_parts_and_joined() -> None:
    assert asked("retry_max_wait") == {"retry max wait", "retry", "max", "wait", "retrymaxwait"}
    assert asked("TimeDelta") == {"timedelta", "time delta", "time", "delta"}


def test_neighbouring_words_are_asked_for_as_one_word_too() -> None:
    assert "timedelta" in asked("rounding of the time delta")


def test_a_hyphen_before_a_word_excludes() -> None:
    query = query_terms('lock -session -"dead letter" well-known')
    assert query.none == ("session", "dead letter")
    assert "well known" in query.any
    assert "session" not in query.any


@pytest.mark.parametrize("text", ["pytest -x", "git --force", "a - b lock", "5 -10"])
def test_options_dashes_and_numbers_exclude_nothing(text: str) -> None:
    assert query_terms(text).none == ()


def test_operators_are_words() -> None:
    assert {"near", "title lock"} <= asked("NEAR title:lock AND OR NOT *")


def test_a_long_text_asks_for_its_first_words() -> None:
    words = [f"word{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(500)]
    assert query_terms(" ".join(words)).any == tuple(words[: terms.MAX_TERMS])


@given(st.text(max_size=200))
def test_any_text_makes_harmless_terms(text: str) -> None:
    query = query_terms(text)
    assert len(query.any) <= terms.MAX_TERMS
    assert len(query.none) <= terms.MAX_TERMS
    for term in (*query.any, *query.none):
        assert term == re.sub(r'["\'()*^:{}+\-,\0\ud800-\udfff]', "", term).strip() != ""


@pytest.mark.parametrize(
    "unit",
    ["a1", "A", "_", "-", "a-", "a_b", '"', '-"', "1a", "aA", "9", "a1-", "é", "重", "a.b/c "],
)
def test_time_grows_no_faster_than_the_text(unit: str) -> None:
    text = unit * 40_000
    started = perf_counter()
    parts(text)
    query_terms(text)
    assert perf_counter() - started < 2
