"""What an operator pauses: nothing of it begins, nothing is lost, and it goes on when resumed."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from queueing import (
    broker,
    depths,
    kinds,
    leases,
    outbox,
    pauses,
    reconcile,
    runner,
    states,
    wakes,
    witness,
)
from queueing.errors import UnknownSubject
from queueing.models import GenerationJob, Lane, Pause
from queueing.outbox import Enqueued, NewJob
from queueing.pauses import Gate, Subject
from tests.queueing.conftest import Enqueue
from tests.queueing.test_runner import Recorder

pytestmark = pytest.mark.django_db(transaction=True)

TEAM, QUEUE, PROVIDER = Subject("team", "team"), Subject("queue", "event"), Subject("provider")
SUBJECTS = [TEAM, QUEUE, PROVIDER]
QUOTA = Subject("quota", "team")


@pytest.fixture(autouse=True)
def _empty_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "send_canary", lambda queue, number: None)
    monkeypatch.setattr(broker, "depths", lambda: dict.fromkeys(kinds.BY_NAME, 0))


def of_another(lane: str = "another", kind: kinds.Kind = kinds.SUMMARY) -> Enqueued:
    """A job of another team, of another kind."""
    job = NewJob(kind, lane, kind.job_id(lane), lane, "another", "another")
    with transaction.atomic():
        return outbox.enqueue([job])[0]


def state(job: Enqueued) -> tuple[str, int]:
    row = GenerationJob.objects.get(pk=job.id)
    return row.state, row.attempts


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_what_is_held_is_neither_claimed_nor_nudged_and_loses_no_attempt(
    enqueue: Enqueue, published: list[str], subject: Subject
) -> None:
    (job,) = enqueue()
    Lane.objects.update(woken_at=None)
    pauses.hold(subject, "maintenance")
    assert leases.claim(job.id, "worker") is None
    assert runner.run(job.id, Recorder()) == 0
    assert reconcile.reconcile() == 0
    assert wakes.depths()["event"] == 0
    assert published == []
    assert state(job) == (states.QUEUED, 0)


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_what_is_resumed_is_nudged_at_once(
    enqueue: Enqueue, published: list[str], subject: Subject
) -> None:
    jobs = enqueue("lane", 2)
    pauses.hold(subject, "maintenance")
    assert pauses.resume(subject)
    assert published == [jobs[0].id]
    # Nudged, and so not again until that is known to be lost.
    assert Lane.objects.get().woken_at
    assert runner.run(jobs[0].id, Recorder()) == 2


@pytest.mark.parametrize("subject", [TEAM, QUEUE], ids=str)
def test_others_go_on(enqueue: Enqueue, published: list[str], subject: Subject) -> None:
    enqueue()
    other = of_another()
    pauses.hold(subject, "maintenance")
    Lane.objects.update(woken_at=None)
    assert reconcile.reconcile() == 1
    assert published == [other.id]
    assert runner.run(other.id, Recorder()) == 1


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_what_is_in_hand_is_settled_and_its_lane_goes_no_further(
    enqueue: Enqueue, published: list[str], subject: Subject
) -> None:
    jobs = enqueue("lane", kinds.EVENT.batch_jobs + 1)

    class Interrupted(Recorder):
        def perform(self, work: list[str], timeout: float) -> list[str]:
            pauses.hold(subject, "maintenance")
            return super().perform(work, timeout)

    assert runner.run(jobs[0].id, Interrupted()) == kinds.EVENT.batch_jobs
    assert state(jobs[-2]) == (states.COMPLETED, 1)
    assert state(jobs[-1]) == (states.QUEUED, 0)
    assert published == []


def test_a_claim_of_the_next_is_refused_though_its_head_was_seen_before(
    enqueue: Enqueue,
) -> None:
    (job,) = enqueue()
    pauses.hold(TEAM, "maintenance")
    with transaction.atomic():
        assert leases._claim(job.id, "worker", "", "claim_next") is None


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_what_a_dead_worker_had_of_it_is_taken_over_when_resumed(
    enqueue: Enqueue, published: list[str], subject: Subject
) -> None:
    (job,) = enqueue()
    assert leases.claim(job.id, "dead")
    GenerationJob.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    pauses.hold(subject, "maintenance")
    assert reconcile.reconcile() == 0
    assert leases.claim(job.id, "other") is None
    pauses.resume(subject)
    assert published == [job.id]
    assert runner.run(job.id, Recorder()) == 1


@pytest.mark.parametrize("engine", ["celery", "database"])
def test_a_job_that_used_up_its_attempts_is_buried_when_resumed(
    enqueue: Enqueue, published: list[str], monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    (job,) = enqueue()
    assert leases.claim(job.id, "dead")
    GenerationJob.objects.update(
        lease_until=timezone.now() - timedelta(seconds=1), attempts=3, token=3
    )
    monkeypatch.setattr(broker, "can_lose", lambda: engine == "celery")
    pauses.hold(TEAM, "maintenance")
    reconcile.reconcile()
    assert state(job) == (states.PROCESSING, 3)
    pauses.resume(TEAM)
    reconcile.reconcile()
    assert state(job) == (states.FAILED, 3)


def test_what_is_held_twice_goes_on_only_when_both_are_resumed(
    enqueue: Enqueue, published: list[str]
) -> None:
    (job,) = enqueue()
    pauses.hold(TEAM, "one")
    pauses.hold(QUEUE, "two")
    assert pauses.resume(TEAM)
    assert published == []
    assert leases.claim(job.id, "worker") is None
    assert pauses.resume(QUEUE)
    assert published == [job.id]


def test_what_nobody_holds_cannot_be_resumed(enqueue: Enqueue, published: list[str]) -> None:
    enqueue()
    pauses.pause("the key was refused", "auth", probing=False)
    assert not pauses.resume(PROVIDER)
    assert not pauses.resume(TEAM)
    assert pauses.current()


def test_a_providers_own_pause_stays_beside_the_operators(
    enqueue: Enqueue, published: list[str]
) -> None:
    (job,) = enqueue()
    pauses.hold(PROVIDER, "we change the key")
    pauses.pause("the key was refused", "auth", probing=False)
    Pause.objects.filter(until__isnull=False).update(until=timezone.now() - timedelta(seconds=1))
    assert pauses.gate() is Gate.SHUT
    pauses.look_again()
    assert runner.run(job.id, Recorder()) == 0
    pauses.lift()
    assert [hold.subject for hold in pauses.held()] == [PROVIDER]
    assert pauses.gate() is Gate.SHUT
    assert pauses.resume(PROVIDER)
    assert pauses.gate() is Gate.OPEN


def test_resuming_leaves_the_providers_own_pause(enqueue: Enqueue, published: list[str]) -> None:
    pauses.hold(PROVIDER, "we change the key")
    pauses.pause("the key was refused", "auth", probing=False)
    assert pauses.resume(PROVIDER)
    assert pauses.gate() is Gate.SHUT
    paused = pauses.current()
    assert paused
    assert paused.reason == "the key was refused"


def test_holding_again_gives_another_reason() -> None:
    pauses.hold(TEAM, "one", by={"actor_id": "user:a"})
    since = pauses.held()[0].since
    pauses.hold(TEAM, "two", by={"actor_id": "user:b"})
    (hold,) = pauses.held()
    assert (hold.reason, hold.by, hold.since) == ("two", {"actor_id": "user:b"}, since)


def test_heads_that_are_held_are_counted_apart(enqueue: Enqueue) -> None:
    enqueue()
    enqueue("other lane")
    GenerationJob.objects.update(due_at=timezone.now() - timedelta(hours=1))
    Lane.objects.update(woken_at=timezone.now() - timedelta(hours=1))
    (free,) = depths.heads()
    assert (free.all, free.due, free.lacking, free.overdue, free.paused) == (2, 2, 2, 2, 0)
    pauses.hold(TEAM, "maintenance")
    (found,) = depths.heads()
    assert (found.all, found.due, found.lacking, found.overdue, found.paused) == (2, 0, 0, 0, 2)
    assert found.oldest == 0


def test_messages_that_are_lost_are_counted_without_what_is_held(
    enqueue: Enqueue, published: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message waits, for the one head that may run: it is not to be nudged again."""
    enqueue()
    of_another(kind=kinds.EVENT)
    pauses.hold(TEAM, "maintenance")
    Lane.objects.update(woken_at=timezone.now() - timedelta(seconds=40))
    monkeypatch.setattr(broker, "depths", lambda: {"event": 1})
    assert reconcile.reconcile() == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("queue:nothing", "no queue nothing: name one of event, summary, event-batch"),
        ("nothing", "nothing is nothing that can be paused"),
        ("provider:x", "provider:x is nothing"),
        ("team:", "team: is nothing"),
        ("queue:", "queue: is nothing"),
        ("quota:team", "is no operator's: the team goes on by itself"),
    ],
)
def test_what_cannot_be_paused_is_refused_with_what_can(text: str, says: str) -> None:
    with pytest.raises(UnknownSubject, match=says):
        Subject.parse(text)


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_a_subject_is_read_as_it_is_written(subject: Subject) -> None:
    assert Subject.parse(str(subject)) == Subject.stored(str(subject)) == subject


