"""Writers of one SQLite database take turns, in a process and between processes."""

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from observations.models import Team
from queueing import direct

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'sqlite'", reason="about SQLite alone"),
]


@pytest.fixture
def stranger() -> Iterator[sqlite3.Connection]:
    """A connection of another program, which can hold the lock."""
    raw = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    yield raw
    raw.close()


@pytest.fixture
def impatient() -> Iterator[None]:
    options = connection.settings_dict["OPTIONS"]
    before = options["timeout"]
    options["timeout"] = 0.05
    yield
    options["timeout"] = before


def test_many_threads_writing_at_once_all_get_their_turn() -> None:
    def write(number: int) -> None:
        try:
            with transaction.atomic():
                count = Team.objects.count()
                Team.objects.create(name=f"{number}: after {count}")
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(write, range(100)))
    names = Team.objects.values_list("name", flat=True)
    assert sorted(int(name.split("after ")[1]) for name in names) == list(range(100))


def test_a_lock_held_by_another_program_is_waited_for(stranger: sqlite3.Connection) -> None:
    stranger.execute("BEGIN IMMEDIATE")
    waited = ThreadPoolExecutor(1)

    def write() -> None:
        try:
            Team.objects.bulk_create([Team(name="at last")])
        finally:
            connection.close()

    result = waited.submit(write)
    assert not result.done()
    stranger.execute("COMMIT")
    result.result(timeout=60)
    assert Team.objects.get().name == "at last"


@pytest.mark.usefixtures("impatient")
def test_a_turn_that_never_comes_is_an_error_and_the_next_one_can(
    stranger: sqlite3.Connection,
) -> None:
    stranger.execute("BEGIN IMMEDIATE")
    started = time.perf_counter()
    with pytest.raises(OperationalError, match="locked"), transaction.atomic():
        pytest.fail("the lock was taken")
    assert time.perf_counter() - started < 2
    stranger.execute("ROLLBACK")
    with transaction.atomic():
        Team.objects.create(name="free again")
    assert Team.objects.exists()


def test_a_connection_that_is_closed_in_its_turn_gives_it_up() -> None:
    def leave() -> None:
        connection.ensure_connection()
        connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(leave).result()
    with transaction.atomic():
        Team.objects.create(name="next")
    assert Team.objects.exists()


def test_a_failed_transaction_gives_its_turn_up() -> None:
    with pytest.raises(KeyError), transaction.atomic():
        raise KeyError
    with transaction.atomic():
        Team.objects.create(name="next")
    assert Team.objects.exists()


def test_within_a_transaction_all_of_a_work_is_done_or_nothing() -> None:
    def work(number: int) -> int:
        Team.objects.create(name=f"{number}")
        with transaction.atomic():
            Team.objects.create(name=f"{number} too")
        return 10 // number

    assert direct.within(lambda: work(5)) == 2
    with pytest.raises(ZeroDivisionError):
        direct.within(lambda: work(0))
    assert Team.objects.count() == 2
    with transaction.atomic():
        direct.within(lambda: work(1))
        transaction.set_rollback(True)
    assert Team.objects.count() == 2
    assert connection.get_autocommit()


def test_a_commit_that_fails_undoes_the_work_and_gives_the_turn_up(
    stranger: sqlite3.Connection,
) -> None:
    def broken() -> None:
        Team.objects.create(name="in vain")
        connection.connection.execute("PRAGMA defer_foreign_keys = ON")
        connection.connection.execute(
            "INSERT INTO observations_project (id, team_id, name, metadata, created_at)"
            " VALUES ('a', 'nobody', 'b', '{}', '2031-01-01')"
        )

    with pytest.raises(IntegrityError):
        direct.within(broken)
    assert not Team.objects.exists()
    stranger.execute("BEGIN IMMEDIATE")
    stranger.rollback()
    direct.within(lambda: Team.objects.create(name="next"))
    assert Team.objects.count() == 1


def test_a_work_that_loses_its_connection_is_not_taken_for_done() -> None:
    def work() -> None:
        Team.objects.create(name="lost")
        connection.close()

    with pytest.raises(OperationalError):
        direct.within(work)
    assert not Team.objects.exists()
    direct.within(lambda: Team.objects.create(name="next"))
    assert Team.objects.count() == 1
