"""What was paid for, when the database refuses it for reasons of its own; and who is then late."""

import os
import select
import socket
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.conf import LazySettings
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from queueing import (
    faults,
    kinds,
    leases,
    lulls,
    operations,
    outages,
    outbox,
    reconcile,
    runner,
    stopping,
)
from queueing.direct import fetch, vendor
from queueing.heartbeat import heartbeat
from queueing.leases import Details, Job, Settled
from queueing.lulls import lull
from queueing.models import GenerationJob
from tests.postgres import on_postgresql
from tests.queueing.conftest import Enqueue
from tests.queueing.test_leases import claimed, expire
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

# As PostgreSQL names them: of what passes, and of what may be the work's own doing.
SERIALIZATION, DEADLOCK, NO_LOCK, FULL, NO_CONNECTION = "40001", "40P01", "55P03", "53100", "53300"
CANCELLED, NO_MEMORY = "57014", "53200"
# With these it hangs up: the way to it is gone, it is stopped, nothing was asked in a transaction
# or too much.
GONE, STOPPED, STOOD_STILL, TOO_LONG = "08006", "57P01", "25P03", "25P04"
on_postgresql_alone = pytest.mark.skipif(
    not on_postgresql(), reason="about what PostgreSQL refuses"
)
on_sqlite_alone = pytest.mark.skipif(on_postgresql(), reason="about what a file refuses")


def refuse(code: str) -> None:
    """Have PostgreSQL end the transaction with this code."""
    fetch(f"DO $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'; END $$")


def take_no_writes() -> None:
    """Have the database refuse to write, as a standby does, or a file that is read alone."""
    if vendor() == "postgresql":
        fetch("SET TRANSACTION READ ONLY")
    else:
        fetch("PRAGMA query_only = ON")
    try:
        fetch("UPDATE queueing_lane SET woken_at = NULL")
    finally:
        if vendor() == "sqlite":
            fetch("PRAGMA query_only = OFF")


def stand_still() -> None:
    """Say nothing in a transaction for longer than PostgreSQL waits."""
    fetch("SET LOCAL idle_in_transaction_session_timeout = '20ms'")
    assert select.select([connection.connection.pgconn.socket], [], [], 30.0)[0]
    fetch("SELECT 1")


def cut() -> None:
    """Have the way to PostgreSQL end, of which nobody says anything."""
    with socket.socket(fileno=os.dup(connection.connection.pgconn.socket)) as end:
        end.shutdown(socket.SHUT_RDWR)
    fetch("SELECT 1")


def misuse() -> None:
    """Find that the driver has given up the connection."""
    raise InterfaceError from psycopg.InterfaceError("the connection is closed")


def fill_up() -> None:
    """Have SQLite find no room."""
    ((pages,),) = fetch("PRAGMA page_count")
    ((most,),) = fetch("PRAGMA max_page_count")
    fetch(f"PRAGMA max_page_count = {pages}")
    try:
        fetch("CREATE TABLE large AS SELECT zeroblob(16000000)")
    finally:
        fetch(f"PRAGMA max_page_count = {most}")


class Refused:
    """A job whose settlement is refused so many times."""

    def __init__(self, refuse: Callable[[], None], times: int = 1) -> None:
        self.refuse, self.times = refuse, times
        self.calls = self.stores = 0

    def prepare(self, jobs: Sequence[Job]) -> None:
        """There is nothing to read."""

    def perform(self, work: None, timeout: float) -> None:
        self.calls += 1

    def store(self, jobs: Sequence[Job], result: None) -> Details:
        self.stores += 1
        if self.stores <= self.times:
            self.refuse()
        return {}


def outcome(job_id: str) -> tuple[str, int]:
    row = GenerationJob.objects.get(pk=job_id)
    return row.state, row.attempts


@on_postgresql_alone
@pytest.mark.parametrize("code", [SERIALIZATION, DEADLOCK, NO_LOCK, FULL, NO_CONNECTION])
def test_a_settlement_that_was_refused_for_what_passes_is_made_again_until_it_goes_well(
    enqueue: Enqueue, code: str
) -> None:
    (job,) = enqueue()
    refused = Refused(lambda: refuse(code), times=2)
    assert runner.run(job.id, refused) == 1
    assert (outcome(job.id), refused.calls, refused.stores) == (("completed", 1), 1, 3)


