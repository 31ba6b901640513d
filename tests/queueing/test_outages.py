"""What was paid for, when the database refuses it for reasons of its own; and who is then late."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import DatabaseError, connection, transaction

from queueing import faults, kinds, leases, outages, runner
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
on_postgresql_alone = pytest.mark.skipif(
    not on_postgresql(), reason="about what PostgreSQL refuses"
)


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
@pytest.mark.parametrize("code", [CANCELLED, NO_MEMORY])
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
