"""What is the same value, and what is not."""

import json
from datetime import date
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from claudemem.move.values import KINDS, digest, meaning, storable_json
from tests.postgres import on_postgresql

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
NUMBERS = st.integers(-(10**40), 10**40) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def same(one: str, other: str) -> bool:
    return digest(meaning(one)) == digest(meaning(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("100", "1e2"),
        ("1.0", "1"),
        ("-0.0", "0"),
        ("0.00001230", "1.23e-5"),
        ("1e300", "1" + "0" * 300),
        ('{"a":1, "b":2}', '{"b": 2, "a": 1}'),
        (r'"\u00e9\ud83d\ude00"', '"é😀"'),
    ],
)
def test_json_is_the_same_in_another_spelling(one: str, other: str) -> None:
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", '"1"'),
        ("1", "true"),
        ("null", '"null"'),
        ("[1,2]", "[2,1]"),
        ("12345678901234567890123", "12345678901234567890124"),
        ("0.1", "0.1000000000000000055511151231257827"),
        ('{"a": 1}', '{"a": 1, "b": null}'),
        ('"a"', '"A"'),
        ("{}", "[]"),
    ],
)
def test_json_that_means_something_else_is_not_the_same(one: str, other: str) -> None:
    assert not same(one, other)


def test_null_in_json_is_not_the_same_as_no_value() -> None:
    assert digest([meaning("null")]) != digest([None])


def test_a_moment_is_the_same_in_another_zone_and_spelling() -> None:
    sent, found = KINDS["time"].sent, KINDS["time"].found
    moment = "2026-03-01 12:00:00"
    assert sent(moment) == sent("2026-03-01 12:00:00.000000") == sent("2026-03-01T13:00:00+01:00")
    assert sent(moment) != sent("2026-03-01 12:00:00.000001")
    from datetime import UTC, datetime, timedelta, timezone

    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert found(noon) == found(noon.astimezone(timezone(timedelta(hours=-8)))) == sent(moment)


def test_a_day_is_the_same_as_text_and_as_a_date() -> None:
    sent, found = KINDS["day"].sent, KINDS["day"].found
    assert sent("2026-03-01") == found(date(2026, 3, 1)) != found(date(2026, 3, 2))


@given(JSON)
def test_json_that_can_be_stored_is_left_as_it_is(value: Any) -> None:
    text = json.dumps(value)
    assert storable_json(text) == text


@pytest.mark.parametrize(
    ("given_text", "stored"),
    [
        (r'"a\u0000b"', '"a\ufffdb"'),
        (r'"a\\u0000b"', r'"a\\u0000b"'),
        (r'"\\\u0000"', '"\\\\\ufffd"'),
        (r'"\ud800"', '"\ufffd"'),
        (r'"\uDC00\uD83D\uDE00\ud800"', '"\ufffd\\uD83D\\uDE00\ufffd"'),
        (r'"\ud800\ud83d\ude00"', '"\ufffd\\ud83d\\ude00"'),
        (r'{"a\u0000": 1e400, "b": 1.10}', '{"a\ufffd": 1e400, "b": 1.10}'),
    ],
)
def test_what_cannot_be_stored_is_replaced_and_nothing_else(given_text: str, stored: str) -> None:
    assert storable_json(given_text) == stored


@pytest.mark.skipif(not on_postgresql(), reason="it is about PostgreSQL's JSON")
@pytest.mark.django_db
@given(JSON)
def test_json_is_the_same_when_postgresql_gives_it_back(value: Any) -> None:
    text = json.dumps(value)
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::jsonb::text", [text])
        ((back,),) = cursor.fetchall()
    assert same(text, back)
