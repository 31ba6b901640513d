"""Whoever was called as a witness is told of a deed within its transaction."""

from typing import Any

import pytest

from queueing import leases, operations, states, witness
from tests.queueing.conftest import Enqueue
from tests.queueing.test_leases import ERROR, claimed, expire, state

pytestmark = pytest.mark.django_db

Told = list[tuple[str, list[str], dict[str, Any], Any]]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Told:
    """What a witness, the only one, was told."""
    told: Told = []
    monkeypatch.setattr(witness, "_witnesses", [])
    witness.call(
        lambda deed, jobs, details, by: told.append((deed, [j.id for j in jobs], {**details}, by))
    )
    return told


def test_a_witness_is_told_who_did_what_to_which_jobs(enqueue: Enqueue, seen: Told) -> None:
    first, second = enqueue("lane", 2)
    lease = claimed(first.id)
    leases.release(lease.followers or lease)
    leases.bury(lease.alone, ERROR)
    operations.retry(first.id, {"source": "test"})
    assert [(deed, jobs) for deed, jobs, _, _ in seen] == [
        (states.CLAIMED, [first.id, second.id]),
        (states.FAILED, [first.id]),
        (states.RETRIED, [first.id]),
    ]
    assert [by for *_, by in seen] == [None, None, {"source": "test"}]


def test_what_stalled_is_told_once_it_is_taken_over(enqueue: Enqueue, seen: Told) -> None:
    first, second = enqueue("lane", 2)
    claimed(first.id)
    for job in (first, second):
        expire(job.id)
    claimed(first.id)
    assert [(deed, jobs) for deed, jobs, _, _ in seen[1:]] == [
        (states.STALLED, [first.id, second.id]),
        (states.CLAIMED, [first.id]),
    ]


@pytest.mark.django_db(transaction=True)
def test_a_witness_that_fails_undoes_the_deed(enqueue: Enqueue) -> None:
    (job,) = enqueue()

    def refuses(*_: Any) -> None:
        raise RuntimeError("no")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(witness, "_witnesses", [refuses])
        for act in (lambda: leases.claim(job.id, "w"), lambda: operations.cancel(job.id)):
            with pytest.raises(RuntimeError):
                act()
    assert state(job.id) == states.QUEUED


def test_nobody_is_told_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness, "_witnesses", [])
    seen: list[str] = []

    def witnessed(deed: str, *_: Any) -> None:
        seen.append(deed)

    witness.call(witnessed)
    witness.call(witnessed)
    witness.tell(states.CLAIMED, [], {})
    assert seen == [states.CLAIMED]
