"""Running jobs: in their lane's order, and whatever a handler raises ends in the job's row."""

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.conf import LazySettings
from django.db import DataError, IntegrityError, OperationalError, connection
from django.db.models import F
from django.test import override_settings
from django.utils import timezone

from queueing import kinds, leases, operations, runner, states, stopping
from queueing.calls import calls
from queueing.errors import JobFailed
from queueing.leases import Details, Job
from queueing.models import GenerationJob, GenerationJobEvent
from tests.queueing.conftest import Enqueue
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


class Recorder:
    """A handler that keeps what it was given, and fails where it is told to."""

    def __init__(self, failing: dict[str, Exception] | None = None) -> None:
        self.calls: list[list[str]] = []
        self.failing = failing or {}

    def prepare(self, jobs: Sequence[Job]) -> list[str]:
        return [job.id for job in jobs]

    def perform(self, work: list[str], timeout: float) -> list[str]:
        self.calls.append(work)
        for job_id in work:
            if error := self.failing.get(job_id):
                raise error
        return work

    def store(self, jobs: Sequence[Job], result: Any) -> Details:
        return {job.id: {"made": 1} for job in jobs}


def rows() -> list[tuple[str, int]]:
    return list(GenerationJob.objects.order_by("seq").values_list("state", "attempts"))


def test_a_lane_is_drained_in_order_by_one_message(enqueue: Enqueue, published: list[str]) -> None:
    jobs = enqueue("lane", 3, kind=kinds.SUMMARY)
    recorder = Recorder()
    assert runner.run(jobs[0].id, recorder) == 3
    assert recorder.calls == [[job.id] for job in jobs]
    assert published == []


def test_a_busy_lane_gives_way_after_its_quantum(enqueue: Enqueue, published: list[str]) -> None:
    jobs = enqueue("lane", 5, kind=kinds.SUMMARY)
    with override_settings(QUANTUM_JOBS=2):
        assert runner.run(jobs[0].id, Recorder()) == 2
    assert published == [jobs[2].id]


class Suspended(Recorder):
    """A handler whose worker stands still in the call until its lease has run out."""

    def perform(self, work: list[str], timeout: float) -> list[str]:
        super().perform(work, timeout)
        GenerationJob.objects.update(lease_until=timezone.now() - timedelta(minutes=1))
        # What the poller sees then, or a message says that reconcile sent.
        self.again = runner.run(work[0], Recorder())
        return work


def test_a_job_whose_worker_stood_still_is_not_begun_again_by_the_same_worker(
    enqueue: Enqueue, published: list[str]
) -> None:
    (job,) = enqueue()
    suspended = Suspended()
    assert runner.run(job.id, suspended) == 1
    assert suspended.again == 0
    assert rows() == [(states.COMPLETED, 1)]


