"""Writes that share a commit: each whole or not at all, and none pays for another's fault."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from claudemem.sqlite.base import DatabaseWrapper
from observations.commits import SharedCommits, Write
from observations.errors import StorageAway
from observations.models import Team
from tests.waiting import until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL shares commits itself"),
]


class Crowd:
    """One writer that is held up inside its transaction, and others that come meanwhile."""

    def __init__(self) -> None:
        self.commits = SharedCommits()
        self.pool = ThreadPoolExecutor(8)
        self.may_end = threading.Event()

    def __enter__(self) -> "Crowd":
        inside = threading.Event()

        def slow() -> None:
            inside.set()
            assert self.may_end.wait(60)

        self.first = self.submit(slow)
        assert inside.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self.may_end.set()
        self.pool.shutdown()

    def submit(self, write: Callable[[], object]):  # type: ignore[no-untyped-def]
        def run() -> object:
            try:
                return self.commits.run(write)
            finally:
                connection.close()

        return self.pool.submit(run)

    def all_wait(self, number: int) -> None:
        until(lambda: len(self.commits._waiting) == number)


def named(name: str) -> Callable[[], str]:
    def write() -> str:
        Team.objects.create(name=name)
        return name

    return write


def test_a_lone_write_is_committed_at_once() -> None:
    assert SharedCommits().run(named("alone")) == "alone"
    assert not connection.in_atomic_block
    assert Team.objects.filter(name="alone").exists()


def test_those_who_wait_are_written_in_the_order_of_their_arrival_each_with_its_own_answer() -> (
    None
):
    order: list[int] = []
    with Crowd() as crowd:
        answers = []
        for number in range(5):
            answers.append(crowd.submit(lambda n=number: order.append(n) or n))
            crowd.all_wait(number + 1)
    assert [answer.result() for answer in answers] == order == list(range(5))


def test_one_failing_write_leaves_nothing_and_spares_the_others() -> None:
    def half() -> None:
        Team.objects.create(name="half")
        raise KeyError("something else went wrong")

    with Crowd() as crowd:
        good = crowd.submit(named("good"))
        crowd.all_wait(1)
        bad = crowd.submit(half)
        crowd.all_wait(2)
        twice = crowd.submit(named("good"))
        crowd.all_wait(3)
    assert good.result() == "good"
    with pytest.raises(KeyError):
        bad.result()
    with pytest.raises(IntegrityError):
        twice.result()
    assert list(Team.objects.values_list("name", flat=True)) == ["good"]


def test_a_commit_that_fails_fails_for_all_who_shared_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with Crowd() as crowd:
        waiting = [crowd.submit(named(str(number))) for number in range(3)]
        crowd.all_wait(3)

        def broken(*_: object) -> None:
            raise DatabaseError("disk I/O error")

        monkeypatch.setattr(DatabaseWrapper, "_begin", broken)
    for one in waiting:
        with pytest.raises(DatabaseError):
            one.result()
    monkeypatch.undo()
    assert not Team.objects.exists()
    assert crowd.commits.run(named("after")) == "after"


def test_nobody_waits_behind_a_stuck_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("observations.commits.STUCK", 0.05)
    with Crowd() as crowd:
        waiting = crowd.submit(named("waits"))
        with pytest.raises(StorageAway):
            waiting.result(timeout=30)
        assert crowd.commits.is_stuck
        with pytest.raises(StorageAway):
            crowd.commits.run(named("comes late"))
    crowd.first.result(timeout=30)
    assert crowd.commits.run(named("after")) == "after"
    assert list(Team.objects.values_list("name", flat=True)) == ["after"]


def test_many_threads_writing_at_once_lose_nothing() -> None:
    commits = SharedCommits()

    def write(number: int) -> str:
        try:
            return commits.run(named(str(number)))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(write, range(200)))
    assert names == [str(number) for number in range(200)]
    assert Team.objects.count() == 200


def test_inside_a_transaction_it_joins_that_one() -> None:
    with transaction.atomic():
        SharedCommits().run(named("inner"))
        transaction.set_rollback(True)
    assert not Team.objects.exists()


def test_a_leader_chosen_as_its_patience_ends_leads_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("observations.commits.STUCK", 0.0)
    commits = SharedCommits()

    class Turn(threading.Event):
        """A wait that times out just as the leader before hands over."""

        def wait(self, timeout: float | None = None) -> bool:
            if self.is_set():
                return True
            commits._hand_over([])
            return False

    commits._led = True
    mine = Write(named("chosen"), turn=(turn := Turn()))
    commits._waiting.append(mine)
    commits._await_turn(mine, turn)
    commits._lead()
    assert mine.outcome() == "chosen"
    assert commits.run(named("next")) == "next"


def test_who_comes_before_a_leader_has_begun_is_not_sent_away() -> None:
    commits = SharedCommits()
    assert commits._joined(Write(named("leads"))) is None
    assert commits._joined(Write(named("follows"))) is not None
    assert not commits.is_stuck
