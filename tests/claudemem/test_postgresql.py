"""How connections to a PostgreSQL that is away fail: soon, and with the reason."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from psycopg import OperationalError
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import PoolTimeout

from claudemem.postgresql.connections import Patient, Pool
from claudemem.postgresql.pulse import Address
from tests.postgres import on_postgresql
from tests.waiting import until

NOWHERE = {"host": "/nowhere", "dbname": "x"}


@pytest.fixture
def silent() -> Iterator[Address]:
    """What takes connections and says nothing, as a server that stands still."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield Address(*server.getsockname())


def seconds_until_refused(pool: Pool, match: str) -> float:
    started = time.monotonic()
    with pytest.raises(OperationalError, match=match):
        pool.getconn()
    return time.monotonic() - started


def test_a_pool_without_a_server_says_why_and_then_keeps_nobody_waiting() -> None:
    pool = Pool(kwargs=NOWHERE, open=False, min_size=1, max_size=2, timeout=30.0)
    pool.open()
    try:
        first = seconds_until_refused(pool, "No such file")
        assert seconds_until_refused(pool, "No such file") < first < 20
    finally:
        pool.close()
        Patient.trouble = ""


@pytest.mark.skipif(not on_postgresql(), reason="needs a PostgreSQL")
def test_a_pool_whose_connections_are_all_in_use_says_so() -> None:
    params = conninfo_to_dict(os.environ["CLAUDE_MEM_SERVER_DATABASE_URL"])
    with Pool(kwargs=params, open=False, min_size=1, max_size=1, timeout=0.5) as pool:
        taken = pool.getconn(timeout=10)
        try:
            with pytest.raises(PoolTimeout, match="CLAUDE_MEM_POSTGRES_POOL_MAX"):
                pool.getconn()
        finally:
            pool.putconn(taken)
        assert pool.getconn(timeout=10) is taken
        pool.putconn(taken)


@pytest.mark.skipif(not on_postgresql(), reason="needs a PostgreSQL")
def test_connections_to_where_nobody_answers_are_replaced(silent: Address) -> None:
    params = conninfo_to_dict(os.environ["CLAUDE_MEM_SERVER_DATABASE_URL"])
    with Pool(kwargs=params, open=False, min_size=1, max_size=2, timeout=10.0) as pool:
        pool.wait()  # who asks before there is one has the pool make two
        taken = pool.getconn()
        pool._address = taken.address = silent  # as before a failover
        pool._away = True
        pool.putconn(taken)
        replaced = until(lambda: got(pool))
        assert replaced is not taken
        assert taken.closed
        assert replaced.execute("SELECT 1").fetchone() == (1,)
        pool.putconn(replaced)


def got(pool: Pool) -> Patient | None:
    """A connection, if one can be had soon."""
    try:
        return pool.getconn()
    except PoolTimeout:
        return None


def test_what_takes_connections_and_says_nothing_does_not_answer(silent: Address) -> None:
    assert not silent.answers(0.1)


def test_where_nobody_listens_nobody_answers(silent: Address) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as gone:
        nobody = Address(*gone.getsockname())
    assert not nobody.answers(1.0)
    assert not Address("/nowhere", 5432).answers(1.0)
