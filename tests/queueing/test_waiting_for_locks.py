"""Who waits for whose rows: nobody with rows in hand that come later, and some for nobody at all.

Of several rows those are locked first that come first by the one order, jobs before lanes; so while
somebody has the first, who wants them all waits with none of the others. Where that order cannot be
kept, what another has is passed over.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction

from queueing import (
    broker,
    identity,
    kinds,
    leases,
    operations,
    outbox,
    pauses,
    reconcile,
    retention,
)
from queueing.direct import fetch
from queueing.errors import QueueStoreAway
from queueing.models import GenerationJob, Lane, Share
from queueing.outbox import Head, NewJob
from queueing.pauses import Subject
from tests.queueing.conftest import Enqueue
from tests.waiting import until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer"),
]

DEAD = str(replace(identity.mine(), began="1"))
TEAM = Subject("team", "team")
BLOCKED = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
# What is not locked by others; who asks has the first of them.
FREE = {
    "lane": "SELECT key FROM queueing_lane FOR UPDATE SKIP LOCKED",
    "job": "SELECT seq FROM queueing_generationjob FOR UPDATE SKIP LOCKED",
    "share": "SELECT project_id FROM queueing_share FOR UPDATE SKIP LOCKED",
}
LOCKED = {
    "lane": "SELECT 1 FROM queueing_lane WHERE key = %s FOR UPDATE",
    "job": "SELECT 1 FROM queueing_generationjob WHERE seq = %s FOR UPDATE",
    "share": "SELECT 1 FROM queueing_share WHERE project_id = %s FOR UPDATE",
}


class Meanwhile:
    """Something that is done in a thread, with a connection of its own."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act
        self._backend = 0
        self.result: Any = None
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            ((self._backend,),) = fetch("SELECT pg_backend_pid()")
            self.result = self._act()
        except Exception as error:  # noqa: BLE001 - whoever ends it gets it
            self.error = error
        finally:
            connection.close()

    def waits(self) -> bool:
        """Whether it waits for a lock, or else is done."""
        until(lambda: not self._thread.is_alive() or self._is_blocked())
        return self._thread.is_alive()

    def _is_blocked(self) -> bool:
        return bool(self._backend and fetch(BLOCKED, [self._backend])[0][0])

    def end(self) -> Any:
        self._thread.join(30)
        if self.error:
            raise self.error
        return self.result


def free_meanwhile(
    act: Callable[[], object], what: str, first: object, free_of: str = ""
) -> set[object]:
    """What can be had, of that or of something else, while `act` waits for the first."""
    with transaction.atomic():
        fetch(LOCKED[what], [first])
        meanwhile = Meanwhile(act)
        assert meanwhile.waits()
        free = {row[0] for row in fetch(FREE[free_of or what])}
    meanwhile.end()
    return free


def done_meanwhile(act: Callable[[], object], what: str, *held: object) -> Any:
    """What `act` returns, which must wait for nobody, while others have these rows."""
    with transaction.atomic():
        for row in held:
            fetch(LOCKED[what], [row])
        meanwhile = Meanwhile(act)
        waits = meanwhile.waits()
    result = meanwhile.end()
    assert not waits
    return result


def within(act: Callable[..., object], *given: object) -> Callable[[], object]:
    def acting() -> object:
        with transaction.atomic():
            return act(*given)

    return acting


@pytest.fixture
def lanes(enqueue: Enqueue, published: list[str]) -> Sequence[str]:
    """Lanes whose keys are in another order than their rows, each with two jobs."""
    keys = ["c", "b", "a"]
    for key in keys:
        enqueue(key, 2, kind=kinds.SUMMARY)
    return keys


def more(keys: Sequence[str]) -> list[NewJob]:
    return [NewJob(kinds.EVENT, key, f"more {key}", "s", "team", "project") for key in keys]


def lift() -> None:
    pauses.lift()


def resume() -> None:
    pauses.hold(TEAM, "why not")
    pauses.resume(TEAM)


def end_of_the_dead() -> None:
    for job in GenerationJob.objects.filter(seq=1):
        assert leases.claim(job.id, DEAD)
    assert leases.end_those_of_the_dead() == 3


