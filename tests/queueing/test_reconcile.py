"""Broker and rows are made to agree, whatever was lost on either side."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db import OperationalError
from django.db.models import F
from django.utils import timezone

from queueing import (
    broker,
    canaries,
    identity,
    kinds,
    leases,
    operations,
    pauses,
    reconcile,
    states,
    tasks,
)
from queueing.errors import QueueStoreAway
from queueing.heartbeat import heartbeat
from queueing.leases import Lease
from queueing.models import GenerationJob, Lane, Share
from queueing.pauses import Subject
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
    take = broker.publish_first

    def take_one(job_id: str, kind: str) -> None:
        if published:
            raise QueueStoreAway("it did not answer in time")
        take(job_id, kind)

    monkeypatch.setattr(broker, "publish_first", take_one)
    assert reconcile.reconcile() == 1
    monkeypatch.setattr(broker, "publish_first", take)
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
    assert reconcile.reconcile() == 1


def test_only_as_many_nudges_are_repeated_as_are_missing_those_that_wait_longest_first(
    enqueue: Enqueue, published: list[str], depths: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One too many would stand for one that is lost later on."""
    monkeypatch.setattr(reconcile, "FEW", 2)
    heads = {lane: enqueue(lane)[0].id for lane in "abcde"}
    for age, lane in enumerate("abcde", 1):
        earlier = F("woken_at") - timedelta(seconds=2 * age)
        Lane.objects.filter(key=lane).update(woken_at=earlier)
    depths["event"] = 3
    assert reconcile.reconcile() == 2
    # Sent last is what is before all others.
    assert published == [heads["d"], heads["e"]]
    depths["event"] = 5
    time_passes()
    assert reconcile.reconcile() == 0


