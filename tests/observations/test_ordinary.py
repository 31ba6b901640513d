"""Captures that are written the short way: the rows of each alone, and no shared fate."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from observations import ingest, ordinary
from observations.ingest import NewEvent
from observations.models import AuditEntry, Event, Project, Session
from observations.ordinary import Ordinary
from queueing import broker, kinds, runner
from queueing.leases import Details, Job
from queueing.models import GenerationJob, GenerationJobEvent, Lane
from tests.blocked import waits_for_lock
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
# What is shared there is a statement: its locks and its company.
statement = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="about PostgreSQL")

RECORDINGS = sorted((Path(__file__).parents[1] / "recordings").rglob("*.jsonl"))
# What is made anew for each row, or tells its time.
OWN = ("id", "_at", "key", "_state", "origin")


@pytest.fixture(autouse=True)
def _unpublished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "publish", lambda job_id, kind: None)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def hook(session: str, number: int, **fields: Any) -> dict[str, Any]:
    return {
        "hook_event_name": "PostToolUse", "session_id": session, "tool_use_id": f"t{number}",
        "tool_name": "Bash", "tool_input": {"command": "ls"}, **fields,
    }  # fmt: skip


def capture(project: Project, payload: dict[str, Any]) -> ingest.Captured:
    origin = {"source": "test", "api_key_id": "key", "request_id": "r"}
    return ingest.capture_hook(project.team_id, project.id, payload, origin=origin)


def submitted(
    pool: ThreadPoolExecutor, project: Project, payload: dict[str, Any]
) -> "Future[ingest.Captured]":
    def run() -> ingest.Captured:
        try:
            return capture(project, payload)
        finally:
            connection.close()

    return pool.submit(run)


def told(row: Any) -> dict[str, Any]:
    """The row without what differs each time."""
    kept = {k: v for k, v in vars(row).items() if not k.endswith(OWN)}
    if "details" in kept:
        kept["details"] = sorted(kept["details"])
    return kept


def everything(project: Project) -> list[list[dict[str, Any]]]:
    """All rows that captures in this project have made, but for what differs each time."""
    jobs = GenerationJob.objects.filter(project_id=project.id).order_by("source_id", "kind")
    return [
        [told(row) for row in rows]
        for rows in (
            Event.objects.filter(project=project).order_by("number"),
            Session.objects.filter(project=project),
            Lane.objects.filter(project_id=project.id),
            jobs.order_by("seq"),
            GenerationJobEvent.objects.filter(job__in=jobs).order_by("job__seq", "id"),
            AuditEntry.objects.filter(project_id=project.id).order_by("id"),
        )
    ]


@pytest.mark.parametrize("file", RECORDINGS[:4], ids=lambda file: file.stem)
def test_the_short_way_and_the_long_way_make_the_same_rows(
    project: Project, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Project.objects.create(team=project.team, name="another")
    payloads = [json.loads(line) for line in file.read_text().splitlines()]
    went: list[object] = []
    short = ordinary.write_shared
    monkeypatch.setattr(ordinary, "write_shared", lambda one: went.append(short(one)) or went[-1])
    for payload in payloads:
        capture(project, payload)
    assert any(went)
    monkeypatch.setattr(ordinary, "write_shared", lambda one: None)
    for payload in payloads:
        capture(other, payload)
    assert everything(project) == everything(other)


def test_captures_at_once_are_numbered_without_a_gap_and_their_jobs_in_the_same_order(
    project: Project, pool: ThreadPoolExecutor
) -> None:
    for session in "ab":
        capture(project, hook(session, 0))
    waiting = [submitted(pool, project, hook("ab"[n % 2], n)) for n in range(1, 81)]
    assert not any(one.result().duplicate for one in waiting)
    for session in Session.objects.filter(project=project):
        events = dict(session.events.values_list("id", "number"))
        assert sorted(events.values()) == list(range(1, 42))
        assert session.last_number == 41
        jobs = GenerationJob.objects.filter(session_id=session.id)
        assert all(job.seq == job.covers == events[job.source_id] for job in jobs)
        assert Lane.objects.get(key=session.lane_key).tail == len(events) == len(jobs)


def test_of_equal_deliveries_at_once_one_is_stored_and_all_are_answered_alike(
    project: Project, pool: ThreadPoolExecutor
) -> None:
    capture(project, hook("s", 0))
    for number in range(1, 11):
        waiting = [submitted(pool, project, hook("s", number)) for _ in range(6)]
        answers = [one.result() for one in waiting]
        assert len({answer.event.id for answer in answers}) == 1
        assert len({answer.job_id for answer in answers}) == 1
        assert [answer.duplicate for answer in answers].count(False) == 1
    assert Event.objects.filter(project=project).count() == 11


@statement
def test_a_batch_that_meets_one_other_writer_after_the_next_is_stored_all_the_same(
    project: Project, pool: ThreadPoolExecutor
) -> None:
    names = ["a", "b", "c"]
    written: Queue[tuple[str | None, str]] = Queue()
    may_end = {name: threading.Event() for name in names}

    def deliver(*ids: str) -> tuple[ingest.Captured, ...]:
        news = [NewEvent(project.id, "tool_use", "api", {}, source_event_id=one) for one in ids]
        return ingest.capture(project.team_id, news, origin={}, kind=kinds.EVENT_BATCH)

    def hold(name: str) -> None:
        with closing(connection), transaction.atomic():
            written.put((deliver(name)[0].event.dedupe_key, name))
            may_end[name].wait(30)

    def deliver_all() -> list[bool]:
        with closing(connection):
            return [one.duplicate for one in deliver(*names)]

    holding = {name: pool.submit(hold, name) for name in names}
    in_order = [name for _, name in sorted(written.get(timeout=30) for _ in names)]
    batch = pool.submit(deliver_all)
    for name in in_order:
        until(waits_for_lock)
        may_end[name].set()
        holding[name].result()
    assert batch.result() == [True] * 3
    assert Event.objects.filter(project=project).count() == 3


class Held:
    """A session whose row somebody else holds for as long as this block lasts.

    `deed` is what they do to it at the end.
    """

    def __init__(self, session: Session, deed: Callable[[], object] = lambda: None) -> None:
        self.session, self.deed = session, deed
        self.taken, self.may_end = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.hold)

    def hold(self) -> None:
        with transaction.atomic():
            Session.objects.select_for_update().get(pk=self.session.pk)
            self.taken.set()
            self.may_end.wait(30)
            self.deed()
        connection.close()

    def __enter__(self) -> None:
        self.thread.start()
        assert self.taken.wait(60)

    def __exit__(self, *_: object) -> None:
        self.may_end.set()
        self.thread.join()


@statement
@pytest.mark.usefixtures("in_earnest")
def test_behind_a_session_that_is_held_others_go_on(
    project: Project, pool: ThreadPoolExecutor
) -> None:
    captured = [capture(project, hook(name, 0)) for name in ("held", "free")]
    with Held(Session.objects.get(pk=captured[0].event.session_id)):
        stuck = submitted(pool, project, hook("held", 1))
        until(waits_for_lock)
        assert submitted(pool, project, hook("free", 1)).result(10).event.number == 2
        assert not stuck.done()
    assert stuck.result().event.number == 2


@statement
@pytest.mark.usefixtures("in_earnest")
def test_who_shares_a_statement_with_a_session_that_is_held_is_written_without_it(
    project: Project, pool: ThreadPoolExecutor
) -> None:
    names = ("first", "held", "free")
    first, held, _ = (capture(project, hook(name, 0)).event.session for name in names)
    assert first
    assert held
    with Held(held):
        with Held(first):
            leads = submitted(pool, project, hook("first", 1))
            until(waits_for_lock)
            stuck = submitted(pool, project, hook("held", 1))
            until(lambda: len(ordinary._shared._waiting) == 1)
            free = submitted(pool, project, hook("free", 1))
            until(lambda: len(ordinary._shared._waiting) == 2)
        assert leads.result(10).event.number == free.result(10).event.number == 2
        assert not stuck.done()
    assert stuck.result(10).event.number == 2


@statement
def test_a_session_that_ends_or_goes_while_it_is_waited_for_is_open_or_there_again(
    project: Project, pool: ThreadPoolExecutor
) -> None:
    captured = [capture(project, hook(name, 0)) for name in ("ends", "goes")]
    ends, goes = (Session.objects.filter(pk=one.event.session_id) for one in captured)
    with Held(ends.get(), lambda: ends.update(ended_at=timezone.now(), end_reason="ended")):
        late = submitted(pool, project, hook("ends", 1))
        until(waits_for_lock)
    assert late.result(10).event.number == 2
    assert ends.get().ended_at is None
    with Held(goes.get(), goes.delete):
        late = submitted(pool, project, hook("goes", 1))
        until(waits_for_lock)
    assert late.result(10).event.number == 1
    assert late.result().event.session_id != captured[1].event.session_id


@statement
def test_sessions_are_locked_in_the_order_of_their_ids_whatever_the_order_of_their_events(
    project: Project, monkeypatch: pytest.MonkeyPatch, pool: ThreadPoolExecutor
) -> None:
    # The first is written again last, so that its row lies behind the other's.
    first, second, _ = (
        capture(project, hook(*e)).event.session for e in [("a", 0), ("b", 0), ("a", 1)]
    )
    given = seen(project, monkeypatch, [hook("b", 2), hook("a", 2)])

    def write() -> None:
        ordinary.write(given)
        connection.close()

    assert first
    assert second
    assert first.id < second.id
    with Held(first):
        writing = pool.submit(write)
        until(waits_for_lock)
        with transaction.atomic():
            Session.objects.select_for_update(nowait=True).get(pk=second.pk)
    writing.result(10)


@statement
def test_what_is_no_news_does_not_become_it_by_the_company_it_keeps(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture(project, hook("s", 0))
    silence = {"hook_event_name": "Notification", "session_id": "s", "message": "idle"}
    ordinary.write(seen(project, monkeypatch, [hook("s", 1), silence]))
    session = Session.objects.get(project=project)
    assert (session.last_number, session.news_number) == (3, 2)


def test_alike_deliveries_are_one_across_the_border_of_two_windows(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture(project, hook("s", 0))
    alike = hook("s", 1)
    del alike["tool_use_id"]
    told = []
    for seconds in (9.9, 10.1, 19.8, 31.0):
        moment = datetime.fromtimestamp(1_800_000_000 + seconds, UTC)
        monkeypatch.setattr("queueing.direct.now", lambda at=moment: at)
        told.append(capture(project, alike).duplicate)
    assert told == [False, True, True, False]


class Doing:
    """A handler that makes nothing of its jobs."""

    def prepare(self, jobs: Sequence[Job]) -> None:
        pass

    def perform(self, work: None, timeout: float) -> None:
        pass

    def store(self, jobs: Sequence[Job], result: None) -> Details:
        return {}


def test_no_nudge_is_missing_however_captures_and_workers_meet(
    project: Project, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: Queue[str | None] = Queue()
    monkeypatch.setattr(broker, "publish", lambda job_id, kind: heads.put(job_id))

    def work() -> None:
        while head := heads.get():
            runner.run(head, Doing())
        connection.close()

    workers = [threading.Thread(target=work, daemon=True) for _ in range(2)]
    for worker in workers:
        worker.start()
    captured = [submitted(pool, project, hook("abc"[n % 3], n)) for n in range(150)]
    for one in captured:
        one.result()
    states = GenerationJob.objects.values_list("state", flat=True)
    until(lambda: list(states.all()) == ["completed"] * 150)
    for _ in workers:
        heads.put(None)
    for worker in workers:
        worker.join()


def seen(
    project: Project, monkeypatch: pytest.MonkeyPatch, payloads: list[dict[str, Any]]
) -> list[Ordinary]:
    """The payloads as they would be written, and are not."""
    kept: list[Ordinary] = []
    with monkeypatch.context() as patched:
        patched.setattr(
            ordinary, "write_shared", lambda one: kept.append(one) or ordinary.Written(None)
        )
        for payload in payloads:
            capture(project, payload)
    return kept


@statement
def test_what_repeats_another_of_its_statement_is_left_alone_and_spoils_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture(project, hook("s", 0))
    given = seen(project, monkeypatch, [hook("s", 1), hook("s", 1), hook("s", 2)])
    written = ordinary.write(given)
    assert [one is not None for one in written] == [True, False, True]
    assert [one.delivery.event.number for one in given] == [2, None, 3]
    assert Event.objects.filter(project=project).count() == 3


@statement
def test_what_a_commit_refuses_is_never_told_as_written(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture(project, hook("s", 0))
    (one,) = seen(project, monkeypatch, [hook("s", 1)])
    columns = list(one.delivery.columns)
    columns[2] = "no such project"
    one.delivery.columns = tuple(columns)
    with pytest.raises(IntegrityError, match="foreign key"):
        ordinary.write([one])
    assert Session.objects.get(project=project).last_number == 1


def changed(one: Ordinary) -> Ordinary:
    """One that the database refuses."""
    columns = list(one.delivery.columns)
    columns[3] = "x" * 101
    one.delivery.columns = tuple(columns)
    return one


@statement
def test_one_that_is_refused_spares_those_who_share_its_statement(
    project: Project, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured = [capture(project, hook(name, 0)) for name in ("held", "good", "bad")]
    short: Callable[[Ordinary], object] = ordinary.write_shared

    def spoilt(one: Ordinary) -> object:
        bad = captured[2].event.session_id
        is_bad = Session.objects.get(identity_key=one.session).id == bad
        return short(changed(one) if is_bad else one)

    monkeypatch.setattr(ordinary, "write_shared", spoilt)
    with Held(Session.objects.get(pk=captured[0].event.session_id)):
        first = submitted(pool, project, hook("held", 1))
        until(waits_for_lock)
        good = submitted(pool, project, hook("good", 1))
        bad = submitted(pool, project, hook("bad", 1))
        until(lambda: len(ordinary._shared._waiting) == 2)
    assert first.result().event.number == good.result().event.number == 2
    with pytest.raises(Exception, match="too long"):
        bad.result()
    assert Event.objects.filter(project=project).count() == 5


def test_a_session_that_was_deleted_is_made_again(project: Project) -> None:
    first = capture(project, hook("s", 0))
    Session.objects.all().delete()
    again = capture(project, hook("s", 1))
    assert again.event.number == 1
    assert again.event.session_id != first.event.session_id
