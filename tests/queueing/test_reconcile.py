"""Broker and rows are made to agree, whatever was lost on either side."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db.models import F

from queueing import broker, identity, kinds, leases, reconcile, states
from queueing.errors import QueueStoreAway
from queueing.models import GenerationJob, Lane
from tests.queueing.conftest import Enqueue

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


@pytest.fixture
def depths(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How deep the broker's queues are; empty unless the test says otherwise."""
    waiting = dict.fromkeys([*kinds.BY_NAME, kinds.UPKEEP], 0)
    monkeypatch.setattr(broker, "depths", lambda: waiting)
    monkeypatch.setattr(broker, "send_canary", lambda queue, number: None)
    return waiting


def time_passes(by: timedelta = MINUTE) -> None:
    """Move everything that happened into the past by as much."""
    Lane.objects.update(woken_at=F("woken_at") - by)
    GenerationJob.objects.update(due_at=F("due_at") - by)
    GenerationJob.objects.exclude(lease_until=None).update(lease_until=F("lease_until") - by)


def test_a_head_that_was_just_nudged_is_left_alone(
    enqueue: Enqueue, published: list[str], depths: dict[str, int]
) -> None:
    enqueue()
    assert reconcile.reconcile() == 0
    assert published == []


def test_a_lost_nudge_is_repeated_once_a_grace(
    enqueue: Enqueue, published: list[str], depths: dict[str, int]
) -> None:
    head, _ = enqueue("lane", 2)
    time_passes()
    assert reconcile.reconcile() == 1
    assert reconcile.reconcile() == 0
    assert published == [head.id]