def test_a_spent_quota_holds_its_team_alone_until_it_is_resumed(
    enqueue: Enqueue, published: list[str]
) -> None:
    (job,), other = enqueue(), of_another()
    with transaction.atomic():
        assert pauses.hold_quota("team", "spent")
        assert not pauses.hold_quota("team", "spent again")
    assert [(hold.subject, hold.reason) for hold in pauses.held()] == [(QUOTA, "spent")]
    assert leases.claim(job.id, "w") is None
    assert leases.claim(other.id, "w")
    assert not pauses.resume(TEAM)
    published.clear()
    assert pauses.resume_quota("team")
    assert published == [job.id]
    assert not pauses.resume_quota("team")
    assert leases.claim(job.id, "w")


def test_a_subject_covers_what_claims_leave_alone() -> None:
    assert QUOTA.covers("summary", "team")
    assert not QUOTA.covers("summary", "another")
    assert TEAM.covers("summary", "team")
    assert not TEAM.covers("summary", "another")
    assert QUEUE.covers("event", "another")
    assert not QUEUE.covers("summary", "event")
    assert PROVIDER.covers("summary", "another")


def test_witnesses_are_told_what_is_paused_and_resumed_and_by_whom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Sequence[object]] = []
    monkeypatch.setattr(witness, "_of_pauses", [lambda *deed: told.append(deed)])
    by = {"source": "cli_operator"}
    pauses.hold(TEAM, "maintenance", by=by)
    pauses.resume(TEAM, by=by)
    pauses.resume(TEAM, by=by)
    assert told == [("paused", TEAM, by), ("resumed", TEAM, by)]