@on_postgresql_alone
@pytest.mark.parametrize("code", [CANCELLED, NO_MEMORY, GONE, STOPPED, STOOD_STILL, TOO_LONG])
def test_a_settlement_that_may_be_to_blame_itself_is_made_again_but_once(
    enqueue: Enqueue, code: str
) -> None:
    first, second = enqueue("one")[0], enqueue("two")[0]
    once, ever = (Refused(lambda: refuse(code), times=times) for times in (1, 9))
    runner.run(first.id, once)
    runner.run(second.id, ever)
    assert (outcome(first.id), once.calls, once.stores) == (("completed", 1), 1, 2)
    assert (outcome(second.id), ever.calls, ever.stores) == (("queued", 0), 1, 2)


def test_a_settlement_waits_for_a_database_that_takes_no_writes(enqueue: Enqueue) -> None:
    (job,) = enqueue()
    refused = Refused(take_no_writes, times=2)
    assert runner.run(job.id, refused) == 1
    assert (outcome(job.id), refused.calls, refused.stores) == (("completed", 1), 1, 3)


@on_sqlite_alone
def test_a_settlement_waits_for_room_on_the_disk(enqueue: Enqueue) -> None:
    (job,) = enqueue()
    refused = Refused(fill_up, times=2)
    assert runner.run(job.id, refused) == 1
    assert (outcome(job.id), refused.calls, refused.stores) == (("completed", 1), 1, 3)


@on_sqlite_alone
@pytest.mark.parametrize("who", ["another program", "another thread"])
def test_a_settlement_waits_for_a_file_that_others_keep_for_themselves(
    enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    """Which is the same for all threads, though only one of them has it from SQLite."""
    (job,) = enqueue()
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.01)
    turn = connection._turn
    name = connection.settings_dict["NAME"]
    with closing(sqlite3.connect(name, isolation_level=None, check_same_thread=False)) as other:
        keep, leave = {
            "another program": (lambda: other.execute("BEGIN IMMEDIATE"), other.rollback),
            "another thread": (turn.acquire, turn.release),
        }[who]
        handler = Refused(lambda: None)
        monkeypatch.setattr(handler, "perform", lambda *_: keep() and None)
        monkeypatch.setattr(outages, "_takes_writes", lambda: leave() is None)
        assert runner.run(job.id, handler) == 1
    assert outcome(job.id) == ("completed", 1)


@on_sqlite_alone
def test_what_sqlite_adds_to_its_codes_changes_nothing() -> None:
    error, said = OperationalError("the file was moved"), sqlite3.OperationalError()
    said.sqlite_errorcode = sqlite3.SQLITE_READONLY_DBMOVED
    error.__cause__ = said
    assert faults.is_closed(error)


@on_postgresql_alone
@pytest.mark.parametrize("lose", [stand_still, cut, misuse])
def test_a_settlement_over_which_the_database_was_lost_is_made_again(
    enqueue: Enqueue, lose: Callable[[], None]
) -> None:
    """By whoever's fault: a worker that was stopped for a while finds that the server hung up."""
    (job,) = enqueue()
    lost = Refused(lose)
    assert runner.run(job.id, lost) == 1
    assert (outcome(job.id), lost.calls, lost.stores) == (("completed", 1), 1, 2)