@pytest.mark.parametrize(
    "act",
    [
        within(lambda: outbox.enqueue(more("cba"))),
        within(outbox.forget, "cba"),
        within(outbox.hand_over, "cba", "another"),
        lift,
        resume,
        end_of_the_dead,
    ],
    ids=["enqueue", "forget", "hand over", "lift", "resume", "end leases"],
)
def test_lanes_are_taken_in_the_order_of_their_keys(
    lanes: Sequence[str], act: Callable[[], object]
) -> None:
    assert free_meanwhile(act, "lane", "a") == {"a", "b", "c"}


@pytest.mark.parametrize("how", ["clear", "forget"])
def test_jobs_are_taken_in_the_order_of_their_lane(
    enqueue: Enqueue, published: list[str], how: str
) -> None:
    jobs = enqueue("lane", 3)
    # So that their rows lie in another order than that.
    for job in reversed(jobs):
        GenerationJob.objects.filter(pk=job.id).update(session_id="session")
    act = {
        "clear": lambda: operations.clear("lane", "session"),
        "forget": within(outbox.forget, ["lane"]),
    }[how]
    assert free_meanwhile(act, "job", 1) == {1, 2, 3}


@pytest.mark.parametrize(("what", "free"), [("share", {"", "project"}), ("job", {1})])
def test_who_waits_for_a_teams_limit_has_neither_its_projects_nor_a_job(
    enqueue: Enqueue, what: str, free: set[object]
) -> None:
    (job,) = enqueue()
    for project in ("project", ""):
        Share.objects.create(team_id="team", project_id=project, max_in_flight=1)
    assert free_meanwhile(lambda: leases.claim(job.id, "worker"), "share", "", what) == free


def test_who_takes_a_job_over_waits_for_nobody_who_has_what_follows(enqueue: Enqueue) -> None:
    """Another may have it and want the lane, which is held where a worker goes on."""
    first, *_ = enqueue("lane", 3)
    assert leases.claim(first.id, "worker")
    ago = datetime.now(UTC) - timedelta(hours=1)
    GenerationJob.objects.update(lease_until=ago)
    lease = done_meanwhile(lambda: leases.claim(first.id, "another"), "job", 2)
    assert [job.seq for job in lease.jobs] == [1]
    rows = GenerationJob.objects.order_by("seq")
    assert list(rows.values_list("state", flat=True)) == ["processing", "processing", "queued"]
    leases.settle(lease, dict, worker="another", go_on=False)
    assert leases.claim(rows[1].id, "another")


@pytest.mark.parametrize("held", [17, 18])
def test_who_was_not_told_of_a_settlement_leaves_what_another_is_about_to_take(
    enqueue: Enqueue, held: int
) -> None:
    """It was claimed with the settlement; but whoever has its row may end its lease."""
    jobs = enqueue("lane", kinds.EVENT.batch_jobs + 2)
    lease = leases.claim(jobs[0].id, "worker")
    assert lease
    assert leases.settle(lease, dict, worker="worker", go_on=True).lease
    asked = partial(leases.settled_before, lease, "worker")
    assert done_meanwhile(asked, "job", held) == leases.Settled()


def test_leases_of_the_dead_end_but_for_those_that_another_has_in_hand(enqueue: Enqueue) -> None:
    first, *_ = enqueue("lane", 3)
    assert leases.claim(first.id, DEAD)
    assert done_meanwhile(leases.end_those_of_the_dead, "job", 2) == 2
    assert leases.end_those_of_the_dead() == 1


@pytest.mark.parametrize(("held", "renewed"), [(1, set()), (2, {1, 3})])
def test_a_heartbeat_waits_for_nobody(enqueue: Enqueue, held: int, renewed: set[int]) -> None:
    first, *_ = enqueue("lane", 3)
    lease = leases.claim(first.id, "worker")
    assert lease
    pairs = done_meanwhile(lambda: leases.renew([lease]), "job", held)
    assert {job.seq for job in lease.jobs if (job.id, job.token) in pairs} == renewed


@pytest.mark.parametrize("nudged", [None, datetime(2026, 1, 1, tzinfo=UTC)], ids=["never", "lost"])
def test_reconcile_waits_for_nobody_who_has_a_lane(
    lanes: Sequence[str],
    published: list[str],
    monkeypatch: pytest.MonkeyPatch,
    nudged: datetime | None,
) -> None:
    monkeypatch.setattr(broker, "depths", lambda: dict.fromkeys(kinds.BY_NAME, 0))
    monkeypatch.setattr(reconcile.canaries, "send", list)
    Lane.objects.update(woken_at=nudged)
    assert done_meanwhile(reconcile.reconcile, "lane", "b") == 2
    assert reconcile.reconcile() == 1


