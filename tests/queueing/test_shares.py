"""Fair shares: who is served, in which order, with both engines.

A worker is played here by a loop that takes what its engine would hand it: the oldest message, or
what a look finds. What counts is the order of calls, not the time.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from queueing import broker, kinds, leases, outbox, polling, reconcile, runner, shares
from queueing.errors import JobFailed
from queueing.kinds import EVENT, SUMMARY
from queueing.leases import Details, Job
from queueing.models import GenerationJob, Lane, Share
from queueing.outbox import NewJob
from tests.queueing.conftest import Enqueue
from tests.queueing.test_leases import claimed, expire, settled
from tests.queueing.test_races import at_once

pytestmark = pytest.mark.django_db(transaction=True)

QUEUES = [kind.queue for kind in kinds.ALL]


class Calls:
    """A handler that notes whose job each call was for; `during` is what happens meanwhile."""

    def __init__(self) -> None:
        self.teams: list[str] = []
        self.projects: list[str] = []
        self.lanes: list[int] = []
        self.during: dict[int, Callable[[], object]] = {}
        self.failing: dict[int, JobFailed] = {}

    def prepare(self, jobs: Sequence[Job]) -> Sequence[Job]:
        return jobs

    def perform(self, work: Sequence[Job], timeout: float) -> None:
        self.teams.append(work[0].team_id)
        self.projects.append(work[0].project_id)
        self.lanes.append(work[0].lane_id)
        self.during.pop(len(self.teams), lambda: None)()
        if error := self.failing.pop(len(self.teams), None):
            raise error

    def store(self, jobs: Sequence[Job], result: None) -> Details:
        return {}


@pytest.fixture
def calls() -> Calls:
    return Calls()


class Messages:
    """Celery's queues: one a kind, each in the order of time, and they take turns."""

    def __init__(self) -> None:
        self.queues: dict[str, deque[str]] = {name: deque() for name in kinds.BY_NAME}

    def put(self, job_id: str, kind: str) -> None:
        self.queues[kind].append(job_id)

    def put_first(self, job_id: str, kind: str) -> None:
        self.queues[kind].appendleft(job_id)

    def get(self) -> str | None:
        for name, queue in self.queues.items():
            with suppress(IndexError):  # another thread may have been faster
                job = queue.popleft()
                self.queues = {**self.queues, name: self.queues.pop(name)}
                return job
        return None

    def clear(self) -> None:
        for queue in self.queues.values():
            queue.clear()

    def depths(self) -> dict[str, int]:
        return {name: len(queue) for name, queue in self.queues.items()}


class Worker:
    """One thread of one worker."""

    def __init__(self, calls: Calls, messages: Messages, *, looks: bool) -> None:
        self.calls = calls
        self.messages = messages
        self.looks = looks

    def work(self, calls: int) -> None:
        """Work until there were so many calls, or nothing more can be done."""
        while len(self.calls.teams) < calls and (job := self._next()):
            runner.run(job, self.calls, beside=dict.fromkeys(kinds.BY_NAME, self.calls))

    def _next(self) -> str | None:
        if not self.looks:
            return self.messages.get()
        for head in polling.chosen(shares.due(QUEUES, 2, polling.WINDOW), (), 1):
            return head.job_id
        return None