@on_postgresql_alone
def test_a_job_over_which_the_database_took_no_writes_waits_only_a_little(
    enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "OUTAGE_SECONDS", 0.0)
    (job,) = enqueue()
    runner.run(job.id, Refused(take_no_writes, times=9))
    row = GenerationJob.objects.get(pk=job.id)
    assert (row.state, row.attempts) == ("queued", 0)
    assert 0 < (row.due_at - row.updated_at).total_seconds() <= 1.2


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The pauses that were made while the database was waited for, of which none lasts."""
    pauses: list[float] = []
    watch = SimpleNamespace(monotonic=lambda: sum(pauses), sleep=pauses.append)
    monkeypatch.setattr(outages, "time", watch)
    return pauses


def test_what_was_refused_for_its_own_fault_is_not_tried_again(clock: list[float]) -> None:
    tries = []

    def work() -> None:
        tries.append(1)
        raise OperationalError("disk I/O error")

    with pytest.raises(OperationalError):
        outages.outlasted(work)
    assert (len(tries), clock) == (1, [])


def test_what_is_refused_each_time_is_asked_ever_more_rarely(clock: list[float]) -> None:
    with pytest.raises(OperationalError):
        outages.outlasted(transaction.atomic(take_no_writes))
    assert clock[:6] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert outages.OUTAGE_SECONDS <= sum(clock) < outages.OUTAGE_SECONDS + 1.0


def test_a_database_that_does_not_answer_is_asked_until_it_does(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([OperationalError("gone"), InterfaceError("gone"), True])

    def asked() -> bool:
        if isinstance(answer := next(answers), Exception):
            raise answer
        return answer

    monkeypatch.setattr(outages, "_takes_writes", asked)
    failures = iter([take_no_writes])

    def work() -> str:
        for fail in failures:
            transaction.atomic(fail)()
        return "done"

    assert outages.outlasted(work) == "done"
    assert len(clock) == 3


def test_a_worker_that_is_to_stop_tries_but_once_more(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "begun", SimpleNamespace(is_set=lambda: True))
    tries = []

    def work() -> None:
        tries.append(1)
        transaction.atomic(take_no_writes)()

    with pytest.raises(OperationalError):
        outages.outlasted(work)
    assert len(tries) == 2


@pytest.mark.parametrize("answers", [False, True])
def test_a_worker_that_is_to_stop_asks_but_once_whether_the_database_is_back(
    clock: list[float], monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    """What was paid for is not given up where it answers."""
    monkeypatch.setattr(stopping, "begun", SimpleNamespace(is_set=lambda: True))
    monkeypatch.setattr(outages, "_takes_writes", lambda: answers)
    failures = iter([take_no_writes])

    def work() -> str:
        for fail in failures:
            transaction.atomic(fail)()
        return "done"

    if answers:
        assert outages.outlasted(work) == "done"
    else:
        with pytest.raises(OperationalError):
            outages.outlasted(work)
    assert len(clock) == 1


def test_what_lasts_is_not_waited_for_longer_than_an_outage(
    enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "OUTAGE_SECONDS", 0.25)
    (job,) = enqueue()
    refused = Refused(take_no_writes, times=9)
    runner.run(job.id, refused)
    assert outcome(job.id) == ("queued", 0)
    assert refused.calls == 1
    assert 1 < refused.stores < 9


@pytest.fixture
def answer_lost(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The next commit goes through, and its answer does not: how many of its kind there were."""
    lost: list[int] = []
    settle = leases.settle

    def settled(*given: Any, **how: Any) -> Settled:
        made = settle(*given, **how)
        if not lost:
            lost.append(1)
            fetch("SELECT pg_terminate_backend(pg_backend_pid())")
        return made

    monkeypatch.setattr(leases, "settle", settled)
    return lost


@on_postgresql_alone
def test_who_settled_and_was_not_told_goes_on_with_the_next_job_at_once(
    enqueue: Enqueue, answer_lost: list[int]
) -> None:
    """It was claimed in the same commit: nobody else could have it before its lease runs out."""
    jobs = enqueue("lane", 3, kind=kinds.SUMMARY)
    refused = Refused(lambda: None)
    assert runner.run(jobs[0].id, refused) == 3
    assert answer_lost
    assert [outcome(job.id) for job in jobs] == [("completed", 1)] * 3
    assert (refused.calls, refused.stores) == (3, 3)


@on_postgresql_alone
def test_who_settled_a_whole_lane_and_was_not_told_is_done(
    enqueue: Enqueue, answer_lost: list[int]
) -> None:
    (job,) = enqueue()
    assert runner.run(job.id, Refused(lambda: None)) == 1
    assert outcome(job.id) == ("completed", 1)


