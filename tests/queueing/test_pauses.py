"""What would fail every job alike pauses all: no attempt is lost, and it resumes by itself."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.test import override_settings
from django.utils import timezone

from queueing import broker, kinds, pauses, reconcile, retry, runner, states, tasks
from queueing.errors import JobFailed
from queueing.models import GenerationJob, GenerationJobEvent, Pause
from queueing.pauses import Gate
from tests.queueing.conftest import Enqueue
from tests.queueing.test_runner import Recorder

pytestmark = pytest.mark.django_db(transaction=True)

REFUSED = JobFailed("key refused", classification="auth_invalid", transient=False, pauses=True)


@pytest.fixture(autouse=True)
def _empty_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "send_canary", lambda queue, number: None)
    monkeypatch.setattr(broker, "depths", lambda: dict.fromkeys(kinds.BY_NAME, 0))


class Refusing(Recorder):
    """A handler that is refused until it is told otherwise."""

    error: JobFailed | None = REFUSED

    def perform(self, work: list[str], timeout: float) -> list[str]:
        self.calls.append(work)
        if self.error:
            raise self.error
        return work


def rows() -> list[tuple[str, int]]:
    return list(GenerationJob.objects.order_by("id").values_list("state", "attempts"))


def expire() -> None:
    Pause.objects.update(until=timezone.now() - timedelta(seconds=1))


def left() -> float:
    paused = pauses.current()
    assert paused
    return paused.left


def test_a_refused_key_costs_no_job_an_attempt(enqueue: Enqueue, published: list[str]) -> None:
    jobs = enqueue("lane", 3)
    assert runner.run(jobs[0].id, Refusing()) == 3
    assert rows() == [(states.QUEUED, 0)] * 3
    assert left() == pytest.approx(30, abs=2)
    told = GenerationJobEvent.objects.filter(event="released").values_list("details", flat=True)
    assert list(told) == [{"reason": "key refused", "classification": "auth_invalid"}] * 3


def test_while_it_is_paused_nothing_is_claimed_or_nudged(
    enqueue: Enqueue, published: list[str]
) -> None:
    first, other = enqueue("lane"), enqueue("other lane")
    handler = Refusing()
    runner.run(first[0].id, handler)
    for job in (*first, *other):
        assert runner.run(job.id, handler) == 0
    assert reconcile.reconcile() == 0
    assert len(handler.calls) == 1
    assert published == []
    assert rows() == [(states.QUEUED, 0)] * 2


def test_after_it_one_job_tries_and_the_next_pause_is_longer(
    enqueue: Enqueue, published: list[str]
) -> None:
    jobs = [enqueue(f"lane {n}")[0] for n in range(4)]
    handler = Refusing()
    runner.run(jobs[0].id, handler)
    expire()
    assert reconcile.reconcile() == 1
    for job in jobs:
        runner.run(job.id, handler)
    assert len(handler.calls) == 2
    assert left() == pytest.approx(60, abs=2)
    assert rows() == [(states.QUEUED, 0)] * 4


def test_when_the_key_is_right_all_go_on(enqueue: Enqueue, published: list[str]) -> None:
    jobs = [enqueue(f"lane {n}")[0] for n in range(3)]
    handler = Refusing()
    runner.run(jobs[0].id, handler)
    expire()
    handler.error = None
    assert runner.run(jobs[0].id, handler) == 1
    assert pauses.gate() is Gate.OPEN
    assert reconcile.reconcile() == 2
    assert set(published) == {jobs[1].id, jobs[2].id}
    assert rows()[0] == (states.COMPLETED, 1)


@pytest.mark.parametrize(("transient", "gate"), [(True, Gate.SHUT), (False, Gate.OPEN)])
def test_only_an_answer_shows_that_the_key_is_right(
    enqueue: Enqueue, published: list[str], transient: bool, gate: Gate
) -> None:
    (job,) = enqueue()
    handler = Refusing()
    runner.run(job.id, handler)
    expire()
    handler.error = JobFailed("another", classification="x", transient=transient)
    runner.run(job.id, handler)
    assert pauses.gate() is gate


def test_a_worker_that_starts_lets_one_job_try_at_once(
    enqueue: Enqueue, published: list[str]
) -> None:
    jobs = [enqueue(f"lane {n}")[0] for n in range(3)]
    runner.run(jobs[0].id, Refusing())
    tasks._reconcile_at_start()
    assert len(published) == 1
    assert pauses.gate() is Gate.PROBE


def test_of_many_that_are_refused_at_once_one_makes_the_pause(enqueue: Enqueue) -> None:
    for _ in range(5):
        pauses.pause("no", "auth_invalid", probing=False)
    assert Pause.objects.get().failures == 1


def test_of_many_that_could_try_one_does(enqueue: Enqueue) -> None:
    pauses.pause("no", "auth_invalid", probing=False)
    expire()

    def attempt(_: int) -> bool:
        try:
            return pauses.probe()
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1


@override_settings(PAUSE_SECONDS=30.0)
def test_pauses_double_up_to_ten_minutes() -> None:
    lengths: Sequence[float] = [retry.pause_seconds(n, 30.0) for n in (1, 2, 3, 5, 6, 1000)]
    assert lengths == [30, 60, 120, 480, 600, 600]


def test_a_pause_that_cannot_be_lifted_keeps_no_job_from_its_turn(
    enqueue: Enqueue, published: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = enqueue("lane", 3, kind=kinds.SUMMARY)
    handler = Refusing()
    runner.run(jobs[0].id, handler)
    expire()
    handler.error = None
    lift, failures = pauses.lift, iter([OperationalError("locked")])

    def lifted() -> None:
        for error in failures:
            raise error
        lift()

    monkeypatch.setattr(pauses, "lift", lifted)
    assert runner.run(jobs[0].id, handler) == 3
    assert [state for state, _ in rows()] == [states.COMPLETED] * 3
    assert pauses.current() is None


def test_a_database_that_fails_between_claim_and_probe_costs_the_job_nothing(
    enqueue: Enqueue, published: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = enqueue()
    handler = Refusing()
    runner.run(job.id, handler)
    expire()

    def away() -> bool:
        raise OperationalError("locked")

    monkeypatch.setattr(pauses, "probe", away)
    assert runner.run(job.id, handler) == 0
    assert rows() == [(states.QUEUED, 0)]
    assert pauses.gate() is Gate.PROBE


@pytest.mark.parametrize("write", [pauses.probe, pauses.look_again])
def test_who_writes_about_a_pause_waits_for_its_turn(write: Callable[[], object]) -> None:
    pauses.pause("the key was refused", "auth", probing=False)
    expire()
    held, begin, leave = threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Pause.objects.update(failures=2)
            held.set()
            assert leave.wait(30)
        connection.close()

    def wait() -> None:
        # By its first transaction a connection loses the patience that it was made with.
        with transaction.atomic():
            pass
        assert begin.wait(30)
        write()
        connection.close()

    with ThreadPoolExecutor(2) as pool:
        waiting, holding = pool.submit(wait), pool.submit(hold)
        assert held.wait(30)
        begin.set()
        with pytest.raises(TimeoutError):
            waiting.result(0.3)
        leave.set()
        holding.result(30)
        waiting.result(30)


def test_a_job_that_is_not_the_one_to_try_is_given_back(
    enqueue: Enqueue, published: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = enqueue()
    pauses.pause("the key was refused", "auth", probing=False)
    pauses.look_again()
    monkeypatch.setattr(pauses, "probe", lambda: False)  # another was quicker
    runner.run(job.id, Recorder())
    row = GenerationJob.objects.get(pk=job.id)
    assert (row.state, row.attempts) == ("queued", 0)
