"""Canaries are sent once by any number, seen once, and sent again when they are lost."""

import threading
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db import connection
from django.db.models import F
from django.db.utils import OperationalError

from queueing import broker, canaries, tasks
from queueing.errors import QueueStoreAway
from queueing.models import Canary

pytestmark = pytest.mark.django_db

ALL = sorted(canaries.QUEUES)
Sent = list[tuple[str, int]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """The canaries that wait in the queues."""
    waiting: Sent = []
    monkeypatch.setattr(broker, "send_canary", lambda *canary: waiting.append(canary))
    monkeypatch.setattr(broker, "canary_waits", lambda *canary: canary in waiting)
    # Nothing that would end this test's transaction.
    monkeypatch.setattr(tasks, "close_old_connections", lambda: None)
    return waiting


def take(sent: Sent) -> None:
    """What waits comes to a worker."""
    while sent:
        queue, number = sent.pop()
        tasks.canary(f"{queue} {number}")


def time_passes(seconds: float) -> None:
    by = timedelta(seconds=seconds)
    Canary.objects.update(sent_at=F("sent_at") - by, seen_at=F("seen_at") - by)


def test_one_is_sent_down_each_queue_when_it_is_time(sent: Sent) -> None:
    assert canaries.send() == ALL
    take(sent)
    assert canaries.send() == []
    time_passes(29)
    assert canaries.send() == []
    time_passes(2)
    assert canaries.send() == ALL
    assert {number for _, number in sent} == {2}


def test_a_clock_that_was_put_back_keeps_none_from_being_sent_and_seen(sent: Sent) -> None:
    canaries.send()
    take(sent)
    time_passes(-3600)
    assert canaries.send() == ALL
    assert all(each.under_way for each in canaries.latest())
    take(sent)
    ages = [each.seen_age for each in canaries.latest()]
    assert all(age is not None and 0 <= age < 15 for age in ages)


def test_where_nobody_takes_them_one_waits_and_no_more(sent: Sent) -> None:
    for _ in range(5):
        canaries.send()
        time_passes(3600)
    assert sorted(sent) == [(queue, 1) for queue in ALL]


def test_what_came_through_is_known_with_its_time_and_worker(sent: Sent) -> None:
    assert all(each.seen_age is None and not each.under_way for each in canaries.latest())
    canaries.send()
    assert all(each.under_way for each in canaries.latest())
    take(sent)
    for each in canaries.latest():
        assert not each.under_way
        assert each.seen_age is not None
        assert 0 <= each.seen_age < 15
        assert each.seen_by


def test_a_lost_one_is_sent_again_soon(sent: Sent) -> None:
    canaries.send()
    sent.remove(("event", 1))
    assert canaries.send() == []
    time_passes(canaries.LOST_SECONDS)
    assert canaries.send() == ["event"]
    take(sent)
    assert not any(each.under_way for each in canaries.latest())


def test_an_earlier_one_that_comes_late_does_not_count(sent: Sent) -> None:
    canaries.send()
    sent.clear()
    time_passes(60)
    canaries.send()
    assert not canaries.see("event", 1, "worker")
    assert canaries.see("event", 2, "worker")
    assert not canaries.see("event", 2, "another")
    assert Canary.objects.get(queue="event").seen_by == "worker"


def test_one_that_could_not_be_sent_counts_as_lost(
    sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(queue: str, number: int) -> None:
        raise QueueStoreAway("the queue store did not answer")

    with monkeypatch.context() as patch:
        patch.setattr(broker, "send_canary", away)
        with pytest.raises(QueueStoreAway):
            canaries.send()
    assert canaries.send() == []
    time_passes(canaries.LOST_SECONDS)
    assert canaries.send() == ALL


def test_one_that_cannot_be_noted_ends_no_worker(
    sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("the disk is full")

    monkeypatch.setattr(canaries, "see", fail)
    tasks.canary("event 1")


def test_without_messages_the_workers_answer_for_the_queues_that_they_serve(
    settings: LazySettings,
) -> None:
    settings.QUEUE_ENGINE, settings.QUEUE_STORE_URL = "database", "redis://127.0.0.1:1/0"
    assert canaries.answer(["event"], "worker") == 0
    assert canaries.send() == ALL
    assert canaries.answer(["event", "upkeep"], "worker") == 2
    assert canaries.answer(["event", "upkeep"], "worker") == 0
    under_way = [each.queue for each in canaries.latest() if each.under_way]
    assert under_way == ["summary", "event-batch"]
    time_passes(60)
    assert canaries.send() == ["event", "upkeep"]


def test_a_loop_that_answers_looks_once_a_second_and_outlives_the_database(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.QUEUE_ENGINE = "database"
    canaries.send()
    looks: list[int] = []

    def fail() -> list[canaries.Canary]:
        looks.append(1)
        raise OperationalError("the disk is full")

    answering = canaries.Answering(["event"], "worker")
    with monkeypatch.context() as patch:
        patch.setattr(canaries, "latest", fail)
        for _ in range(100):
            answering()
    assert 1 <= len(looks) < 100
    monkeypatch.setattr(canaries, "ANSWER_SECONDS", 0.0)
    answering = canaries.Answering(["event"], "worker")
    answering()
    assert Canary.objects.get(queue="event").seen_by == "worker"


@pytest.mark.django_db(transaction=True)
def test_of_many_that_send_at_once_one_does(sent: Sent) -> None:
    for number in range(1, 4):
        start = threading.Barrier(6)

        def send(start: threading.Barrier = start) -> None:
            start.wait()
            try:
                canaries.send()
            finally:
                connection.close()

        threads = [threading.Thread(target=send) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(sent) == [(queue, number) for queue in ALL]
        take(sent)
        time_passes(60)
