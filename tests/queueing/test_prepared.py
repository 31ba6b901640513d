"""Statements that PostgreSQL has prepared: what the driver would do is done, whatever is known."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DEFAULT_DB_ALIAS, DataError, connections
from psycopg.errors import DataError as DriversDataError

from queueing import direct
from tests.postgres import on_postgresql

pytestmark = [
    pytest.mark.skipif(not on_postgresql(), reason="needs a PostgreSQL"),
    pytest.mark.django_db(transaction=True),
]

ECHO = "SELECT %s::text, %s::timestamptz"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def known() -> Iterator[dict[str, Any]]:
    """What is known of the thread's connection, once it knows how to echo."""
    database = connections[DEFAULT_DB_ALIAS]
    database.ensure_connection()
    for _ in range(5):
        direct.fetch(ECHO, ["a", NOON])
    raw = database.connection
    assert ECHO in raw.known
    yield raw.known
    assert connections[DEFAULT_DB_ALIAS].connection is raw


@pytest.mark.parametrize("text", ["", "a", "100 %", "ü\n\\'\"", None])
@pytest.mark.parametrize("time", [NOON, None, "2026-11-22T12:00:00Z"])
def test_a_known_statement_takes_and_returns_what_the_driver_would(known, text, time):
    expected = (text, NOON if time else None)

    for _ in range(5):
        assert direct.fetch(ECHO, [text, time]) == [expected]


def test_a_known_statement_without_rows_returns_none(known):
    for _ in range(5):
        assert direct.fetch("DELETE FROM observations_team WHERE id = %s", ["nobody"]) == []


def test_what_a_known_statement_is_refused_is_djangos_error_and_ends_nothing(known):
    for _ in range(2):
        with pytest.raises(DataError, match="type timestamp"):
            direct.fetch(ECHO, ["a", "not a time"])
        with pytest.raises(DataError) as refused:
            direct.fetch(ECHO, ["a\0b", NOON])
        assert isinstance(refused.value.__cause__, DriversDataError)
    assert direct.fetch(ECHO, ["a", NOON]) == [("a", NOON)]


def test_what_the_driver_gave_up_is_prepared_again(known):
    raw = connections[DEFAULT_DB_ALIAS].connection
    raw._prepared.clear()

    for _ in range(5):
        assert direct.fetch(ECHO, ["b", NOON]) == [("b", NOON)]


def test_a_known_statement_is_part_of_the_transaction_that_it_begins(known):
    insert = "INSERT INTO observations_team (id, name, created_at) VALUES (%s, %s, %s)"
    for number in range(5):
        direct.fetch(insert, [f"t{number}", f"t{number}", NOON])
    database = connections[DEFAULT_DB_ALIAS]
    assert insert in known

    database.set_autocommit(False)
    direct.fetch(insert, ["undone", "undone", NOON])
    database.rollback()
    database.set_autocommit(True)

    assert direct.fetch("SELECT id FROM observations_team WHERE id = %s", ["undone"]) == []


def test_a_connection_that_is_closed_knows_nothing():
    database = connections[DEFAULT_DB_ALIAS].copy()
    with direct.instead(database):
        for _ in range(5):
            direct.fetch("SELECT %s::text", ["a"])
        raw = database.connection
    assert raw.known

    raw.close()

    assert not raw.known
    database.close()
