"""What is about a session or a memory that is just being removed is stored, or refused whole."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from django.db import connection, transaction

from observations import emptying, findings, ingest, memories, sessions
from observations.errors import Forbidden
from observations.models import Event, Observation, ObservationSource, Project, Session
from observations.sessions import NewSession
from queueing import broker, direct
from queueing.models import GenerationJob
from tests.agents import work
from tests.blocked import waits_for_lock
from tests.postgres import on_postgresql
from tests.posts import hook
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
crossing = pytest.mark.skipif(not on_postgresql(), reason="SQLite has one writer at a time")


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(broker, "publish", lambda job_id, kind: sent.append((job_id, kind)))
    monkeypatch.setattr(broker, "publish_first", lambda job_id, kind: sent.append((job_id, kind)))
    return sent


@pytest.fixture
def meanwhile() -> Iterator[Callable[[Callable[[], Any]], "Future[Any]"]]:
    """Do something in a thread; back when that is done, or waits for a lock."""
    with ThreadPoolExecutor(1) as somebody:

        def act(what: Callable[[], Any]) -> "Future[Any]":
            done = somebody.submit(with_own_connection, what)
            until(lambda: done.done() or waits_for_lock())
            return done

        yield act


Meanwhile = Callable[[Callable[[], Any]], "Future[Any]"]


def with_own_connection(act: Callable[[], Any]) -> Any:
    with closing(connection):
        return act()


def capture(project: Project, payload: dict[str, Any]) -> Event:
    return ingest.capture_hook(project.team_id, project.id, payload, origin={}).event


def ended(project: Project) -> None:
    capture(project, {**hook("s", 1), "hook_event_name": "SessionEnd", "reason": "other"})


def empty(project: Project) -> None:
    emptying.empty(project.team_id, project.id)


def named(**more: Any) -> NewSession:
    names = ("project_id", "external_session_id", "content_session_id", "platform_source")
    return NewSession(**Session.objects.values(*names).get(), **more)


# --- memories -----------------------------------------------------------------------------------


@pytest.fixture
def said_again(
    project: Project, published: list[tuple[str, str]]
) -> tuple[Observation, list[tuple[str, str]]]:
    """A memory, and the job of an event of which the same words are made."""
    capture(project, hook("s", 1))
    work(published)
    memory = Observation.objects.get()
    capture(project, hook("s", 2))
    return memory, list(published)


def forget(memory: Observation) -> bool:
    return memories.forget(memory.team_id, memory.project_id, memory.id)


@crossing
def test_a_memory_that_a_worker_says_again_is_forgotten_after_it(
    said_again: tuple[Observation, list[tuple[str, str]]],
    meanwhile: Meanwhile,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory, jobs = said_again
    forgotten: list[Future[Any]] = []
    write = findings.write

    def written(*given: Any) -> Any:
        outcome = write(*given)
        forgotten.append(meanwhile(lambda: forget(memory)))
        return outcome

    monkeypatch.setattr(findings, "write", written)
    work(jobs)
    assert forgotten[0].result(30)
    assert GenerationJob.objects.filter(state="completed", attempts=1).count() == 2
    assert Observation.objects.count() == ObservationSource.objects.count() == 0


@crossing
def test_what_is_said_again_of_a_memory_that_is_being_forgotten_is_a_memory_of_its_own(
    said_again: tuple[Observation, list[tuple[str, str]]], meanwhile: Meanwhile
) -> None:
    memory, jobs = said_again
    worked: list[Future[Any]] = []

    def watch(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith('DELETE FROM "observations_observation"'):
            worked.append(meanwhile(lambda: work(jobs)))
        return execute(sql, *rest)

    with connection.execute_wrapper(watch):
        assert forget(memory)
    worked[0].result(30)
    assert GenerationJob.objects.filter(state="completed", attempts=1).count() == 2
    assert Observation.objects.exclude(pk=memory.pk).get().sources.count() == 1


@crossing
def test_a_memory_to_which_something_is_linked_while_its_project_is_emptied_goes_with_it(
    project: Project, meanwhile: Meanwhile, published: list[tuple[str, str]]
) -> None:
    capture(project, hook("s", 1))
    work(published)
    with transaction.atomic():
        memory = Observation.objects.select_for_update(no_key=True).get()
        emptied = meanwhile(lambda: empty(project))
        ObservationSource.objects.create(
            observation=memory, source_type="event", source_id="another", created_at=direct.now()
        )
    emptied.result(30)
    assert not Observation.objects.exists()


def test_a_job_whose_event_is_removed_while_a_provider_is_asked_fails_and_is_no_defect(
    project: Project,
    published: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    event = capture(project, hook("s", 1))
    made = findings.prepared

    def prepared(*given: Any) -> Any:
        Event.objects.all().delete()
        return made(*given)

    monkeypatch.setattr(findings, "prepared", prepared)
    work(published)
    job = GenerationJob.objects.get()
    assert job.last_error is not None
    assert (job.state, job.last_error["classification"]) == ("failed", "unrecoverable")
    assert job.last_error["reason"] == f"event {event.pk} is no longer there"
    assert not Observation.objects.exists()
    assert "defect" not in caplog.text


# --- sessions -----------------------------------------------------------------------------------


@crossing
def test_a_memory_of_a_session_that_is_being_removed_is_refused(
    project: Project, meanwhile: Meanwhile
) -> None:
    session = Session.objects.get(pk=capture(project, hook("s", 1)).session_id)
    with transaction.atomic():
        Session.objects.select_for_update().get()
        remembered = meanwhile(
            lambda: memories.remember(
                project.team_id, project.id, content="The till", session_id=session.id
            )
        )
        Event.objects.all().delete()
        session.delete()
    with pytest.raises(Forbidden):
        remembered.result(30)
    assert not Observation.objects.exists()


@crossing
@pytest.mark.parametrize("begin", [lambda _: None, ended], ids=["open", "ended"])
@pytest.mark.parametrize("metadata", [{}, {"model": "sonnet"}], ids=["nothing", "something"])
def test_a_session_that_is_removed_while_it_is_started_again_is_made_anew(
    begin: Callable[[Project], None],
    metadata: dict[str, Any],
    project: Project,
    meanwhile: Meanwhile,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = capture(project, hook("s", 1)).session_id
    begin(project)
    new, found = named(metadata=metadata), sessions.found_or_made

    def find(*given: Any) -> tuple[Session, bool]:
        monkeypatch.setattr(sessions, "found_or_made", found)
        session = found(*given)
        meanwhile(lambda: empty(project)).result(30)
        return session

    monkeypatch.setattr(sessions, "found_or_made", find)
    session, created = sessions.start(project.team_id, new)
    assert created
    assert (session.metadata, Session.objects.get().pk) == (metadata, session.pk)
    assert session.pk != before


def test_a_summary_that_is_forgotten_at_once_is_told_all_the_same(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = capture(project, hook("s", 1)).session_id
    assert session_id
    publish = sessions.outbox.publish_enqueued

    def forgotten(rows: Any) -> str:
        empty(project)
        return publish(rows)

    monkeypatch.setattr(sessions.outbox, "publish_enqueued", forgotten)
    _, job, _ = sessions.end(project.team_id, session_id, project_id=None, origin={})
    assert job.kind == "summary"
    assert not GenerationJob.objects.exists()


@pytest.mark.parametrize("event", ["Stop", "SessionEnd"])
def test_what_a_hook_tells_of_a_session_that_was_removed_since_it_was_found_is_stored(
    event: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = capture(project, hook("s", 1)).session_id
    find = ingest.sessions.known

    def known(*given: Any) -> Session | None:
        monkeypatch.setattr(ingest.sessions, "known", find)
        session = find(*given)
        empty(project)
        return session

    monkeypatch.setattr(ingest.sessions, "known", known)
    stored = capture(project, {**hook("s", 2), "hook_event_name": event, "reason": "other"})
    assert Event.objects.get().pk == stored.pk
    assert Session.objects.get().pk == stored.session_id != before