def test_a_nudge_that_the_broker_did_not_take_is_no_nudge(
    enqueue: Enqueue,
    published: list[str],
    depths: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Among many messages, for others or for the same, it would seem to be on its way."""
    heads = [enqueue(lane)[0].id for lane in "abc"]
    time_passes()
    take = broker.publish

    def take_one(job_id: str, kind: str) -> None:
        if published:
            raise QueueStoreAway("it did not answer in time")
        take(job_id, kind)

    monkeypatch.setattr(broker, "publish", take_one)
    assert reconcile.reconcile() == 1
    monkeypatch.setattr(broker, "publish", take)
    depths["event"] = 99
    assert reconcile.reconcile() == 2
    assert sorted(published) == sorted(heads)


def test_while_there_is_a_message_for_each_head_none_is_sent_again(
    enqueue: Enqueue, published: list[str], depths: dict[str, int]
) -> None:
    for lane in "abc":
        enqueue(lane)
    depths["event"] = 3
    for _ in range(3):
        time_passes(timedelta(days=1))
        assert reconcile.reconcile() == 0
    depths["event"] = 2
    assert reconcile.reconcile() == 3


def test_a_nudge_that_may_still_wait_among_new_ones_is_given_time(
    enqueue: Enqueue, published: list[str], depths: dict[str, int]
) -> None:
    (old,) = enqueue("old")
    depths["event"] = 1
    time_passes(timedelta(seconds=reconcile.GRACE_WAITING - 10))
    enqueue("new")
    assert reconcile.reconcile() == 0
    Lane.objects.filter(key="old").update(woken_at=F("woken_at") - timedelta(seconds=20))
    assert reconcile.reconcile() == 1
    assert published == [old.id]


def test_a_retry_is_published_when_it_is_due_and_not_before(
    enqueue: Enqueue, published: list[str], depths: dict[str, int]
) -> None:
    (job,) = enqueue()
    lease = leases.claim(job.id, "worker")
    assert lease is not None
    leases.reschedule(lease, 30.0, {"reason": "busy"})
    assert reconcile.reconcile() == 0
    time_passes()
    assert reconcile.reconcile() == 1
    assert leases.claim(job.id, "worker") is not None


def test_a_dead_workers_job_is_published_again(
    enqueue: Enqueue, published: list[str], depths: dict[str, int]
) -> None:
    (job,) = enqueue()
    assert leases.claim(job.id, "worker")
    assert reconcile.reconcile() == 0
    time_passes()
    assert reconcile.reconcile() == 1
    assert published == [job.id]


def test_a_job_of_a_worker_that_died_on_this_host_is_published_at_once(
    enqueue: Enqueue, published: list[str], depths: dict[str, int]
) -> None:
    (job,) = enqueue()
    assert leases.claim(job.id, str(replace(identity.mine(), began="1")))
    assert reconcile.reconcile() == 1
    assert published == [job.id]
    assert leases.claim(job.id, "worker")


def test_a_lost_nudge_for_a_dead_workers_job_is_repeated_soon(
    enqueue: Enqueue, published: list[str], depths: dict[str, int]
) -> None:
    (job,) = enqueue()
    assert leases.claim(job.id, "worker")
    time_passes()
    assert reconcile.reconcile() == 1
    assert reconcile.reconcile() == 0
    time_passes(timedelta(seconds=reconcile.GRACE_SHORT + 0.1))
    assert reconcile.reconcile() == 1
    assert published == [job.id, job.id]


def test_a_job_out_of_attempts_is_buried_and_the_next_one_published(
    enqueue: Enqueue, published: list[str], depths: dict[str, int]
) -> None:
    poison, other = enqueue("lane", 2, kind=kinds.SUMMARY)
    for _ in range(kinds.SUMMARY.max_attempts):
        assert leases.claim(poison.id, "worker")
        time_passes()
    reconcile.reconcile()
    assert GenerationJob.objects.get(pk=poison.id).state == states.FAILED
    assert published == [other.id]


def test_a_head_that_was_never_nudged_comes_before_those_that_were(
    enqueue: Enqueue, published: list[str], depths: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "LIMIT", 1)
    nudged, never = enqueue("one")[0], enqueue("two")[0]
    time_passes()
    Lane.objects.filter(key="two").update(woken_at=None)
    reconcile.reconcile()
    reconcile.reconcile()
    assert published == [never.id, nudged.id]


def test_idle_lanes_are_never_published(
    enqueue: Enqueue, published: list[str], depths: dict[str, int]
) -> None:
    (job,) = enqueue()
    lease = leases.claim(job.id, "worker")
    assert lease is not None
    leases.settle(lease, dict, worker="worker", go_on=False)
    time_passes()
    assert reconcile.reconcile() == 0


def test_a_store_that_is_away_is_said_and_nothing_is_lost(
    enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> dict[str, int]:
        raise QueueStoreAway("the queue store did not answer")

    enqueue()
    monkeypatch.setattr(broker, "depths", refuse)
    assert reconcile.reconcile_quietly() == 0
    with pytest.raises(QueueStoreAway):
        reconcile.reconcile()


def test_where_workers_look_no_lane_loses_its_place_by_a_nudge(
    enqueue: Enqueue, published: list[str], settings: LazySettings
) -> None:
    settings.QUEUE_ENGINE = broker.DATABASE
    enqueue("old")
    (retried,) = enqueue("retried")
    lease = leases.claim(retried.id, "worker")
    assert lease
    leases.reschedule(lease, 0.0, {})
    (stalled,) = enqueue("stalled")
    assert leases.claim(stalled.id, "worker")
    time_passes(timedelta(days=1))
    before = list(Lane.objects.order_by("key").values_list("key", "woken_at"))
    assert reconcile.reconcile() == 0
    assert published == []
    assert list(Lane.objects.order_by("key").values_list("key", "woken_at")) == before


def test_where_workers_look_what_none_would_take_is_buried_and_its_lane_goes_on(
    enqueue: Enqueue, published: list[str], settings: LazySettings
) -> None:
    settings.QUEUE_ENGINE = broker.DATABASE
    spent, behind = enqueue("lane", 2)
    for _ in range(spent.new.kind.max_attempts):
        assert leases.claim(spent.id, "worker")
        time_passes()
    assert reconcile.reconcile() == 1
    assert published == [behind.id]
    assert GenerationJob.objects.get(pk=spent.id).state == states.FAILED