@on_postgresql_alone
def test_who_was_not_told_asks_again_where_the_database_fails_once_more(
    enqueue: Enqueue, answer_lost: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = enqueue("lane", 2, kind=kinds.SUMMARY)
    asked = leases.settled_before

    def failing(*_: object) -> None:
        monkeypatch.setattr(leases, "settled_before", asked)
        fetch("SELECT pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(leases, "settled_before", failing)
    assert runner.run(jobs[0].id, Refused(lambda: None)) == 2
    assert [outcome(job.id) for job in jobs] == [("completed", 1)] * 2


@on_postgresql_alone
def test_what_another_took_over_meanwhile_is_no_longer_the_next_of_who_was_not_told(
    enqueue: Enqueue,
) -> None:
    first, second = enqueue("lane", 2, kind=kinds.SUMMARY)
    lease = claimed(first.id)
    settled = leases.settle(lease, dict, worker="worker", go_on=True)
    assert leases.settled_before(lease, "worker") == settled
    expire(second.id)
    assert leases.claim(second.id, "worker")
    assert leases.settled_before(lease, "worker") == Settled()


@on_postgresql_alone
def test_a_whole_batch_that_was_claimed_with_the_settlement_is_gone_on_with(
    enqueue: Enqueue,
) -> None:
    jobs = enqueue("lane", kinds.EVENT.batch_jobs + 3)
    lease = claimed(jobs[0].id)
    settled = leases.settle(lease, dict, worker="worker", go_on=True)
    assert settled.lease
    assert [job.id for job in settled.lease.jobs] == [job.id for job in jobs[-3:]]
    assert leases.settled_before(lease, "worker") == settled


@on_postgresql_alone
def test_what_another_took_over_is_not_ones_own_though_all_of_the_lane_was_written_since(
    enqueue: Enqueue,
) -> None:
    first, second = enqueue("lane", 2, kind=kinds.SUMMARY)
    lease = claimed(first.id)
    leases.settle(lease, dict, worker="worker", go_on=True)
    expire(second.id)
    assert leases.claim(second.id, "another")
    with transaction.atomic():
        outbox.hand_over(["lane"], "another project")
    assert leases.settled_before(lease, "worker") == Settled()


@pytest.mark.parametrize("place", [0, 1])
def test_a_batch_of_which_a_job_was_cancelled_was_not_settled(
    enqueue: Enqueue, published: list[str], place: int
) -> None:
    jobs = enqueue("lane", 3)
    cancelled = jobs.pop(place)
    handler = Refused(lambda: operations.cancel(cancelled.id), times=0)
    handler.perform = lambda *_: handler.refuse()  # type: ignore[method-assign]
    runner.run(jobs[0].id if place else cancelled.id, handler)
    assert outcome(cancelled.id) == ("cancelled", 1)
    assert [outcome(job.id) for job in jobs] == [("queued", 0)] * 2


@on_postgresql_alone
def test_who_lost_a_lease_to_another_settled_nothing(enqueue: Enqueue) -> None:
    (job,) = enqueue()
    lease = claimed(job.id)
    expire(job.id)
    another = claimed(job.id)
    assert leases.settled_before(lease, "worker") is None
    leases.settle(another, dict, worker="another", go_on=False)
    assert leases.settled_before(lease, "worker") is None


@pytest.fixture
def standby(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """This thread's connection is to a server that takes no writes: until its options are empty."""
    options = {"pool": None, "options": "-c default_transaction_read_only=on"}
    connection.close()
    with monkeypatch.context() as patches:
        patches.setitem(
            connection.settings_dict, "OPTIONS", {**connection.settings_dict["OPTIONS"], **options}
        )
        yield connection.settings_dict["OPTIONS"]
        connection.close()


@on_postgresql_alone
def test_a_database_that_answers_is_waited_for_until_it_takes_writes(
    standby: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standby answers long before it is promoted."""
    tries, answers = [], []
    takes_writes = outages._takes_writes

    def write() -> None:
        tries.append(1)
        with transaction.atomic():
            fetch("UPDATE queueing_lane SET woken_at = NULL")

    def asked() -> bool:
        answers.append(takes_writes())
        standby["options"] = ""
        connection.close()
        return answers[-1]

    monkeypatch.setattr(outages, "_takes_writes", asked)
    outages.outlasted(write)
    assert (len(tries), answers) == (2, [False, True])


@pytest.fixture
def long_beats(settings: LazySettings) -> None:
    """Heartbeats are an hour apart."""
    settings.HEARTBEAT_SECONDS = 3600.0


def see_it_take_nothing() -> None:
    with pytest.raises(DatabaseError) as seen, transaction.atomic():
        take_no_writes()
    lull.seen(seen.value)


def test_after_the_database_took_nothing_nobody_is_taken_for_dead_for_a_while(
    enqueue: Enqueue, long_beats: None
) -> None:
    """The holder could not renew its lease, and holds the provider's answer."""
    (held,), (queued,) = enqueue("one"), enqueue("two")
    holder = claimed(held.id)
    expire(held.id)
    see_it_take_nothing()
    assert leases.claim(held.id, "another") is None
    assert leases.claim(queued.id, "another")
    leases.settle(holder, dict, worker="holder", go_on=False)
    assert outcome(held.id) == ("completed", 1)


def test_who_is_not_heard_of_after_that_while_is_followed(
    enqueue: Enqueue, settings: LazySettings
) -> None:
    settings.HEARTBEAT_SECONDS = 0.2
    (job,) = enqueue()
    claimed(job.id)
    expire(job.id)
    see_it_take_nothing()
    assert leases.claim(job.id, "another") is None
    assert until(lambda: leases.claim(job.id, "another"))
    assert outcome(job.id) == ("processing", 2)


def test_a_job_at_its_last_start_is_not_given_up_because_the_database_took_nothing(
    enqueue: Enqueue, long_beats: None
) -> None:
    (job,) = enqueue()
    for _ in range(kinds.EVENT.max_attempts):
        claimed(job.id)
        expire(job.id)
    see_it_take_nothing()
    leases.bury_exhausted(job.id)
    assert outcome(job.id) == ("processing", kinds.EVENT.max_attempts)
    lull._until = float("-inf")
    leases.bury_exhausted(job.id)
    assert outcome(job.id) == ("failed", kinds.EVENT.max_attempts)


def test_a_statement_that_was_refused_for_its_own_fault_says_nothing_of_the_database() -> None:
    with pytest.raises(DatabaseError) as seen:
        fetch("SELECT * FROM nothing")
    lull.seen(seen.value)
    assert not lull.is_just_over()
    assert not faults.is_passing(seen.value)
    assert not faults.is_doubtful(seen.value)


@on_postgresql_alone
@pytest.mark.parametrize("lose", [stand_still, cut])
def test_a_database_that_was_lost_is_one_that_takes_nothing(lose: Callable[[], None]) -> None:
    with pytest.raises(DatabaseError) as seen, transaction.atomic():
        lose()
    lull.seen(seen.value)
    assert lull.is_just_over()


def test_who_outlasts_an_outage_notes_it(long_beats: None) -> None:
    failures = iter([take_no_writes])

    def work() -> None:
        for fail in failures:
            transaction.atomic(fail)()

    outages.outlasted(work)
    assert lull.is_just_over()


def refused_to_all(*_: object, **__: object) -> None:
    transaction.atomic(take_no_writes)()


def test_a_claim_and_a_pass_that_were_refused_as_all_would_be_are_noted(
    enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = enqueue()
    monkeypatch.setattr(leases, "claim", refused_to_all)
    with pytest.raises(OperationalError):
        runner.run(job.id, Refused(lambda: None))
    assert lull.is_just_over()
    monkeypatch.setattr(lull, "_until", float("-inf"))
    monkeypatch.setattr(leases, "end_those_of_the_dead", refused_to_all)
    assert reconcile.reconcile_quietly() == 0
    assert lull.is_just_over()


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch, settings: LazySettings) -> SimpleNamespace:
    """What lulls go by, where heartbeats are ten seconds apart: `passed`, and `asked` each time."""
    settings.HEARTBEAT_SECONDS = 10.0
    watch = SimpleNamespace(passed=0.0, asked=lambda: None)
    monotonic = lambda: watch.asked() or watch.passed  # noqa: E731
    monkeypatch.setattr(lulls, "time", SimpleNamespace(monotonic=monotonic))
    return watch


def test_a_holder_has_time_for_a_heartbeat_and_no_second_one(seconds: SimpleNamespace) -> None:
    see_it_take_nothing()
    for seconds.passed, is_over in ((0.0, False), (11.0, False), (20.0, True), (30.0, True)):
        assert lull.is_just_over() is not is_over


def test_that_time_begins_with_the_first_claim_whosever_it_is(
    enqueue: Enqueue, seconds: SimpleNamespace
) -> None:
    (held,), (queued,) = enqueue("one"), enqueue("two")
    claimed(held.id)
    expire(held.id)
    see_it_take_nothing()
    assert leases.claim(queued.id, "another")
    seconds.passed = 20.0
    assert leases.claim(held.id, "another")


def test_who_asks_while_another_thread_notes_that_it_is_over_is_told_the_same(
    seconds: SimpleNamespace,
) -> None:
    see_it_take_nothing()
    told: list[bool] = []

    def meanwhile() -> None:
        seconds.asked = lambda: None
        told.append(lull.is_just_over())

    seconds.asked = meanwhile
    assert lull.is_just_over()
    assert told == [True]


@on_postgresql_alone
@pytest.mark.parametrize("code", [SERIALIZATION, DEADLOCK, NO_LOCK, CANCELLED])
def test_what_one_transaction_was_refused_is_no_lull_for_all(code: str) -> None:
    with pytest.raises(DatabaseError) as seen:
        refuse(code)
    lull.seen(seen.value)
    assert not lull.is_just_over()


def test_a_heartbeat_that_fails_is_noted(enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "_interval", 0.05)
    monkeypatch.setattr(heartbeat, "beat", transaction.atomic(take_no_writes))
    until(lambda: heartbeat._thread is None)
    (job,) = enqueue()
    with heartbeat.keeping(claimed(job.id), 60.0):
        until(lambda: lull.is_just_over())
