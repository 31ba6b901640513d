"""The lane protocol, statement by statement, on a real database."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import transaction
from django.test import override_settings

from queueing import broker, identity, kinds, leases, operations, outbox, states
from queueing.errors import JobConflict, LeaseLost
from queueing.leases import Lease
from queueing.models import GenerationJob, GenerationJobEvent, Lane
from tests.queueing.conftest import Enqueue

pytestmark = pytest.mark.django_db

ERROR = {"reason": "no answer", "classification": "transient"}


def claimed(job_id: str) -> Lease:
    lease = leases.claim(job_id, "worker")
    assert lease is not None
    return lease


def settled(lease: Lease, *, go_on: bool = False) -> leases.Settled:
    return leases.settle(lease, dict, worker="worker", go_on=go_on)


def state(job_id: str) -> str:
    return GenerationJob.objects.get(pk=job_id).state


def history(job_id: str) -> list[str]:
    events = GenerationJobEvent.objects.filter(job_id=job_id).order_by("id")
    return list(events.values_list("event", flat=True))


def expire(job_id: str) -> None:
    """Let the job's lease run out, as time would."""
    row = GenerationJob.objects.get(pk=job_id)
    # Earlier than it was made, which SQLite's clock may tell to be this very moment.
    row.lease_until = row.created_at - timedelta(seconds=1)
    row.save(update_fields=["lease_until"])


def test_only_the_head_of_a_lane_can_be_claimed(enqueue: Enqueue) -> None:
    first, second = enqueue("lane", 2, kind=kinds.SUMMARY)
    assert first.is_head
    assert not second.is_head
    assert leases.claim(second.id, "worker") is None
    assert claimed(first.id).head.id == first.id


def test_a_message_that_comes_twice_claims_nothing(enqueue: Enqueue) -> None:
    (job,) = enqueue()
    claimed(job.id)
    assert leases.claim(job.id, "another") is None


def test_a_backlog_is_claimed_together_in_order(enqueue: Enqueue) -> None:
    jobs = enqueue("lane", 5)
    lease = claimed(jobs[0].id)
    assert [job.id for job in lease.jobs] == [job.id for job in jobs]
    settled(lease)
    assert {state(job.id) for job in jobs} == {states.COMPLETED}
    lane = Lane.objects.get(key="lane")
    assert (lane.head, lane.tail) == (6, 5)


def test_a_batch_ends_at_the_first_job_of_another_kind(enqueue: Enqueue) -> None:
    first, second = enqueue("lane", 2)
    (summary,) = enqueue("lane", 1, kind=kinds.SUMMARY)
    enqueue("lane", 1)
    lease = claimed(first.id)
    assert [job.id for job in lease.jobs] == [first.id, second.id]
    assert settled(lease, go_on=True) == leases.Settled(
        head=leases.Head(summary.id, kinds.SUMMARY.name)
    )