def test_a_whole_line_that_was_lost_is_sent_again_in_its_order(
    enqueue: Enqueue,
    published: list[str],
    depths: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In passes, of which none may go before those who waited longer."""
    monkeypatch.setattr(reconcile, "LIMIT", 3)
    monkeypatch.setattr(reconcile, "FEW", 2)
    monkeypatch.setattr(broker, "publish_first", lambda *_: pytest.fail("it went before others"))
    heads = []
    for lane in "abcdef":
        heads += [enqueue(lane)[0].id]
        time_passes(timedelta(seconds=10))
    assert reconcile.reconcile() == 3
    depths["event"] = 3
    assert reconcile.reconcile() == 3
    assert published == heads


def test_a_nudge_that_may_still_wait_among_new_ones_is_given_time(
    enqueue: Enqueue, published: list[str], depths: dict[str, int]
) -> None:
    (old,) = enqueue("old")
    depths["event"] = 1
    time_passes(timedelta(seconds=reconcile.GRACE_WAITING - 2))
    enqueue("new")
    assert reconcile.reconcile() == 0
    Lane.objects.filter(key="old").update(woken_at=F("woken_at") - timedelta(seconds=20))
    assert reconcile.reconcile() == 1
    assert published == [old.id]


def test_a_nudge_for_which_another_queue_has_a_message_too_many_is_repeated_last(
    enqueue: Enqueue, published: list[str], depths: dict[str, int]
) -> None:
    """It was taken to work a head of that kind, perhaps; whose message does the same for it."""
    enqueue()
    depths["summary"] = 1
    time_passes(timedelta(seconds=20))
    assert reconcile.reconcile() == 0
    time_passes(timedelta(seconds=11))
    assert reconcile.reconcile() == 1


def test_no_other_is_nudged_for_one_whose_nudge_was_lost(
    enqueue: Enqueue, published: list[str], depths: dict[str, int]
) -> None:
    enqueue("of another kind", kind=kinds.SUMMARY)
    (waits,) = enqueue("not due")
    (worked,) = enqueue("worked")
    enqueue("held", team="held")
    time_passes()
    (lost,) = enqueue("lost")
    time_passes()
    pauses.hold(Subject("team", "held"), "why not")
    assert leases.claim(worked.id, "worker")
    GenerationJob.objects.filter(pk=waits.id).update(due_at=timezone.now() + MINUTE)
    depths["summary"] = 1
    assert reconcile.reconcile() == 1
    assert published == [lost.id]


def test_what_is_taken_while_messages_are_counted_is_not_missed_among_them(
    enqueue: Enqueue, published: list[str], depths: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, _ = enqueue("a"), enqueue("b")
    time_passes()

    def taking() -> dict[str, int]:
        assert leases.claim(taken[0].id, "worker")
        return {**depths, "event": 1}

    monkeypatch.setattr(broker, "depths", taking)
    assert reconcile.reconcile() == 0


def never_nudged(job_id: str) -> None:
    Lane.objects.filter(jobs=job_id).update(woken_at=None)


def not_nudged_since_its_worker_died(job_id: str) -> None:
    assert leases.claim(job_id, "worker")
    now = timezone.now()
    GenerationJob.objects.filter(pk=job_id).update(lease_until=now - timedelta(seconds=1))
    Lane.objects.filter(jobs=job_id).update(woken_at=now - timedelta(seconds=5))


@pytest.mark.parametrize("left", [never_nudged, not_nudged_since_its_worker_died])
def test_a_head_that_had_no_nudge_is_not_missed_among_the_messages(
    enqueue: Enqueue, published: list[str], depths: dict[str, int], left: Callable[[str], None]
) -> None:
    enqueue("waits among the messages")
    (job,) = enqueue("left")
    depths["event"] = 1
    time_passes(timedelta(days=1))
    left(job.id)
    assert reconcile.reconcile() == 1
    assert published == [job.id]


def test_a_head_that_is_not_due_is_not_missed_among_the_messages(
    enqueue: Enqueue, published: list[str], depths: dict[str, int]
) -> None:
    enqueue("waits among the messages")
    first, _second = enqueue("not due", 2)
    lease = leases.claim(first.id, "worker")
    assert lease
    leases.release(lease, delay=3600.0)
    operations.cancel(first.id)
    depths["event"] = 1
    time_passes()
    assert reconcile.reconcile() == 0


def test_a_head_that_came_into_an_idle_lane_was_nudged_then_and_not_when_the_last_one_was(
    enqueue: Enqueue, published: list[str], depths: dict[str, int]
) -> None:
    (job,) = enqueue()
    lease = leases.claim(job.id, "worker")
    assert lease
    leases.settle(lease, dict, worker="worker", go_on=False)
    time_passes()
    enqueue()
    assert reconcile.reconcile() == 0


def test_a_lost_nudge_is_repeated_whatever_is_enqueued_behind_it(
    enqueue: Enqueue, published: list[str], depths: dict[str, int]
) -> None:
    (head,) = enqueue("lane")
    time_passes()
    enqueue("lane")
    assert reconcile.reconcile() == 1
    assert published == [head.id]


def test_a_lost_nudge_of_those_who_have_a_weight_and_no_limit_is_repeated(
    enqueue: Enqueue, published: list[str], depths: dict[str, int]
) -> None:
    Share.objects.create(team_id="team", weight=3)
    enqueue()
    time_passes()
    assert reconcile.reconcile() == 1


def test_of_those_that_have_a_limit_one_is_nudged_too_where_one_may_try(
    enqueue: Enqueue, published: list[str], depths: dict[str, int]
) -> None:
    Share.objects.create(team_id="team", max_in_flight=3)
    for lane in "abc":
        enqueue(lane)
    Lane.objects.update(woken_at=None)
    pauses.pause("the key was refused", "auth", probing=False)
    pauses.look_again()
    assert reconcile.reconcile() == 1


@pytest.mark.parametrize("waits", [
    lambda lease: leases.reschedule(lease, 30.0, {"reason": "busy"}),
    lambda lease: leases.release(lease, delay=30.0),
])  # fmt: skip
def test_what_waits_is_published_when_it_is_due_and_not_before(
    enqueue: Enqueue, published: list[str], depths: dict[str, int], waits: Callable[[Lease], None]
) -> None:
    """However many messages wait: its own was spent."""
    (job,) = enqueue()
    depths["event"] = 99
    lease = leases.claim(job.id, "worker")
    assert lease is not None
    waits(lease)
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
    time_passes(timedelta(seconds=1.1))
    assert reconcile.reconcile() == 1
    assert published == [job.id, job.id]


@pytest.mark.parametrize("can_lose", [True, False], ids=["messages", "looks"])
def test_a_job_at_its_last_start_is_not_given_up_because_the_machine_slept(
    enqueue: Enqueue,
    published: list[str],
    depths: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
    can_lose: bool,
) -> None:
    """Its worker lives, and renews the lease as soon as it had its beat."""
    (job,) = enqueue("lane", kind=kinds.SUMMARY)
    for _ in range(kinds.SUMMARY.max_attempts):
        lease = leases.claim(job.id, "worker")
        assert lease
        time_passes()
    monkeypatch.setattr(broker, "can_lose", lambda: can_lose)
    monkeypatch.setattr(heartbeat, "await_others", lambda: leases.renew([lease]))
    assert reconcile.reconcile() == 0
    assert GenerationJob.objects.get().state == states.PROCESSING


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
    nudged, never = enqueue("one", team="a")[0], enqueue("two", team="b")[0]
    time_passes()
    Lane.objects.filter(key="two").update(woken_at=None)
    reconcile.reconcile()
    reconcile.reconcile()
    assert published == [never.id, nudged.id]


def test_of_those_that_had_no_nudge_the_first_are_those_that_wait_longest(
    enqueue: Enqueue, published: list[str], depths: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "LIMIT", 1)
    late, never, early = (enqueue(lane)[0].id for lane in "abc")
    for job_id in (late, early):
        not_nudged_since_its_worker_died(job_id)
    Lane.objects.filter(jobs=early).update(woken_at=F("woken_at") - MINUTE)
    never_nudged(never)
    for _ in range(3):
        reconcile.reconcile()
    assert published == [never, early, late]


def test_each_pass_sends_canaries_too_last_of_all(
    enqueue: Enqueue, published: list[str], depths: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = enqueue()
    never_nudged(job.id)
    monkeypatch.setattr(broker, "send_canary", lambda queue, number: published.append(queue))
    assert reconcile.reconcile() == 1
    assert published == [job.id, *sorted(canaries.QUEUES)]


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


def test_a_database_that_fails_is_said_and_the_next_pass_tries_again(
    enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(leases, "end_those_of_the_dead", fail)
    assert reconcile.reconcile_quietly() == 0
    assert "the database failed: gone" in caplog.text


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


def test_where_workers_look_a_pass_buries_so_many_and_leaves_the_others_to_the_next(
    enqueue: Enqueue, published: list[str], settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.QUEUE_ENGINE = broker.DATABASE
    monkeypatch.setattr(reconcile, "LIMIT", 1)
    for lane in "ab":
        (spent,) = enqueue(lane)
        for _ in range(spent.new.kind.max_attempts):
            assert leases.claim(spent.id, "worker")
            time_passes()
    for buried in (1, 2):
        reconcile.reconcile()
        assert GenerationJob.objects.filter(state=states.FAILED).count() == buried


def test_a_message_that_was_taken_for_another_kind_is_late_made_up_for_and_a_lost_one_soon() -> (
    None
):
    nudged = [reconcile._Nudged("event", 3, 3), reconcile._Nudged("summary", 1, 1)]
    (taken,) = reconcile._lost(nudged, {"event": 1, "summary": 3})
    assert (taken.kind, taken.grace, taken.count) == ("event", reconcile.GRACE_STRANDED, 2)
    (lost,) = reconcile._lost(nudged, {"event": 1, "summary": 2})
    assert (lost.kind, lost.grace, lost.count) == ("event", reconcile.GRACE_SHORT, 1)
    # Of a kind of which no head was nudged.
    (left,) = reconcile._lost(nudged[:1], {"event": 2, "summary": 1})
    assert (left.grace, left.count) == (reconcile.GRACE_STRANDED, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("apart", "passes"), [(600.0, [7, 0, 0]), (0.0, [7, 7, 7])])
def test_messages_of_an_hour_that_come_all_at_once_are_one_pass(
    monkeypatch: pytest.MonkeyPatch, apart: float, passes: list[int]
) -> None:
    monkeypatch.setattr(tasks, "_again", tasks.Rarely(apart))
    monkeypatch.setattr(tasks, "reconcile_quietly", lambda: 7)
    assert [tasks.reconcile() for _ in range(3)] == passes
