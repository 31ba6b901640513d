"""Asking the database how it is leaves nothing behind."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DEFAULT_DB_ALIAS, connections

from claudemem import condition, monitor


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "ask", [condition.database, condition._accept, monitor._read, monitor._count]
)
def test_a_thread_that_asks_takes_no_connection_along(ask: Callable[[], object]) -> None:
    """One of the pool would be missing there for ever after: its threads end with their answer."""

    def left() -> object:
        ask()
        return connections[DEFAULT_DB_ALIAS].connection

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(left).result() is None