def test_of_two_passes_at_once_one_nudges_what_wants_it(
    lanes: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Lane.objects.update(woken_at=None)
    monkeypatch.setattr(broker, "depths", lambda: dict.fromkeys(kinds.BY_NAME, 0))
    others: list[object] = []
    asked = reconcile.fetch

    def noted(name: str, *given: Any, **how: Any) -> Any:
        if name == "woken" and not others:
            others.append("under way")
            others[0] = Meanwhile(reconcile._wanting).end()
        return asked(name, *given, **how)

    monkeypatch.setattr(reconcile, "fetch", noted)
    assert len(reconcile._wanting()) == len(lanes)
    assert others == [[]]


def test_what_was_not_sent_is_noted_but_for_lanes_that_another_has(
    lanes: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(job_id: str, kind: str) -> None:
        raise QueueStoreAway("it did not answer in time")

    monkeypatch.setattr(broker, "publish", refuse)
    heads = [Head(job.id, job.kind) for job in GenerationJob.objects.filter(seq=1)]
    done_meanwhile(lambda: outbox.nudge(heads), "lane", "b")
    assert set(Lane.objects.filter(woken_at=None).values_list("key", flat=True)) == {"a", "c"}


def test_who_resumes_waits_for_no_lane_of_others(
    enqueue: Enqueue, lanes: Sequence[str], published: list[str]
) -> None:
    enqueue("d", team="others")
    Lane.objects.filter(key="d").update(woken_at=None)
    done_meanwhile(resume, "lane", "d")
    assert len(published) == 3


def worked(enqueue: Enqueue, jobs: int = 1) -> None:
    """Jobs of the lane that are done."""
    lease = leases.claim(enqueue("lane", jobs)[0].id, "worker")
    assert lease
    leases.settle(lease, dict, worker="worker", go_on=False)


def prune() -> int:
    """Delete all that is done."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    return retention.prune(retention.Cutoffs(tomorrow, tomorrow), retention.budget())


@pytest.mark.parametrize(("what", "held"), [("job", (2,)), ("lane", ("lane",))])
def test_what_is_over_is_deleted_but_for_what_another_has(
    enqueue: Enqueue, what: str, held: tuple[object, ...]
) -> None:
    worked(enqueue, 3)
    assert done_meanwhile(prune, what, *held) == (2 if what == "job" else 3)
    assert Lane.objects.exists()


def test_a_lane_stays_in_which_a_job_was_done_between_a_look_at_its_jobs_and_its_lock(
    enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement sees the lane as it is when it has its lock, and jobs as they were before."""
    worked(enqueue)
    between = "WHERE (SELECT 1 FROM pg_advisory_xact_lock(1)) = 1 AND"
    lock_lanes = retention._LOCK_LANES.replace("WHERE", between, 1)
    monkeypatch.setattr(retention, "_LOCK_LANES", lock_lanes)
    fetch("SELECT pg_advisory_lock(1)")
    pruning = Meanwhile(prune)
    assert pruning.waits()
    worked(enqueue)
    fetch("SELECT pg_advisory_unlock(1)")
    assert pruning.end() == 1
    assert list(GenerationJob.objects.values_list("lane__key", "seq")) == [("lane", 2)]


def test_a_claim_that_waited_for_a_settlement_finds_the_job_done(enqueue: Enqueue) -> None:
    first, second = enqueue("lane", 2, kind=kinds.SUMMARY)
    late = leases.claim(first.id, "late")
    assert late
    ago = datetime.now(UTC) - timedelta(hours=1)
    GenerationJob.objects.filter(pk=first.id).update(lease_until=ago)
    with transaction.atomic():
        leases.settle(late, dict, worker="late", go_on=False)
        meanwhile = Meanwhile(lambda: leases.claim(first.id, "another"))
        assert meanwhile.waits()
    assert meanwhile.end() is None
    assert leases.claim(second.id, "another")


def test_of_two_calls_that_are_refused_at_once_the_first_makes_the_pause() -> None:
    pauses.pause("the first time", "auth", probing=False)
    pauses.look_again()
    with transaction.atomic():
        pauses.pause("the key was refused", "auth", probing=False)
        meanwhile = Meanwhile(lambda: pauses.pause("another word", "quota", probing=False))
        assert meanwhile.waits()
    meanwhile.end()
    paused = pauses.current()
    assert paused
    assert (paused.reason, paused.failures) == ("the key was refused", 2)