@pytest.fixture(params=["celery", "database"])
def worker(
    request: pytest.FixtureRequest, calls: Calls, settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> Worker:  # fmt: skip
    settings.QUEUE_ENGINE = request.param
    monkeypatch.setattr(shares, "LOOK_SECONDS", 0.0)
    messages = Messages()
    monkeypatch.setattr(broker, "publish", messages.put)
    monkeypatch.setattr(broker, "publish_first", messages.put_first)
    monkeypatch.setattr(broker, "depths", messages.depths)
    monkeypatch.setattr(broker, "send_canary", lambda queue, number: None)
    return Worker(calls, messages, looks=request.param == "database")


@pytest.fixture
def messages(worker: Worker) -> Messages:
    """Those of a worker that is sent some."""
    if worker.looks:
        pytest.skip("it is about messages")
    return worker.messages


def time_passes() -> None:
    """Let all nudges be of a while ago."""
    Lane.objects.update(woken_at=F("woken_at") - timezone.timedelta(minutes=5))


Fill = Callable[..., list[str]]


@pytest.fixture
def fill(enqueue: Enqueue, worker: Worker) -> Fill:
    """fill("team", lanes, jobs a lane, …): enqueue and publish, as captures do; the jobs' ids."""

    def _fill(team: str, lanes: int, jobs: int = 1, **options: Any) -> list[str]:
        options = {"kind": SUMMARY, "project": f"of-{team}", **options}
        stem = f"{team}-{Lane.objects.count()}"
        rows = [
            row for n in range(lanes) for row in enqueue(f"{stem}-{n}", jobs, team=team, **options)
        ]
        for row in rows:
            if row.is_head:
                broker.publish(row.id, row.new.kind.name)
        return [row.id for row in rows]

    return _fill


@pytest.mark.parametrize(("lanes", "jobs"), [(1, 60), (60, 1)], ids=["one lane", "many lanes"])
@pytest.mark.parametrize("kind", [SUMMARY, EVENT], ids=["alike", "of another kind"])
def test_a_single_job_waits_for_one_call_of_a_team_with_a_backlog(
    worker: Worker, fill: Fill, calls: Calls, lanes: int, jobs: int, kind: kinds.Kind
) -> None:
    fill("big", lanes, jobs)
    calls.during = {7: lambda: fill("small", 1, kind=kind)}
    worker.work(8)
    assert calls.teams[7:] == ["small"]


@pytest.mark.parametrize("kind", kinds.ALL, ids=lambda kind: kind.name)
def test_a_single_job_waits_for_one_call_of_a_team_with_a_backlog_of_each_kind(
    worker: Worker, fill: Fill, calls: Calls, kind: kinds.Kind
) -> None:
    for each in kinds.ALL:
        fill("big", 20, kind=each)
    for call in (7, 14, 21):
        calls.during[call] = partial(fill, f"small-{call}", 1, kind=kind)
    worker.work(22)
    assert [calls.teams[call] for call in (7, 14, 21)] == ["small-7", "small-14", "small-21"]
    calls.during.clear()
    worker.work(1000)
    assert Counter(calls.teams)["big"] == 60
    assert not any(worker.messages.depths().values()) or worker.looks


def test_the_kinds_of_a_project_take_turns(worker: Worker, fill: Fill, calls: Calls) -> None:
    for kind in kinds.ALL:
        fill("big", 10, kind=kind)
    fill("other", 30)
    worker.work(36)
    claims = GenerationJob.objects.filter(team_id="big", state="completed")
    had = Counter(claims.values_list("kind", flat=True))
    assert sorted(had.values()) == [6, 6, 6]


@pytest.mark.parametrize(
    "apart", [{"kind": EVENT}, {"project": "another"}], ids=["kind", "project"]
)
def test_what_may_not_run_yet_has_no_turn(
    worker: Worker, fill: Fill, calls: Calls, apart: dict[str, Any]
) -> None:
    (waits,) = fill("big", 1, **apart)
    later = timezone.now() + timezone.timedelta(hours=1)
    GenerationJob.objects.filter(pk=waits).update(due_at=later)
    fill("big", 3)
    fill("other", 3)
    worker.work(1000)
    assert Counter(calls.teams) == {"big": 3, "other": 3}


def test_what_a_look_chose_is_claimed_whosever_turn_it_is_since(worker: Worker, fill: Fill) -> None:
    if not worker.looks:
        pytest.skip("it is about looks")
    for job in [*fill("one", 2), *fill("other", 2)]:
        assert list(shares.candidates(job, kinds.BY_NAME)) == [job]


def test_a_worker_of_some_queues_works_nothing_of_the_others(
    worker: Worker, fill: Fill, calls: Calls
) -> None:
    (other,) = fill("small", 1, kind=EVENT)
    fill("big", 3)
    while job := worker._next():
        if job != other:
            runner.run(job, calls)
        if worker.looks:
            break
    assert calls.teams == ["big"] * len(calls.teams)


def test_teams_are_served_by_their_weights(worker: Worker, fill: Fill, calls: Calls) -> None:
    Share.objects.create(team_id="three", weight=3)
    fill("one", 20, 2)
    fill("three", 20, 2)
    worker.work(40)
    for n in (8, 20, 40):
        assert abs(calls.teams[:n].count("three") - n * 3 / 4) <= 1


def test_projects_share_what_their_team_has(worker: Worker, fill: Fill, calls: Calls) -> None:
    Share.objects.create(team_id="both", project_id="twice", weight=2)
    fill("both", 20, project="once")
    fill("both", 20, project="twice")
    fill("other", 20)
    worker.work(24)
    had = Counter(calls.projects)
    assert abs(had["of-other"] - 12) <= 1
    assert abs(had["twice"] - 8) <= 1
    assert abs(had["once"] - 4) <= 1


def test_lanes_of_a_team_are_served_in_the_order_in_which_they_came(
    worker: Worker, fill: Fill, calls: Calls
) -> None:
    fill("big", 10)
    fill("small", 10)
    worker.work(20)
    for team in ("big", "small"):
        lanes = [lane for whose, lane in zip(calls.teams, calls.lanes, strict=True)
                 if whose == team]  # fmt: skip
        assert len(set(lanes)) == 10
        # Where many wait, looks choose any of the first: workers would run into each other.
        assert worker.looks or lanes == sorted(lanes)


def test_every_job_of_two_teams_is_done_though_each_message_served_somebody_else(
    worker: Worker, fill: Fill, calls: Calls
) -> None:
    fill("big", 15, 3)
    calls.during = {n: partial(fill, "small", 1) for n in range(3, 30, 3)}
    worker.work(1000)
    assert set(GenerationJob.objects.values_list("state", "attempts")) == {("completed", 1)}
    assert Counter(calls.teams) == {"big": 45, "small": 9}


def test_a_lane_goes_on_where_the_others_have_nothing_that_may_run(
    worker: Worker, fill: Fill, calls: Calls
) -> None:
    fill("big", 1, 5)
    fill("waiting", 1)
    later = timezone.now() + timezone.timedelta(hours=1)
    GenerationJob.objects.filter(team_id="waiting").update(due_at=later)
    worker.messages.queues["summary"].pop()
    first = worker._next()
    assert first
    assert runner.run(first, calls) == 5


def test_a_limit_is_kept_and_whoever_is_done_lets_the_next_one_in(
    worker: Worker, fill: Fill, calls: Calls
) -> None:
    Share.objects.create(team_id="bound", max_in_flight=1)
    fill("bound", 5, 2)

    def try_another() -> None:
        for _ in range(3):
            if job := worker._next():
                assert runner.run(job, calls) == 0
        in_flight = GenerationJob.objects.filter(state="processing")
        assert in_flight.count() == 1

    calls.during = dict.fromkeys(range(1, 11), try_another)
    worker.work(1000)
    assert len(calls.teams) == 10
    assert not GenerationJob.objects.exclude(state="completed").exists()


def test_whoever_begins_while_another_has_its_first_look_knows_of_limits() -> None:
    Share.objects.create(team_id="bound", max_in_flight=1)
    desk = shares.Desk()
    with desk._looking:
        assert desk.view().is_limited


def test_lanes_within_a_limit_take_turns(
    worker: Worker, fill: Fill, calls: Calls, settings: LazySettings
) -> None:
    settings.QUANTUM_JOBS = 1
    Share.objects.create(team_id="bound", max_in_flight=1)
    fill("bound", 4, 2)
    worker.work(4)
    assert len(set(calls.lanes)) == 4


@pytest.mark.parametrize("project", ["", "of-bound"])
def test_who_is_at_the_limit_keeps_nobody_else_waiting(
    worker: Worker, fill: Fill, calls: Calls, project: str
) -> None:
    Share.objects.create(team_id="bound", project_id=project, max_in_flight=1)
    held = claimed(fill("bound", 5)[0])
    fill("free", 3)
    worker.work(1000)
    assert calls.teams == ["free"] * 3
    settled(held)


def test_a_message_is_not_in_vain_for_a_look_of_a_moment_before(
    worker: Worker, enqueue: Enqueue, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOOK_SECONDS", "SELDOM_SECONDS"):
        monkeypatch.setattr(shares, name, 600.0)
    fill("one", 1)
    fill("another", 1)
    assert not shares._desk.view(anew=True).is_plain
    (job,) = enqueue("came since", kind=EVENT)
    assert next(iter(shares.candidates(job.id))) == job.id


@pytest.mark.parametrize("ending", ["fails", "waits"])
def test_a_place_becomes_free_when_a_job_fails_or_waits_for_another_try(
    worker: Worker, fill: Fill, calls: Calls, ending: str
) -> None:
    Share.objects.create(team_id="bound", max_in_flight=1)
    fill("bound", 3)
    wait = ending == "waits"
    calls.failing = {1: JobFailed("no", classification="x", transient=wait, retry_after=90.0)}
    calls.during = {1: worker.messages.clear}
    worker.work(1000)
    assert len(calls.teams) == 3


def test_whose_place_became_free_is_sent_a_message_whoever_has_the_turn(
    fill: Fill, messages: Messages, calls: Calls
) -> None:
    Share.objects.create(team_id="bound", max_in_flight=1)
    first, second = fill("bound", 2)
    fill("free", 3)
    messages.clear()
    assert runner.run(first, calls) == 1
    assert calls.teams == ["bound"]
    assert list(messages.queues["summary"]) == [second]


def test_many_who_claim_at_once_never_exceed_a_limit(fill: Fill) -> None:
    Share.objects.create(team_id="team", max_in_flight=3)
    Share.objects.create(team_id="team", project_id="narrow", max_in_flight=1)
    for n in range(6):
        jobs = [fill("team", 1, project=f"{'narrow' if m % 2 else n}")[0] for m in range(8)]
        got = [lease for lease in at_once(*[partial(leases.claim, job, "w") for job in jobs])
               if lease]  # fmt: skip
        assert len(got) == 3
        assert [lease.head.project_id for lease in got].count("narrow") <= 1
        for lease in got:
            settled(lease)
        for job in jobs:
            if lease := leases.claim(job, "w"):
                settled(lease)


def test_many_workers_of_a_limited_team_neither_exceed_it_nor_wait_for_each_other(
    fill: Fill, worker: Worker, settings: LazySettings
) -> None:
    settings.QUANTUM_JOBS = 3
    Share.objects.create(team_id="team", max_in_flight=2)
    fill("team", 8, 4, kind=SUMMARY)
    most, now, lock = [0], [0], threading.Lock()

    class Counting(Calls):
        def perform(self, work: Sequence[Job], timeout: float) -> None:
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            timezone.now()
            with lock:
                now[0] -= 1

    def work() -> None:
        mine = Worker(Counting(), worker.messages, looks=worker.looks)
        while GenerationJob.objects.exclude(state="completed").exists():
            try:
                job = mine._next()
            except IndexError:
                job = None
            if job:
                runner.run(job, mine.calls)
            elif not worker.looks:
                reconcile.reconcile()

    at_once(*[work] * 4)
    assert most[0] <= 2


@pytest.mark.parametrize("project", ["", "of-bound"])
def test_reconcile_publishes_nothing_in_vain_and_what_was_lost_once(
    fill: Fill, messages: Messages, project: str
) -> None:
    Share.objects.create(team_id="bound", project_id=project, max_in_flight=1)
    jobs = fill("bound", 5)
    held = claimed(jobs[0])
    messages.clear()
    time_passes()
    assert reconcile.reconcile() == 0
    settled(held)  # by one that dies before it can tell anybody
    assert [reconcile.reconcile() for _ in range(3)] == [1, 0, 0]
    assert list(messages.queues["summary"]) == [jobs[1]]


def test_what_others_lost_is_published_without_those_who_have_no_room(
    fill: Fill, messages: Messages
) -> None:
    Share.objects.create(team_id="bound", max_in_flight=1)
    claimed(fill("bound", 5)[0])
    (lost,) = fill("free", 1)
    messages.clear()
    time_passes()
    assert reconcile.reconcile() == 1
    assert list(messages.queues["summary"]) == [lost]


def test_messages_of_others_are_not_missed_because_of_those_who_have_no_room(
    fill: Fill, messages: Messages
) -> None:
    Share.objects.create(team_id="bound", max_in_flight=1)
    claimed(fill("bound", 5)[0])
    messages.clear()
    fill("free", 1)
    time_passes()
    assert reconcile.reconcile() == 0


def test_whoever_fell_silent_holds_the_place_until_another_takes_the_job_over(
    fill: Fill, worker: Worker, calls: Calls
) -> None:
    Share.objects.create(team_id="bound", max_in_flight=1)
    jobs = fill("bound", 3)
    claimed(jobs[0])
    expire(jobs[0])
    assert leases.claim(jobs[1], "another") is None
    worker.messages.clear()
    worker.messages.put(jobs[0], "summary")
    worker.work(1000)
    assert len(calls.teams) == 3


def test_whoever_fell_silent_is_followed_though_the_nudge_for_it_was_lost(
    fill: Fill, messages: Messages
) -> None:
    Share.objects.create(team_id="bound", max_in_flight=1)
    jobs = fill("bound", 3)
    claimed(jobs[0])
    time_passes()
    hour = timezone.timedelta(hours=1)
    GenerationJob.objects.filter(pk=jobs[0]).update(lease_until=timezone.now() - hour)
    messages.clear()
    assert [reconcile.reconcile() for _ in range(2)] == [1, 0]
    assert list(messages.queues["summary"]) == [jobs[0]]


def test_lanes_that_were_there_before_are_told_whose_they_are(enqueue: Enqueue) -> None:
    busy, _ = enqueue("busy", 2, kind=SUMMARY, team="one")
    enqueue("busy", kind=EVENT, team="one")
    settled(claimed(busy.id))
    (done,) = enqueue("idle", kind=EVENT, team="two")
    settled(claimed(done.id))
    Lane.objects.create(key="empty", project_id="p")
    known = set(Lane.objects.values_list("key", "kind", "team_id"))
    assert known == {("busy", "summary", "one"), ("idle", "event", "two"), ("empty", "", "")}
    Lane.objects.update(kind="", team_id="")
    with connection.cursor() as cursor:
        cursor.execute(import_module("queueing.migrations.0004_shares").TELL)
    assert set(Lane.objects.values_list("key", "kind", "team_id")) == known


def test_a_lane_knows_the_kind_of_its_head(enqueue: Enqueue) -> None:
    first, second = enqueue("lane", kind=SUMMARY) + enqueue("lane", kind=EVENT)

    def kind() -> str:
        return Lane.objects.values_list("kind", flat=True).get()

    assert kind() == "summary"
    lease = claimed(first.id)
    settled(lease)
    assert kind() == "event"
    settled(claimed(second.id))
    enqueue("lane", kind=SUMMARY)
    enqueue("lane", kind=EVENT)
    assert kind() == "summary"


def test_a_lane_knows_the_kind_of_its_head_though_several_come_at_once(db: None) -> None:
    new = [NewJob(kind, "lane", kind.job_id("lane"), "source", "team", "project")
           for kind in (SUMMARY, EVENT, kinds.EVENT_BATCH)]  # fmt: skip
    with transaction.atomic():
        outbox.enqueue(new)
    assert Lane.objects.get().kind == "summary"
