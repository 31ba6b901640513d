"""What the database could not take is made up for, once."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import (
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    transaction,
)

from queueing import debts, light, runner, tasks
from queueing.debts import Debts
from queueing.direct import fetch
from queueing.models import GenerationJob, Lane
from queueing.reconcile import LIMIT
from tests.queueing.conftest import Enqueue
from tests.queueing.test_outages import Refused, on_postgresql_alone, take_no_writes

pytestmark = pytest.mark.django_db(transaction=True)


class Ledger:
    """Enters a lane for what was paid, which the database refuses so many times."""

    def __init__(self, times: int, refuse: Callable[[], None] = take_no_writes) -> None:
        self.times, self.refuse = times, refuse
        self.states: list[str] = []

    def __call__(self, *_: Any) -> None:
        self.states = list(GenerationJob.objects.values_list("state", flat=True))
        with light.transaction():
            if self.times:
                self.times -= 1
                self.refuse()
            Lane.objects.create(key=f"paid {Lane.objects.count()}")

    @property
    def entries(self) -> int:
        return Lane.objects.filter(key__startswith="paid").count()


def test_what_a_call_cost_is_entered_after_the_settlement_if_it_could_not_be_before(
    enqueue: Enqueue,
) -> None:
    (job,) = enqueue()
    ledger, handler = Ledger(times=1), Refused(lambda: None)
    assert runner.run(job.id, handler, account=ledger) == 1
    assert (ledger.entries, ledger.states, handler.calls) == (1, ["completed"], 1)


def test_what_was_owed_at_the_end_of_a_turn_is_entered_when_the_database_is_asked_again(
    enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = enqueue()
    ledger = Ledger(times=2)
    runner.run(job.id, Refused(lambda: None), account=ledger)
    assert ledger.entries == 0
    monkeypatch.setattr(tasks, "_again", lambda: True)
    monkeypatch.setattr(tasks, "reconcile_quietly", lambda: LIMIT)
    for _ in range(2):
        tasks.reconcile()
    assert ledger.entries == 1


@on_postgresql_alone
def test_what_may_have_been_committed_is_not_entered_again() -> None:
    """The server ends the connection over the commit, and says no more."""
    fetch("CREATE TEMPORARY TABLE paid (of text)")
    fetch("CREATE FUNCTION pg_temp.hang_up() RETURNS trigger LANGUAGE plpgsql AS"
          " 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'")  # fmt: skip
    fetch("CREATE CONSTRAINT TRIGGER hang_up AFTER INSERT ON paid DEFERRABLE INITIALLY DEFERRED"
          " FOR EACH ROW EXECUTE FUNCTION pg_temp.hang_up()")  # fmt: skip
    times = []

    def enter() -> None:
        times.append(1)
        with light.transaction():
            fetch("INSERT INTO paid VALUES ('a call')")

    owed = Debts()
    owed.settle("a call", enter)
    owed.pay()
    assert len(times) == 1


@on_postgresql_alone
def test_what_was_lost_before_its_commit_is_entered_again() -> None:
    ledger, owed = (
        Ledger(1, lambda: fetch("SELECT pg_terminate_backend(pg_backend_pid())")),
        Debts(),
    )
    owed.settle("a call", ledger)
    owed.pay()
    assert ledger.entries == 1


def test_who_owes_first_does_not_keep_others_from_being_paid() -> None:
    ever, once, owed = Ledger(times=9), Ledger(times=1), Debts()
    owed.settle("the one", ever)
    owed.settle("the other", once)
    for _ in range(4):
        owed.pay()
    assert once.entries == 1


def test_the_oldest_are_forgotten_where_too_much_is_owed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debts, "MOST", 2)
    ledgers, owed = [Ledger(times=1) for _ in range(3)], Debts()
    for ledger in ledgers:
        owed.settle("a call", ledger)
    owed.pay()
    assert ledgers[0].entries == 2


@pytest.mark.parametrize("error", [
    OperationalError("disk I/O error"), InterfaceError("misuse"), InternalError("a broken index"),
    IntegrityError("refused"),
])  # fmt: skip
def test_what_the_database_will_never_take_is_not_kept(error: Exception) -> None:
    times = []

    def enter() -> None:
        times.append(1)
        raise error

    owed = Debts()
    with (
        pytest.raises(IntegrityError) if isinstance(error, IntegrityError) else transaction.atomic()
    ):
        owed.settle("a call", enter)
    owed.pay()
    assert len(times) == 1


def test_a_database_that_fails_again_is_asked_no_more() -> None:
    ledgers, owed = [Ledger(times=9), Ledger(times=9)], Debts()
    for ledger in ledgers:
        owed.settle("a call", ledger)
    owed.pay()
    assert sum(ledger.times for ledger in ledgers) == 7 + 8


def test_of_two_who_make_up_for_it_at_once_nobody_stumbles_over_the_other() -> None:
    owed, paid = Debts(), Ledger(times=1)

    def enter() -> None:
        paid()
        owed.pay()

    owed.settle("the one", enter)
    owed.settle("the other", other := Ledger(times=1))
    owed.pay()
    assert paid.entries == other.entries == 2
