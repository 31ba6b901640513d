"""How connections to a PostgreSQL that is away fail: soon, and with the reason."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg import OperationalError
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import PoolTimeout

from claudemem.postgresql.connections import Patient, Pool
from claudemem.postgresql.pulse import Address
from queueing import direct
from tests.postgres import on_postgresql
from tests.prepared import environment
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


@pytest.fixture
def ascii_url() -> Iterator[str]:
    """A database that keeps bytes, and does not know which letters they are."""
    url = os.environ["CLAUDE_MEM_SERVER_DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("CREATE DATABASE in_ascii ENCODING 'SQL_ASCII' TEMPLATE template0")
        yield urlsplit(url)._replace(path="/in_ascii").geturl()
        server.execute("DROP DATABASE in_ascii")


@pytest.mark.skipif(not on_postgresql(), reason="needs a PostgreSQL")
def test_a_database_that_is_not_utf8_is_refused_and_nobody_is_told_to_migrate_it(
    ascii_url: str, tmp_path: Path
) -> None:
    with pytest.raises(OperationalError, match="it has the encoding SQL_ASCII: make one with"):
        Patient.connect(ascii_url)
    Patient.trouble = ""
    of_it = {"CLAUDE_MEM_SERVER_DATABASE_URL": ascii_url, "CLAUDE_MEM_DATA_DIR": str(tmp_path)}
    told = subprocess.run(
        [sys.executable, "-m", "claudemem", "projects", "list"],
        env=environment(of_it), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (told.returncode, told.stderr) == (
        1,
        "Error: the database cannot be used: it has the encoding SQL_ASCII: make one with "
        "ENCODING 'UTF8' TEMPLATE template0, and name that in CLAUDE_MEM_SERVER_DATABASE_URL\n",
    )


@pytest.fixture
def own(transactional_db: None) -> Iterator[Any]:
    """A wrapper of Django's that has connected once, and given its connection back."""
    own = connections[DEFAULT_DB_ALIAS].copy()
    with direct.instead(own):
        direct.fetch("SELECT 1")
        direct.let_go()
        assert own.connection is None
        assert own._settled
        yield own
    own.close()


@pytest.mark.skipif(not on_postgresql(), reason="needs a PostgreSQL")
def test_a_connection_that_was_left_in_a_transaction_is_taken_up_outside_of_it(own: Any) -> None:
    own.set_autocommit(False)
    direct.fetch("CREATE TABLE undone (id int)")
    own.in_atomic_block, own.needs_rollback = True, True
    own.close()

    own.in_atomic_block = False
    own.ensure_connection()

    assert (own.autocommit, own.connection.autocommit) == (True, True)
    assert (own.in_atomic_block, own.needs_rollback) == (False, False)
    assert direct.fetch("SELECT to_regclass('undone')") == [(None,)]


@pytest.mark.skipif(not on_postgresql(), reason="needs a PostgreSQL")
def test_a_connection_that_its_server_ended_is_not_handed_out_again(own: Any) -> None:
    own.ensure_connection()
    ((lost,),) = direct.fetch("SELECT pg_backend_pid()")
    direct.let_go()
    with direct.instead(other := own.copy()):
        # From another one, while the first waits in the pool.
        taken = [other.pool.getconn() for _ in range(2)]
        mine = next(one for one in taken if one.info.backend_pid != lost)
        mine.execute("SELECT pg_terminate_backend(%s, 5000)", [lost])
        for one in taken:
            other.pool.putconn(one)

    pids = set()
    for _ in range(4):
        pids.add(direct.fetch("SELECT pg_backend_pid()")[0][0])
        direct.let_go()
    assert lost not in pids


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
