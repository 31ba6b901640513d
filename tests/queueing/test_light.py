"""Counts are not waited for until they are on the disk; whatever comes after them is."""

import pytest
from django.db import OperationalError, connection, transaction

from queueing import direct, light
from tests.postgres import on_postgresql

pytestmark = pytest.mark.django_db(transaction=True)


def waits() -> bool:
    """Whether a commit of this connection waits for the disk."""
    if on_postgresql():
        return direct.fetch("SHOW synchronous_commit") == [("on",)]
    return direct.fetch("PRAGMA synchronous") == [(2,)]


@pytest.fixture(autouse=True)
def _as_in_use() -> None:
    if on_postgresql():
        direct.fetch("SET synchronous_commit = on")


def test_only_its_own_commit_does_not_wait() -> None:
    assert waits()
    with light.transaction():
        assert not waits()
    assert waits()


def test_neither_do_those_after_one_that_failed() -> None:
    with pytest.raises(ZeroDivisionError), light.transaction():
        raise ZeroDivisionError
    assert waits()


def test_within_another_transaction_it_is_a_part_of_that() -> None:
    with transaction.atomic(), light.transaction():
        assert on_postgresql() or waits()


@pytest.mark.skipif(on_postgresql(), reason="PostgreSQL's transactions forget it by themselves")
def test_a_connection_that_cannot_be_set_right_is_given_up() -> None:
    direct.fetch("SELECT 1")
    raw = connection.connection
    raw.execute("BEGIN")  # in which SQLite refuses to change it
    with pytest.raises(OperationalError), light.transaction():
        pass
    assert connection.connection is not raw
    assert waits()
