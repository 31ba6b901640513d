"""Connections to PostgreSQL: shared by many threads, replaced when they die, never left held."""

import threading
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest
from django.db import OperationalError, close_old_connections, connection, transaction

from queueing import kinds, leases, outbox, pauses, runner, statements, states
from queueing.direct import fetch
from queueing.errors import JobFailed
from queueing.heartbeat import Heartbeat, leave_the_last
from queueing.leases import Details, Job, Lease
from queueing.models import GenerationJob, GenerationJobEvent
from queueing.outbox import NewJob
from queueing.statements import execute_many
from tests.queueing.conftest import Enqueue
from tests.queueing.test_leases import claimed, expire, state

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="about PostgreSQL alone"),
]


def backend() -> int:
    ((pid,),) = fetch("SELECT pg_backend_pid()")
    return int(pid)


def backends() -> int:
    """How many connections to this database there are."""
    ((count,),) = fetch("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
    return int(count)


def in_thread(work: Any) -> Any:
    """What `work` returns in a thread of its own, whose connection goes back afterwards."""
    found = []

    def run() -> None:
        try:
            found.append(work())
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def test_a_connection_that_the_server_closed_is_not_handed_out() -> None:
    lost = in_thread(backend)
    fetch("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
          " WHERE datname = current_database() AND pid <> pg_backend_pid()")  # fmt: skip
    assert in_thread(backend) != lost
    assert in_thread(backend) != lost


def test_a_connection_that_dies_in_use_is_an_error_once() -> None:
    mine = backend()
    in_thread(lambda: fetch("SELECT pg_terminate_backend(%s, 5000)", [mine]))
    with pytest.raises(OperationalError):
        fetch("SELECT 1")
    connection.close()
    assert fetch("SELECT 1") == [(1,)]


def test_a_claim_takes_nothing_along_from_behind_a_job_that_another_has_in_hand(
    enqueue: Enqueue,
) -> None:
    """An operator cancels the third of five: nothing may overtake it before that is decided."""
    jobs = enqueue("lane", 5)
    with transaction.atomic():
        GenerationJob.objects.select_for_update().get(pk=jobs[2].id)
        lease = in_thread(lambda: leases.claim(jobs[0].id, "worker"))
    assert [job.id for job in lease.jobs] == [job.id for job in jobs[:2]]


def test_a_late_heartbeat_holds_nothing_of_a_batch_whose_head_is_being_taken_over(
    enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or what follows would stay with a worker that has lost it, and hold up the lane."""
    jobs = enqueue("lane", 3)
    late = claimed(jobs[0].id)
    for job in jobs:
        expire(job.id)
    beaten, taken = threading.Event(), threading.Event()
    renewed = []

    def beat() -> None:
        with transaction.atomic():
            renewed.append(leases.renew([late]))
            beaten.set()
            taken.wait(30)

    heart = threading.Thread(target=in_thread, args=(beat,))
    take_over = leases._take_over

    def slowly(head: Job) -> None:
        heart.start()
        beaten.wait(30)
        take_over(head)

    monkeypatch.setattr(leases, "_take_over", slowly)
    lease = claimed(jobs[0].id)
    taken.set()
    heart.join()
    assert renewed == [set()]
    assert [state(job.id) for job in jobs] == [states.PROCESSING, states.QUEUED, states.QUEUED]
    assert leases.renew([late, lease]) == set(lease.pairs)


class Ending:
    """A handler over whose writing the server ends the connection."""

    def prepare(self, jobs: Sequence[Job]) -> None:
        """There is nothing to read."""

    def perform(self, work: None, timeout: float) -> None:
        """There is nothing to do."""

    def store(self, jobs: Sequence[Job], result: None) -> Details:
        fetch("SELECT pg_terminate_backend(pg_backend_pid())")
        return {}


class EndingOnce(Ending):
    """A job in whose settlement the server ends the connection, for a restart perhaps."""

    def __init__(self) -> None:
        self.calls = self.stores = 0

    def perform(self, work: None, timeout: float) -> None:
        self.calls += 1

    def store(self, jobs: Sequence[Job], result: None) -> Details:
        self.stores += 1
        return super().store(jobs, result) if self.stores == 1 else {}


def test_what_was_paid_for_is_stored_once_the_database_is_back(enqueue: Enqueue) -> None:
    (job,) = enqueue()
    ending = EndingOnce()
    assert runner.run(job.id, ending) == 1
    row = GenerationJob.objects.get(pk=job.id)
    assert (row.state, row.attempts, ending.calls, ending.stores) == ("completed", 1, 1, 2)


def test_a_job_over_which_the_database_was_lost_waits_only_a_little(enqueue: Enqueue) -> None:
    (job,) = enqueue()
    for most in (1.2, 2.4, 4.8):
        fetch("UPDATE queueing_generationjob SET due_at = clock_timestamp() RETURNING id")
        runner.run(job.id, Ending())
        row = GenerationJob.objects.get(pk=job.id)
        assert (row.state, row.attempts) == ("queued", 0)
        assert 0 < (row.due_at - row.updated_at).total_seconds() <= most


class Failing(EndingOnce):
    """A job whose call fails."""

    def __init__(self, error: JobFailed) -> None:
        super().__init__()
        self.error = error

    def perform(self, work: None, timeout: float) -> None:
        super().perform(work, timeout)
        raise self.error


LATER = JobFailed("busy", classification="busy", transient=True)
NEVER = JobFailed("no", classification="refused", transient=False)
PAUSES = JobFailed("no key", classification="auth", transient=True, pauses=True)


@pytest.mark.parametrize(
    ("error", "write", "became"),
    [
        (LATER, (leases, "reschedule"), ("queued", 1)),
        (LATER, (leases, "release"), ("queued", 1)),
        (NEVER, (leases, "bury"), ("failed", 1)),
        (PAUSES, (pauses, "pause"), ("queued", 0)),
        (PAUSES, (leases, "release"), ("queued", 0)),
    ],
)
def test_how_a_call_failed_is_written_down_once_the_database_is_back(
    enqueue: Enqueue,
    monkeypatch: pytest.MonkeyPatch,
    error: JobFailed,
    write: tuple[ModuleType, str],
    became: tuple[str, int],
) -> None:
    """Or the job would have lost an attempt, and wait for its lease to run out."""
    # What came along is given back first, where another try may go better.
    job, *_ = enqueue("lane", 2 if error is LATER else 1)
    written = getattr(*write)

    def lost(*_: object, **__: object) -> None:
        monkeypatch.setattr(*write, written)
        fetch("SELECT pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(*write, lost)
    failing = Failing(error)
    assert runner.run(job.id, failing)
    row = GenerationJob.objects.get(pk=job.id)
    assert ((row.state, row.attempts), failing.calls) == (became, 1)
    assert not GenerationJob.objects.filter(state=states.PROCESSING)
    assert (pauses.current() is not None) == error.pauses


def test_a_statement_that_runs_too_long_is_ended() -> None:
    fetch("SET statement_timeout = 50")
    with pytest.raises(OperationalError, match="statement timeout"):
        fetch("SELECT pg_sleep(10)")
    fetch("RESET statement_timeout")


def test_lanes_are_forgotten_though_a_worker_has_a_job_that_came_in_between(
    enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue("lane")
    has_job, wants_lane = threading.Event(), threading.Event()

    def work() -> None:
        late = enqueue("lane")[0]
        with transaction.atomic():
            fetch("SELECT id FROM queueing_generationjob WHERE id = %s FOR UPDATE", [late.id])
            has_job.set()
            wants_lane.wait(30)
            fetch("SELECT id FROM queueing_lane WHERE key = 'lane' FOR UPDATE")

    worker = threading.Thread(target=in_thread, args=(work,))

    def slowly(name: str, params: Sequence[Any], *, items: int = 0) -> list[tuple[Any, ...]]:
        rows = statements.fetch(name, params, items=items)
        if name == "lock_jobs" and not worker.ident:
            worker.start()
            has_job.wait(30)
        if name == "lanes_of":
            wants_lane.set()
        return rows

    monkeypatch.setattr(outbox, "fetch", slowly)
    with transaction.atomic():
        assert outbox.forget(["lane"]) == 1
    worker.join()
    assert fetch("SELECT id FROM queueing_generationjob") == []


def test_the_heartbeat_keeps_its_connection_unless_it_is_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def kept() -> bool:
        fetch("SELECT 1")
        leave_the_last()
        return connection.connection is not None

    assert in_thread(kept)
    monkeypatch.setattr(connection.pool, "_max_size", 1)
    assert not in_thread(kept)


def test_a_heartbeat_whose_connection_was_lost_goes_on_over_another(
    enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = leases.claim(enqueue()[0].id, "worker")
    assert lease
    renew, renewed = leases.renew, threading.Event()
    ends = iter(["SELECT pg_terminate_backend(pg_backend_pid())"])

    def cut_off_at_first(kept: Sequence[Lease]) -> set[tuple[str, int]]:
        for end in ends:
            fetch(end)
        pairs = renew(kept)
        renewed.set()
        return pairs

    monkeypatch.setattr(leases, "renew", cut_off_at_first)
    with Heartbeat(0.02).keeping(lease, timeout=60.0):
        assert renewed.wait(30)


class Provider:
    """Asks for nothing, and notes whether its thread held a connection meanwhile."""

    def __init__(self, meeting: threading.Barrier) -> None:
        self.meeting = meeting
        self.held: list[bool] = []

    def prepare(self, jobs: Sequence[Job]) -> None:
        fetch("SELECT 1")

    def perform(self, work: Any, timeout: float) -> None:
        self.held.append(connection.connection is not None)
        self.meeting.wait(30)

    def store(self, jobs: Sequence[Job], result: Any) -> Details:
        return {}


def test_many_calls_are_in_flight_at_once_over_few_connections(
    enqueue: Enqueue, published: list[str]
) -> None:
    calls = 40
    jobs = [enqueue(f"lane-{n}")[0].id for n in range(calls)]
    provider = Provider(threading.Barrier(calls))
    threads = [threading.Thread(target=runner.run, args=(job, provider)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert provider.held == [False] * calls
    assert fetch("SELECT count(*) FROM queueing_generationjob WHERE state = 'completed'") == [
        (calls,)
    ]
    assert backends() <= connection.pool.max_size
    close_old_connections()


def test_many_rows_are_one_statement_however_many(enqueue: Enqueue) -> None:
    (job,) = enqueue("many")
    rows = [(job.id, "queued", "queued", number, "{}") for number in range(250)]
    execute_many("history", rows)
    stored = GenerationJobEvent.objects.filter(job_id=job.id).order_by("id")
    assert list(stored.values_list("attempt", flat=True)) == [0, *range(250)]


def test_jobs_of_many_lanes_are_enqueued_at_once_each_at_its_lanes_end(enqueue: Enqueue) -> None:
    enqueue("b", 2)
    new = [
        NewJob(kinds.EVENT, lane, f"evt_{number}", "source", "team", "project")
        for number, lane in enumerate("abcab")
    ]
    rows = outbox.enqueue(new)
    assert [(row.new.lane_key, row.seq, row.is_head) for row in rows] == [
        ("a", 1, True), ("b", 3, False), ("c", 1, True), ("a", 2, False), ("b", 4, False)
    ]  # fmt: skip
    jobs = GenerationJob.objects.in_bulk([row.id for row in rows])
    assert [(jobs[row.id].queue_job_id, jobs[row.id].seq) for row in rows] == [
        (row.new.queue_job_id, row.seq) for row in rows
    ]


def test_a_transaction_that_stands_still_is_ended_sooner_than_a_lane_may_wait() -> None:
    limits = [
        fetch(f"SHOW {name}_timeout") for name in ("statement", "idle_in_transaction_session")
    ]
    assert limits == [[("30s",)], [("10s",)]]
