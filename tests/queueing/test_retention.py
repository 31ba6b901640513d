"""What goes after its time, and what stays: jobs, their history, their lanes."""

import random
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction  # noqa: F401 - asked for by a mark
from django.db.models import F
from django.test import override_settings

from queueing import kinds, leases, operations, outbox, retention, states
from queueing.errors import JobNotFound
from queueing.models import GenerationJob, GenerationJobEvent, Lane, Pruning, new_id
from queueing.outbox import Enqueued, NewJob
from queueing.retention import Cutoffs
from queueing.statements import now
from tests.queueing.conftest import Enqueue
from tests.queueing.test_leases import claimed, settled, state
from tests.queueing.test_races import at_once

pytestmark = pytest.mark.django_db

ROUNDS = 15
DEAD = {"reason": "no", "classification": "test"}


@pytest.fixture(autouse=True)
def _long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs were made years ago, as their ids tell; when they ended is for each test to say."""
    monkeypatch.setattr(outbox, "new_id", long_ago)
    monkeypatch.setattr(retention, "BREATH", 0.0)


def long_ago(days: float = 5000) -> str:
    """An id as it was made so many days ago."""
    id = new_id()
    made = int(id[:8] + id[9:13], 16) - int(days * 86_400_000)
    return f"{made >> 16:08x}-{made & 0xFFFF:04x}{id[13:]}"


def limits(completed: int = 30, failed: int = 90) -> Cutoffs:
    at = now()
    return Cutoffs(retention.before(completed, at), retention.before(failed, at))


def prune(completed: int = 30, failed: int = 90) -> int:
    return retention.prune(limits(completed, failed), retention.budget())


def age(days: float, *jobs: str) -> None:
    """Let everything about these jobs have happened so many days earlier."""
    names = ("created_at", "updated_at", "due_at", "completed_at", "failed_at", "cancelled_at")
    earlier = {name: F(name) - timedelta(days=days) for name in names}
    GenerationJob.objects.filter(pk__in=jobs).update(**earlier)


def done(job_id: str) -> None:
    settled(claimed(job_id))


def completed(enqueue: Enqueue, lane: str = "lane", days: float = 40, **how: Any) -> str:
    (job,) = enqueue(lane, 1, **how)
    done(job.id)
    age(days, job.id)
    return job.id


def there(*jobs: str) -> list[bool]:
    known = set(GenerationJob.objects.values_list("pk", flat=True))
    return [job in known for job in jobs]


def test_a_completed_job_goes_with_its_history_after_its_days(enqueue: Enqueue) -> None:
    old, young = completed(enqueue, days=31), completed(enqueue, days=29)
    assert retention.over(limits()) == 1
    assert prune() == 1
    assert there(old, young) == [False, True]
    assert set(GenerationJobEvent.objects.values_list("job_id", flat=True)) == {young}
    assert prune() == 0


def test_a_job_of_a_host_whose_clock_was_ahead_goes_in_its_time(
    enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs are looked for by their ids, which tell the time of who made them."""
    monkeypatch.setattr(outbox, "new_id", partial(long_ago, 29.5))
    job = completed(enqueue, days=31)
    assert retention.over(limits()) == 1
    assert prune() == 1
    assert there(job) == [False]


def test_failed_and_cancelled_jobs_are_kept_longer_for_they_may_be_retried(
    enqueue: Enqueue, published: list[str]
) -> None:
    failed, cancelled = enqueue("a")[0].id, enqueue("b")[0].id
    leases.bury(claimed(failed), DEAD)
    operations.cancel(cancelled)
    age(60, failed, cancelled)
    assert prune() == 0
    assert operations.retry(failed).job.state == states.QUEUED
    age(31, cancelled)
    assert prune() == 1
    assert there(failed, cancelled) == [True, False]


def test_what_is_open_stays_however_old(enqueue: Enqueue) -> None:
    waits, worked = enqueue("a")[0].id, enqueue("b")[0].id
    lease = claimed(worked)
    age(4000, waits, worked)
    assert prune() == 0
    settled(lease)
    assert claimed(waits).head.id == waits