def test_who_pauses_and_resumes_at_once_leaves_no_lane_unwoken(
    enqueue: Enqueue, published: list[str]
) -> None:
    jobs = [enqueue(f"lane {n}")[0] for n in range(8)]
    ready = threading.Barrier(4)

    def toggle(_: int) -> None:
        try:
            ready.wait(30)
            for _ in range(3):
                pauses.hold(TEAM, "maintenance")
                pauses.resume(TEAM)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(toggle, range(4)))
    assert pauses.held() == []
    reconcile.reconcile()
    assert set(published) >= {job.id for job in jobs}


def test_who_is_resumed_is_nudged_and_nobody_whose_nudge_is_under_way(
    enqueue: Enqueue, published: list[str]
) -> None:
    (held,) = enqueue("one", team="one")
    enqueue("two", team="two")
    pauses.hold(Subject("team", "one"), "why not")
    assert pauses.resume(Subject("team", "one"))
    assert published == [held.id]


def test_one_job_tries_the_provider_though_an_operator_holds_another_team(enqueue: Enqueue) -> None:
    (job,) = enqueue()
    pauses.hold(Subject("team", "another"), "why not")
    pauses.pause("the key was refused", "auth", probing=False)
    pauses.look_again()
    assert leases.claim(job.id, "worker")