def test_a_batch_ends_where_its_tokens_do(enqueue: Enqueue) -> None:
    jobs = enqueue("lane", 4, size=kinds.EVENT.batch_tokens // 2)
    assert len(claimed(jobs[0].id).jobs) == 2


@pytest.mark.parametrize(
    "stop",
    [("summary", "queued", 1, True), ("event", "processing", 1, True),
     ("event", "queued", 1, False), ("event", "queued", 9, True)],
)  # fmt: skip
def test_nothing_comes_along_from_behind_what_cannot(stop: tuple[str, str, int, bool]) -> None:
    behind = [(2, "event", "queued", 1, True), (3, *stop), (4, "event", "queued", 1, True)]
    assert leases.reach(behind, "event", tokens=9) == 2


def test_a_cancelled_follower_is_stepped_over(enqueue: Enqueue, published: list[str]) -> None:
    first, second, third = enqueue("lane", 3)
    operations.cancel(second.id)
    lease = claimed(first.id)
    assert [job.id for job in lease.jobs] == [first.id, third.id]
    settled(lease)
    assert Lane.objects.get(key="lane").head == 4


def test_settling_claims_what_follows_in_the_same_transaction(enqueue: Enqueue) -> None:
    jobs = enqueue("lane", kinds.EVENT.batch_jobs + 1)
    after = settled(claimed(jobs[0].id), go_on=True)
    assert after.lease is not None
    assert after.lease.head.id == jobs[-1].id
    assert state(jobs[-1].id) == states.PROCESSING


def test_a_job_at_its_last_start_is_not_worked_in_passing(enqueue: Enqueue) -> None:
    first, last = enqueue("lane", 2, kind=kinds.SUMMARY)
    started = kinds.SUMMARY.max_attempts - 1
    GenerationJob.objects.filter(pk=last.id).update(attempts=started, token=started)
    after = settled(claimed(first.id), go_on=True)
    assert after == leases.Settled(head=leases.Head(last.id, kinds.SUMMARY.name))
    assert claimed(last.id).head.attempts == kinds.SUMMARY.max_attempts


def test_what_a_settlement_stores_is_dropped_with_a_lost_lease(enqueue: Enqueue) -> None:
    (job,) = enqueue()
    late = claimed(job.id)
    expire(job.id)
    claimed(job.id)

    def store() -> leases.Details:
        Lane.objects.create(key="made by the late worker", project_id="p")
        return {}

    with pytest.raises(LeaseLost):
        leases.settle(late, store, worker="worker", go_on=False)
    assert not Lane.objects.filter(key="made by the late worker").exists()
    assert state(job.id) == states.PROCESSING


def test_an_expired_lease_is_taken_over_with_a_larger_token(enqueue: Enqueue) -> None:
    (job,) = enqueue()
    first = claimed(job.id)
    expire(job.id)
    second = claimed(job.id)
    assert second.head.token == first.head.token + 1
    assert second.head.attempts == 2
    assert not leases.renew([first])
    assert leases.renew([second]) == set(second.pairs)


def test_what_died_with_its_worker_is_tried_alone_and_so_is_the_rest(enqueue: Enqueue) -> None:
    jobs = enqueue("lane", 3)
    claimed(jobs[0].id)
    for job in jobs:
        expire(job.id)
    lease = claimed(jobs[0].id)
    assert [job.id for job in lease.jobs] == [jobs[0].id]
    rows = GenerationJob.objects.filter(pk__in=[job.id for job in jobs[1:]])
    assert {(row.state, row.attempts) for row in rows} == {(states.QUEUED, 1)}
    for job in jobs[1:]:
        following = settled(lease, go_on=True).lease
        assert following is not None
        lease = following
        assert [one.id for one in lease.jobs] == [job.id]


def test_with_the_lease_of_its_head_a_batch_is_lost_as_a_whole(enqueue: Enqueue) -> None:
    first, *behind = enqueue("lane", 3)
    lost = claimed(first.id)
    # A batch is leased and renewed row by row: some leases end a moment later than the others.
    expire(first.id)
    again = claimed(first.id)
    assert [history(job.id)[-1] for job in behind] == [states.RELEASED] * 2
    with pytest.raises(LeaseLost):
        settled(lost)
    leases.release(lost)
    settled(again)
    assert {(state(job.id), history(job.id)[-1]) for job in behind} == {
        (states.QUEUED, states.RELEASED)
    }
    assert claimed(behind[0].id).head.attempts == 2


def test_what_follows_a_cancelled_head_is_kept_until_its_worker_gives_it_back(
    enqueue: Enqueue, published: list[str]
) -> None:
    first, *behind = enqueue("lane", 3)
    lease = claimed(first.id)
    operations.cancel(first.id)
    assert leases.renew([lease]) == set(lease.pairs[1:])
    leases.release(lease)
    assert claimed(behind[0].id).head.attempts == 1


def test_what_another_took_over_behind_a_cancelled_head_is_renewed_by_that_one_alone(
    enqueue: Enqueue, published: list[str]
) -> None:
    first, second = enqueue("lane", 2)
    late = claimed(first.id)
    operations.cancel(first.id)
    expire(second.id)
    lease = claimed(second.id)
    assert leases.renew([late]) == set()
    assert leases.renew([lease, late]) == set(lease.pairs)


@pytest.mark.parametrize("place", [0, 7, kinds.EVENT.batch_jobs - 1])
def test_a_job_that_kills_its_workers_takes_three_along_wherever_it_stands(
    enqueue: Enqueue, place: int
) -> None:
    jobs = [job.id for job in enqueue("lane", kinds.EVENT.batch_jobs)]
    poison, deaths = jobs[place], 0
    for job_id in jobs:
        while state(job_id) not in states.FINAL:
            lease = leases.claim(job_id, "worker")
            if lease is None:
                leases.bury_exhausted(job_id)
            elif poison in [job.id for job in lease.jobs]:
                deaths += 1
                for job in lease.jobs:
                    expire(job.id)
            else:
                settled(lease)
    assert deaths == kinds.EVENT.max_attempts
    assert {job_id for job_id in jobs if state(job_id) != states.COMPLETED} == {poison}


def test_a_job_that_takes_its_worker_down_each_time_is_dead_lettered(enqueue: Enqueue) -> None:
    poison, other = enqueue("lane", 2)
    for _ in range(kinds.EVENT.max_attempts):
        assert leases.bury_exhausted(poison.id) is None
        jobs = claimed(poison.id).jobs
        assert leases.bury_exhausted(poison.id) is None
        for job in jobs:
            expire(job.id)
    assert leases.claim(poison.id, "worker") is None
    head = leases.bury_exhausted(poison.id)
    assert state(poison.id) == states.FAILED
    assert GenerationJob.objects.get(pk=poison.id).last_error["classification"] == "worker_lost"
    assert head == leases.Head(other.id, kinds.EVENT.name)


def test_a_rescheduled_head_waits_and_its_lane_with_it(enqueue: Enqueue) -> None:
    first, second = enqueue("lane", 2, kind=kinds.SUMMARY)
    leases.reschedule(claimed(first.id), 60.0, ERROR)
    assert leases.claim(first.id, "worker") is None
    assert leases.claim(second.id, "worker") is None
    assert history(first.id) == ["queued", "processing", "retry_scheduled"]
    assert GenerationJob.objects.get(pk=first.id).last_error == ERROR


def test_a_buried_head_lets_its_lane_go_on(enqueue: Enqueue) -> None:
    first, second = enqueue("lane", 2, kind=kinds.SUMMARY)
    head = leases.bury(claimed(first.id), ERROR)
    assert head == leases.Head(second.id, kinds.SUMMARY.name)
    assert history(first.id) == ["queued", "processing", "failed"]


def test_a_release_gives_the_attempt_back_but_never_the_token(enqueue: Enqueue) -> None:
    (job,) = enqueue()
    leases.release(claimed(job.id))
    row = GenerationJob.objects.get(pk=job.id)
    assert (row.state, row.attempts, row.token) == (states.QUEUED, 0, 1)
    assert claimed(job.id).head.token == 2


def test_cancelling_takes_the_lease_from_its_worker(enqueue: Enqueue, published: list[str]) -> None:
    first, second = enqueue("lane", 2, kind=kinds.SUMMARY)
    lease = claimed(first.id)
    assert operations.cancel(first.id).job.state == states.CANCELLED
    with pytest.raises(LeaseLost):
        settled(lease)
    assert published == [second.id]
    assert operations.cancel(first.id).already_cancelled


def test_a_retried_job_goes_to_the_tail_with_a_fresh_budget(
    enqueue: Enqueue, published: list[str]
) -> None:
    first, second = enqueue("lane", 2, kind=kinds.SUMMARY)
    leases.bury(claimed(first.id), ERROR)
    retried = operations.retry(first.id)
    assert (retried.job.state, retried.job.seq, retried.job.attempts) == (states.QUEUED, 3, 0)
    assert retried.job.retried_count == 1
    settled(claimed(second.id))
    settled(claimed(first.id))
    assert history(first.id)[-2:] == ["processing", "completed"]


def test_retrying_a_queued_job_nudges_it_again(enqueue: Enqueue, published: list[str]) -> None:
    (job,) = enqueue()
    assert operations.retry(job.id).already_queued
    assert published == [job.id]


def test_an_operator_is_told_of_a_job_that_is_forgotten_the_moment_after(
    enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgotten(job_id: str, kind: str) -> None:
        with transaction.atomic():
            outbox.forget(["lane"])

    monkeypatch.setattr(broker, "publish", forgotten)
    assert operations.retry(enqueue()[0].id).job.state == states.QUEUED
    assert operations.cancel(enqueue("lane", 2)[0].id).job.state == states.CANCELLED
    assert not GenerationJob.objects.exists()


@pytest.mark.parametrize("how", ["processing", "completed"])
def test_a_job_at_work_or_done_cannot_be_retried(enqueue: Enqueue, how: str) -> None:
    (job,) = enqueue()
    lease = claimed(job.id)
    if how == "completed":
        settled(lease)
    with pytest.raises(JobConflict, match=how):
        operations.retry(job.id)


def test_a_stalled_job_is_retried_where_it_stands_and_its_worker_is_fenced(
    enqueue: Enqueue, published: list[str]
) -> None:
    first, second = enqueue("lane", 2, kind=kinds.SUMMARY)
    late = claimed(first.id)
    expire(first.id)
    retried = operations.retry(first.id)
    assert (retried.job.state, retried.job.seq, retried.job.attempts) == (states.QUEUED, 1, 0)
    assert (retried.job.retried_count, retried.already_queued) == (1, False)
    assert published == [first.id]
    assert leases.renew([late]) == set()
    with pytest.raises(LeaseLost):
        settled(late)
    assert leases.claim(second.id, "worker") is None
    settled(claimed(first.id))
    settled(claimed(second.id))
    assert history(first.id) == ["queued", "processing", "retried", "processing", "completed"]


def test_a_stalled_job_behind_a_stalled_head_keeps_its_place_too(
    enqueue: Enqueue, published: list[str]
) -> None:
    first, second = enqueue("lane", 2)
    for job in claimed(first.id).jobs:
        expire(job.id)
    assert operations.retry(second.id).job.seq == 2
    assert published == []
    assert [job.id for job in claimed(first.id).jobs] == [first.id]


def test_the_leases_of_a_dead_process_of_this_host_end_at_once_and_no_others(
    enqueue: Enqueue,
) -> None:
    me = identity.mine()
    holders = {
        "dead": replace(me, began="1"),
        "living": me,
        "elsewhere": replace(me, began="1", place="0123456789abcdef"),
    }
    jobs = {name: enqueue(name)[0].id for name in (*holders, "nobody we know")}
    for name, job_id in jobs.items():
        assert leases.claim(job_id, str(holders.get(name, name)))
    assert leases.end_those_of_the_dead() == 1
    taken = [name for name, job_id in jobs.items() if leases.claim(job_id, str(me))]
    assert taken == ["dead"]
    assert leases.end_those_of_the_dead() == 0


def test_a_lease_of_the_dead_that_ran_out_by_itself_is_not_ended_once_more(
    enqueue: Enqueue, caplog: pytest.LogCaptureFixture
) -> None:
    """Or its lane, for which somebody was woken since, would seem to want a nudge each time."""
    dead = str(replace(identity.mine(), began="1"))
    old, live = (enqueue(lane)[0].id for lane in ("old", "live"))
    for job_id in (old, live):
        assert leases.claim(job_id, dead)
    expire(old)
    assert leases.end_those_of_the_dead() == 1
    assert list(Lane.objects.filter(woken_at=None).values_list("key", flat=True)) == ["live"]
    caplog.clear()
    assert leases.end_those_of_the_dead() == 0
    assert caplog.text == ""


def test_at_its_last_chance_a_job_waits_for_a_worker_that_lets_it(enqueue: Enqueue) -> None:
    (job,) = enqueue()
    for _ in range(kinds.EVENT.max_attempts - 1):
        assert not claimed(job.id).last_chance
        expire(job.id)
    assert leases.claim(job.id, "worker", at_last=lambda: False) is None
    row = GenerationJob.objects.get(pk=job.id)
    assert (row.attempts, row.token, row.state) == (2, 2, states.PROCESSING)
    assert history(job.id) == ["queued", "processing", "processing"]
    lease = claimed(job.id)
    assert lease.last_chance
    settled(lease)


def test_a_last_attempt_after_failures_that_were_told_is_like_any_other(enqueue: Enqueue) -> None:
    (job,) = enqueue()
    for _ in range(kinds.EVENT.max_attempts - 1):
        leases.reschedule(claimed(job.id), 0.0, ERROR)
    assert leases.claim(job.id, "worker", at_last=lambda: False)


def test_enqueueing_needs_no_turn_to_wait_for(enqueue: Enqueue) -> None:
    first, *_ = enqueue("lane", 2, kind=kinds.SUMMARY)
    lease = claimed(first.id)
    (late,) = enqueue("lane", 1, kind=kinds.SUMMARY)
    assert late.seq == 3
    assert not late.is_head
    after = settled(lease)
    assert after.head is not None
    assert after.head.job_id != late.id


def test_a_rolled_back_enqueue_leaves_no_gap(enqueue: Enqueue) -> None:
    enqueue("lane", 1)
    with transaction.atomic():
        enqueue("lane", 3)
        transaction.set_rollback(True)
    (after,) = enqueue("lane", 1)
    assert after.seq == 2


@override_settings(LEASE_SECONDS=0.001)
def test_a_lease_is_only_as_long_as_configured(enqueue: Enqueue) -> None:
    (job,) = enqueue()
    claimed(job.id)
    row = GenerationJob.objects.get(pk=job.id)
    assert row.lease_until is not None
    assert (row.lease_until - row.updated_at).total_seconds() <= 0.002