def test_zero_days_keep_for_ever(enqueue: Enqueue) -> None:
    job = completed(enqueue, days=4000)
    assert retention.over(limits(0, 0)) == prune(0, 0) == 0
    assert prune(0, 90) == 0
    assert there(job) == [True]
    assert not Pruning.objects.exclude(before=None).filter(before__gt=now()).exists()


def test_a_busy_lane_keeps_its_numbers(enqueue: Enqueue) -> None:
    gone = completed(enqueue)
    first, second = enqueue("lane", 2, kind=kinds.SUMMARY)
    assert prune() == 1
    assert there(gone) == [False]
    assert (first.seq, second.seq) == (2, 3)
    assert leases.claim(second.id, "worker") is None
    done(first.id)
    done(second.id)
    lane = Lane.objects.get(key="lane")
    assert (lane.head, lane.tail) == (4, 3)


def test_a_cancelled_job_ahead_of_its_lanes_head_waits_for_it(
    enqueue: Enqueue, published: list[str]
) -> None:
    head, between, last = enqueue("lane", 3)
    operations.cancel(between.id)
    age(100, head.id, between.id, last.id)
    assert prune() == 0
    lease = claimed(head.id)
    assert [job.id for job in lease.jobs] == [head.id, last.id]
    settled(lease)
    assert prune() == 1
    assert there(between.id) == [False]


def test_an_idle_lane_goes_with_its_last_job_and_may_come_back(enqueue: Enqueue) -> None:
    completed(enqueue)
    assert prune() == 1
    assert not Lane.objects.exists()
    first, second = enqueue("lane", 2)
    assert [(row.seq, row.is_head) for row in (first, second)] == [(1, True), (2, False)]
    done(first.id)


def test_a_lane_stays_while_one_of_its_jobs_does(enqueue: Enqueue) -> None:
    completed(enqueue)
    young = completed(enqueue, days=1)
    assert prune() == 1
    (new,) = enqueue("lane")
    assert new.seq == GenerationJob.objects.get(pk=young).seq + 1


def summaries(*covers: int, source: str = "session") -> list[Enqueued]:
    with transaction.atomic():
        return list(
            outbox.enqueue(
                [
                    NewJob(kinds.SUMMARY, "lane", kinds.SUMMARY.job_id(source, str(n)), source,
                           "team", "project", covers=n)
                    for n in covers
                ]
            )
        )  # fmt: skip


def test_the_last_completed_summary_of_a_session_stays(enqueue: Enqueue) -> None:
    first, last, failed = summaries(3, 7, 9)
    done(first.id)
    done(last.id)
    leases.bury(claimed(failed.id), DEAD)
    age(4000, first.id, last.id, failed.id)
    assert prune() == 1
    assert there(first.id, last.id, failed.id) == [False, True, True]


def test_a_later_summary_of_another_session_takes_no_sessions_last(enqueue: Enqueue) -> None:
    (ours,) = summaries(3)
    (later,) = summaries(7, source="other")
    for job in (ours, later):
        done(job.id)
    age(4000, ours.id, later.id)
    assert prune() == 0
    assert there(ours.id, later.id) == [True, True]