def test_no_job_is_taken_over_because_the_machine_slept(
    enqueue: Enqueue, published: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker slept as well, and renews the lease as soon as it had its beat."""
    (job,) = enqueue()
    lease = leases.claim(job.id, "another")
    assert lease
    GenerationJob.objects.update(lease_until=timezone.now() - timedelta(minutes=1))
    monkeypatch.setattr(runner.heartbeat, "await_others", lambda: leases.renew([lease]))
    assert runner.run(job.id, Recorder()) == 0
    assert rows() == [(states.PROCESSING, 1)]


def test_a_worker_has_jobs_of_several_lanes_in_hand(enqueue: Enqueue, published: list[str]) -> None:
    job, other = (enqueue(lane)[0].id for lane in ("first", "second"))

    class Both(Recorder):
        def perform(self, work: list[str], timeout: float) -> list[str]:
            self.beside = runner.run(other, Recorder())
            return work

    both = Both()
    assert runner.run(job, both) == 1
    assert both.beside == 1


class Stopped(Recorder):
    """A handler whose worker is told to stop while it works."""

    def perform(self, work: list[str], timeout: float) -> list[str]:
        stopping.begun.set()
        return super().perform(work, timeout)


@pytest.fixture
def _working() -> Iterator[None]:
    """After the test this process is no longer one that stops."""
    yield
    stopping.begun.clear()


@pytest.mark.usefixtures("_working")
def test_a_worker_that_is_stopping_finishes_what_it_has_in_hand(
    enqueue: Enqueue, published: list[str]
) -> None:
    jobs = enqueue("lane", 3, kind=kinds.SUMMARY)
    assert runner.run(jobs[0].id, Stopped()) == 1
    assert published == [jobs[1].id]
    assert [state for state, _ in rows()] == ["completed", "queued", "queued"]


@pytest.mark.usefixtures("_working")
def test_a_worker_that_is_stopping_passes_on_what_it_is_told_of(
    enqueue: Enqueue, published: list[str]
) -> None:
    (job,) = enqueue("lane")
    stopping.begun.set()
    assert runner.run(job.id, Recorder()) == 0
    assert published == [job.id]
    assert rows() == [("queued", 0)]


@pytest.mark.usefixtures("_working")
def test_a_worker_that_is_stopping_passes_on_the_message_of_a_job_that_is_done(
    enqueue: Enqueue, published: list[str]
) -> None:
    """For it may be the leave to work another head, whose own message was spent on this one."""
    (done,) = enqueue("lane")
    enqueue("another lane")
    assert runner.run(done.id, Recorder()) == 1
    stopping.begun.set()
    assert runner.run(done.id, Recorder()) == 0
    assert published == [done.id]


@pytest.mark.usefixtures("_working")
def test_a_worker_that_is_stopping_tries_nothing_alone(
    enqueue: Enqueue, published: list[str]
) -> None:
    jobs = enqueue("lane", 2)
    stopped = Stopped({jobs[1].id: JobFailed("no", classification="invalid", transient=False)})
    runner.run(jobs[0].id, stopped)
    assert stopped.calls == [[job.id for job in jobs]]
    assert published == [jobs[0].id]
    assert rows() == [("queued", 0)] * 2


@pytest.mark.usefixtures("_working")
def test_what_is_in_hand_at_the_end_of_the_grace_is_given_back_and_published_at_once(
    enqueue: Enqueue, published: list[str]
) -> None:
    jobs = enqueue("lane", 3)

    class Overdue(Recorder):
        def perform(self, work: list[str], timeout: float) -> list[str]:
            assert rows() == [("processing", 1)] * 3
            assert stopping.give_all_back()
            assert rows() == [("queued", 0)] * 3
            return super().perform(work, timeout)

    runner.run(jobs[0].id, Overdue())
    assert published == [jobs[0].id]
    # What came of the call is dropped, whoever has the jobs by now.
    assert rows() == [("queued", 0)] * 3
    told = GenerationJobEvent.objects.filter(event=states.RELEASED).values_list(
        "details", flat=True
    )
    assert [each["classification"] for each in told] == [stopping.STOPPED] * 3


def test_nothing_is_given_back_of_what_is_settled_or_lost(
    enqueue: Enqueue, published: list[str]
) -> None:
    (job,) = enqueue("lane")
    lease = leases.claim(job.id, "a")
    assert lease
    operations.cancel(job.id)
    stopping.give_back(lease, "too late")
    assert published == []
    assert rows() == [("cancelled", 1)]


def test_a_call_that_hangs_costs_an_attempt_and_its_lane_goes_on(
    enqueue: Enqueue, published: list[str], settings: LazySettings
) -> None:
    (job,) = enqueue("lane", 1)
    recorder, release = Recorder(), threading.Event()
    settings.CALL_SECONDS, settings.HEARTBEAT_SECONDS = 0.2, 0.1
    with patch.object(recorder, "perform", lambda work, timeout: release.wait(60) and work):
        assert runner.run(job.id, recorder) == 1
    row = GenerationJob.objects.get(pk=job.id)
    assert (row.state, row.attempts) == (states.QUEUED, 1)
    assert row.last_error["classification"] == "hung"
    assert "did not end within 0.2 s" in row.last_error["reason"]
    release.set()
    until(lambda: calls.hung == 0)


def test_a_lease_is_kept_for_no_longer_than_a_call_may_take(
    enqueue: Enqueue, published: list[str], settings: LazySettings
) -> None:
    settings.CALL_SECONDS = 0.0
    kept: list[int] = []

    class Reading(Recorder):
        def prepare(self, jobs: Sequence[Job]) -> list[str]:
            kept.append(len(runner.heartbeat.held()))
            return super().prepare(jobs)

    runner.run(enqueue()[0].id, Reading())
    assert kept == [0]


def test_of_jobs_at_their_last_chance_a_process_has_one_in_hand(
    enqueue: Enqueue, published: list[str]
) -> None:
    jobs = [enqueue(lane)[0].id for lane in ("first", "second")]
    for job_id in jobs:
        for _ in range(kinds.EVENT.max_attempts - 1):
            assert leases.claim(job_id, "a worker that died")
            GenerationJob.objects.filter(pk=job_id).update(lease_until=F("created_at"))
    recorder = Recorder()

    class Both(Recorder):
        def perform(self, work: list[str], timeout: float) -> list[str]:
            in_another_turn(lambda: runner.run(jobs[1], recorder))
            return work

    assert runner.run(jobs[0], Both()) == 1
    assert recorder.calls == []
    assert runner.run(jobs[1], recorder) == 1


def in_another_turn(run: Callable[[], object]) -> None:
    """As another thread of the worker's does."""
    thread = threading.Thread(target=lambda: (run(), connection.close()))
    thread.start()
    thread.join()


def test_a_transient_failure_waits_in_its_lane(enqueue: Enqueue, published: list[str]) -> None:
    first, second = enqueue("lane", 2, kind=kinds.SUMMARY)
    error = JobFailed("busy", classification="rate_limit", transient=True, retry_after=120.0)
    runner.run(first.id, Recorder({first.id: error}))
    row = GenerationJob.objects.get(pk=first.id)
    assert row.state == states.QUEUED
    assert (row.due_at - row.updated_at).total_seconds() >= 119.9
    assert runner.run(second.id, Recorder()) == 0


def test_a_final_failure_lets_the_lane_go_on(enqueue: Enqueue, published: list[str]) -> None:
    first, second = enqueue("lane", 2, kind=kinds.SUMMARY)
    error = JobFailed("no such model", classification="unrecoverable", transient=False)
    runner.run(first.id, Recorder({first.id: error}))
    assert rows() == [(states.FAILED, 1), (states.QUEUED, 0)]
    assert published == [second.id]


def test_one_bad_job_of_a_batch_fails_alone(enqueue: Enqueue, published: list[str]) -> None:
    bad, *good = enqueue("lane", 4)
    error = JobFailed("cannot be parsed", classification="parse_error", transient=False)
    recorder = Recorder({bad.id: error})
    runner.run(bad.id, recorder)
    assert recorder.calls == [[bad.id, *(job.id for job in good)], [bad.id]]
    assert rows() == [(states.FAILED, 1), *[(states.QUEUED, 0)] * 3]
    runner.run(good[0].id, recorder)
    assert rows()[1:] == [(states.COMPLETED, 1)] * 3


def test_a_defect_in_a_handler_is_dead_lettered_without_its_message(
    enqueue: Enqueue, published: list[str]
) -> None:
    (job,) = enqueue()
    runner.run(job.id, Recorder({job.id: KeyError("something that was in a payload")}))
    error = GenerationJob.objects.get(pk=job.id).last_error
    assert error["classification"] == "unknown"
    assert "KeyError" in error["reason"]
    assert "payload" not in error["reason"]


class Storing(Recorder):
    """A handler whose writing fails."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def store(self, jobs: Sequence[Job], result: Any) -> Details:
        raise self.error


@pytest.mark.parametrize("error", [IntegrityError("refused"), DataError("too long"), KeyError("x")])
def test_what_can_never_be_stored_is_dead_lettered_and_lets_the_lane_go_on(
    enqueue: Enqueue, published: list[str], error: Exception
) -> None:
    first, second = enqueue("lane", 2)
    runner.run(first.id, Storing(error))
    assert rows() == [(states.FAILED, 1), (states.QUEUED, 0)]
    assert type(error).__name__ in GenerationJob.objects.get(pk=first.id).last_error["reason"]
    assert published == [second.id]


def test_a_database_that_is_away_costs_a_job_nothing(
    enqueue: Enqueue, published: list[str]
) -> None:
    enqueue("lane", 2)
    runner.run(GenerationJob.objects.get(seq=1).id, Storing(OperationalError("locked")))
    assert rows() == [(states.QUEUED, 0)] * 2


def test_a_database_that_goes_on_failing_is_tried_ever_later(
    enqueue: Enqueue, published: list[str]
) -> None:
    (job,) = enqueue()
    for least, most in ((4, 6), (20, 30), (100, 150)):
        GenerationJob.objects.update(due_at=timezone.now() - timedelta(seconds=1))
        runner.run(job.id, Storing(OperationalError("locked")))
        wait = GenerationJob.objects.get(pk=job.id).due_at - timezone.now()
        assert least - 3 < wait.total_seconds() <= most
    assert rows() == [(states.QUEUED, 0)]


@pytest.mark.parametrize("thread", ["heartbeat", "call"])
def test_a_worker_that_can_start_no_thread_gives_its_jobs_back(
    enqueue: Enqueue, published: list[str], no_thread: Callable[[str], None], thread: str
) -> None:
    until(lambda: runner.heartbeat._thread is None and not calls._watched)
    jobs, recorder = enqueue("lane", 2), Recorder()
    no_thread(thread)
    assert runner.run(jobs[0].id, recorder) == 2
    assert rows() == [(states.QUEUED, 0)] * 2
    assert not runner.heartbeat.held()
    row = GenerationJob.objects.get(pk=jobs[0].id)
    assert 0 < (row.due_at - row.updated_at).total_seconds() <= 1.2
    no_thread("")
    GenerationJob.objects.update(due_at=F("created_at"))
    runner.run(jobs[0].id, recorder)
    assert rows() == [(states.COMPLETED, 1)] * 2


def test_the_last_attempt_of_a_transient_failure_is_final(
    enqueue: Enqueue, published: list[str]
) -> None:
    (job,) = enqueue(kind=kinds.SUMMARY)
    error = JobFailed("busy", classification="transient", transient=True)
    with override_settings(RETRY_BASE_SECONDS=0.0):
        for _ in range(kinds.SUMMARY.max_attempts):
            runner.run(job.id, Recorder({job.id: error}))
    assert rows() == [(states.FAILED, kinds.SUMMARY.max_attempts)]


def test_a_job_cancelled_while_it_is_worked_stores_nothing(
    enqueue: Enqueue, published: list[str]
) -> None:
    first, second = enqueue("lane", 2)

    class Cancelling(Recorder):
        def perform(self, work: list[str], timeout: float) -> list[str]:
            operations.cancel(second.id)
            return work

    runner.run(first.id, Cancelling())
    assert rows() == [(states.QUEUED, 0), (states.CANCELLED, 1)]
    assert leases.claim(first.id, "worker") is not None


def test_every_transition_is_in_the_history(enqueue: Enqueue, published: list[str]) -> None:
    (job,) = enqueue()
    runner.run(job.id, Recorder())
    events = GenerationJobEvent.objects.filter(job_id=job.id)
    assert [(e.event, e.state_after, e.attempt) for e in events] == [
        ("queued", "queued", 0),
        ("processing", "processing", 1),
        ("completed", "completed", 1),
    ]
    assert events[2].details == {"made": 1}


def test_each_claim_of_a_turn_names_the_task_that_made_it(
    enqueue: Enqueue, published: list[str]
) -> None:
    jobs = enqueue("lane", 2, kind=kinds.SUMMARY)
    runner.run(jobs[0].id, Recorder(), task="a-task")
    claims = GenerationJobEvent.objects.filter(event=states.CLAIMED)
    assert [(claim.job_id, claim.details["task"]) for claim in claims] == [
        (job.id, "a-task") for job in jobs
    ]
