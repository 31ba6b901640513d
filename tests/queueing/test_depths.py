"""What waits is counted as it is, and what is over is counted seldom where that takes long."""

import threading
from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from queueing import depths, kinds, leases
from queueing.models import GenerationJob, Lane
from tests.queueing.conftest import Enqueue
from tests.waiting import until

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def counted_anew() -> None:
    depths.forget()


def done(job_id: str) -> None:
    lease = leases.claim(job_id, "worker")
    assert lease is not None
    leases.settle(lease, dict, worker="worker", go_on=False)


def test_heads_are_told_by_kind_with_the_age_of_the_oldest(enqueue: Enqueue) -> None:
    for lane in "abc":
        enqueue(lane, 3)
    enqueue("d", kind=kinds.SUMMARY)
    old = timezone.now() - timedelta(seconds=90)
    GenerationJob.objects.filter(lane__key="b").update(created_at=old)
    Lane.objects.filter(key="b").update(woken_at=old)
    GenerationJob.objects.filter(lane__key="c").update(due_at=timezone.now() + timedelta(hours=1))
    event, summary = sorted(depths.heads(), key=lambda each: each.kind)
    assert (event.kind, event.all, event.due, event.lacking) == ("event", 3, 2, 1)
    assert 90 <= event.oldest < 120
    assert (summary.kind, summary.all, summary.due, summary.lacking) == ("summary", 1, 1, 0)


def test_a_job_that_was_retried_has_waited_since_its_retry(enqueue: Enqueue) -> None:
    (job,) = enqueue()
    old = timezone.now() - timedelta(days=7)
    GenerationJob.objects.filter(pk=job.id).update(created_at=old, retried_count=1)
    (event,) = depths.heads()
    assert event.oldest < 60


def test_who_has_what_in_hand_is_told_while_the_lease_is_in_force(enqueue: Enqueue) -> None:
    jobs = enqueue("a", 2)
    (other,) = enqueue("b", kind=kinds.SUMMARY)
    assert leases.claim(jobs[0].id, "one")
    assert leases.claim(other.id, "two")
    assert sorted((each.kind, each.worker, each.jobs) for each in depths.held()) == [
        ("event", "one", 2),
        ("summary", "two", 1),
    ]
    GenerationJob.objects.update(lease_until=F("lease_until") - timedelta(minutes=1))
    assert depths.held() == []


def test_the_last_success_is_found_among_the_latest_history(
    enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert depths.done_age() is None
    (job,) = enqueue()
    done(job.id)
    age = depths.done_age()
    assert age is not None
    assert age < 15
    monkeypatch.setattr(depths, "LINES", 3)
    enqueue("other", 3)
    assert depths.done_age() is None


def test_what_is_over_is_counted_seldom_where_it_takes_long_and_what_waits_always(
    enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depths, "FREE_SECONDS", 0.0)
    monkeypatch.setattr(depths, "RARITY", 1e6)
    first, second = enqueue("a")[0], enqueue("b")[0]
    done(first.id)
    assert depths.counts() == {("event", "completed"): 1, ("event", "queued"): 1}
    done(second.id)
    assert depths.counts() == {("event", "completed"): 1}
    depths.forget()
    assert depths.counts() == {("event", "completed"): 2}


def test_while_one_counts_the_others_get_what_was_counted_before() -> None:
    go_on, calls = threading.Event(), []

    def slow() -> int:
        calls.append(1)
        if len(calls) > 1:
            go_on.wait()
        return len(calls)

    kept = depths.Kept(slow)
    assert kept.value() == 1
    counting = threading.Thread(target=kept.value)
    counting.start()
    until(lambda: len(calls) == 2)
    assert kept.value() == 1
    go_on.set()
    counting.join()