def test_more_than_a_portion_goes_and_what_is_kept_between_stays(
    enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PORTION", 3)
    jobs = [completed(enqueue, str(n), days=40 if n % 3 else 1) for n in range(11)]
    assert prune() == 7
    assert there(*jobs) == [n % 3 == 0 for n in range(11)]


def test_a_pass_ends_when_its_time_is_over_and_the_next_goes_on(
    enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PORTION", 2)
    for n in range(5):
        completed(enqueue, str(n))
    assert retention.prune(limits(), retention.budget(0.0)) == 2
    assert retention.prune(limits(), retention.budget(stop=lambda: True)) == 2
    assert retention.over(limits()) == 1
    assert prune() == 1


def test_a_retried_job_that_was_found_to_be_over_is_left_alone(
    enqueue: Enqueue, published: list[str]
) -> None:
    (job,) = enqueue()
    leases.bury(claimed(job.id), DEAD)
    age(100, job.id)
    at = limits()
    operations.retry(job.id)
    with transaction.atomic():
        assert retention._delete([job.id], at) == 0
    assert state(job.id) == states.QUEUED


def test_how_far_was_pruned_is_known_and_only_grows(enqueue: Enqueue) -> None:
    at = now()
    assert not retention.may_be_pruned(at - timedelta(days=4000))
    prune(30, 90)
    prune(90, 300)
    assert retention.may_be_pruned(at - timedelta(days=31))
    # A host's clock may be ahead by hours.
    assert retention.may_be_pruned(at - timedelta(days=29, hours=2))
    assert not retention.may_be_pruned(at - timedelta(days=28))


def test_of_many_who_are_asked_one_has_the_turn_until_it_is_due_again() -> None:
    assert retention.take_turn("all", 3600)
    assert not retention.take_turn("all", 3600)
    Pruning.objects.update(ran_at=F("ran_at") - timedelta(hours=2))
    assert retention.take_turn("all", 3600)
    # A clock that was put back.
    Pruning.objects.update(ran_at=F("ran_at") + timedelta(days=2))
    assert retention.take_turn("all", 3600)


def test_the_settings_say_how_long(enqueue: Enqueue) -> None:
    with override_settings(RETAIN_JOBS_DAYS=2, RETAIN_FAILED_JOBS_DAYS=0):
        at = now()
        assert retention.cutoffs(at) == Cutoffs(at - timedelta(days=2), None)


# --- races ----------------------------------------------------------------------------------------


def retried(job_id: str) -> object:
    try:
        return operations.retry(job_id).job.state
    except JobNotFound:
        return None


@pytest.mark.django_db(transaction=True)
def test_a_retry_that_comes_with_the_pruning_has_the_job_or_finds_none(
    enqueue: Enqueue, published: list[str]
) -> None:
    for n in range(ROUNDS):
        (job,) = enqueue(str(n))
        leases.bury(claimed(job.id), DEAD)
        age(100, job.id)
        removed, outcome = at_once(prune, partial(retried, job.id))
        assert (removed, outcome) in [(1, None), (0, states.QUEUED)]
        if outcome:
            done(job.id)


@pytest.mark.django_db(transaction=True)
def test_of_many_who_come_at_once_one_has_the_turn() -> None:
    for _ in range(ROUNDS):
        assert sum(at_once(*[partial(retention.take_turn, "all", 3600)] * 6)) == 1
        Pruning.objects.update(ran_at=F("ran_at") - timedelta(hours=2))


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite locks no rows")
def test_what_somebody_has_locked_is_left_for_the_next_time(enqueue: Enqueue) -> None:
    held, other = completed(enqueue, "a"), completed(enqueue, "b")
    with transaction.atomic():
        GenerationJob.objects.select_for_update().get(pk=held)
        (removed,) = at_once(prune)
    assert removed == 1
    assert there(held, other) == [True, False]
    assert prune() == 1


@pytest.mark.django_db(transaction=True)
def test_a_lane_that_gets_a_job_as_it_goes_has_the_job(enqueue: Enqueue) -> None:
    for n in range(ROUNDS):
        completed(enqueue, str(n))
        jobs: Sequence[Enqueued]
        _, jobs = at_once(prune, partial(enqueue, str(n), 2))
        lane = Lane.objects.get(key=str(n))
        assert (lane.head, lane.tail) == (jobs[0].seq, jobs[1].seq)
        assert jobs[0].is_head
        settled(claimed(jobs[0].id))
        assert (prune(), retention.over(limits())) == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_claims_settlements_and_forgetting_go_on_while_all_is_pruned(enqueue: Enqueue) -> None:
    for _ in range(ROUNDS // 3):
        for n in range(6):
            completed(enqueue, str(n))
        busy = [enqueue(str(n), 2)[0] for n in range(4)]

        def forget() -> int:
            with transaction.atomic():
                return outbox.forget(["3", "4", "5"])

        acts = [partial(done, job.id) for job in busy[:3]] + [prune, prune, forget]
        random.shuffle(acts)
        at_once(*acts)
        prune()
        assert set(Lane.objects.values_list("key", flat=True)) == {"0", "1", "2"}
        assert not GenerationJob.objects.filter(
            state=states.COMPLETED, completed_at__lt=limits().completed
        ).exists()
        assert [state(job.id) for job in busy[:3]] == [states.COMPLETED] * 3
        with transaction.atomic():
            outbox.forget(["0", "1", "2"])
