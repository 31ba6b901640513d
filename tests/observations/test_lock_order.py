"""Of several rows all lock those first that come first, or pass over what another has.

So while somebody has the first of them, whoever wants them all waits with none of the others.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Model

from observations import ingest, keys, merging, retention
from observations.ingest import NewEvent, SessionRef
from observations.models import ApiKey, Event, Observation, Project, ProjectMerge, Session, Telling
from queueing import broker, direct, kinds
from tests.agents import work
from tests.blocked import waits_for_lock
from tests.postgres import on_postgresql
from tests.posts import hook
from tests.waiting import until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not on_postgresql(), reason="SQLite has one writer at a time"),
]
IDS = [f"0000000{number}-0000-7000-8000-000000000000" for number in range(3)]


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(broker, "publish", lambda job_id, kind: sent.append((job_id, kind)))
    monkeypatch.setattr(broker, "publish_first", lambda job_id, kind: sent.append((job_id, kind)))
    return sent


@pytest.fixture
def session(project: Project) -> Session:
    caught = ingest.capture_hook(project.team_id, project.id, hook("s", 0), origin={})
    return Session.objects.get(pk=caught.event.session_id)


@pytest.fixture
def events(session: Session) -> list[str]:
    """Events that lie in the table in another order than that of their ids; those."""
    (first,) = Event.objects.all()
    for number, event_id in enumerate(reversed(IDS), 2):
        first.pk, first.number, first.dedupe_key = event_id, number, event_id
        first.source_event_id, first.session_id = event_id, session.pk
        first.save(force_insert=True)
    return IDS


@pytest.fixture
def somebody() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as thread:
        yield thread


def with_own_connection(act: Callable[[], Any]) -> Any:
    with closing(connection):
        return act()


def free_meanwhile(
    act: Callable[[], Any], model: type[Model], ids: Sequence[str], somebody: ThreadPoolExecutor
) -> list[str]:
    """Those of the rows that nobody has while `act` waits for the first of them."""
    rows = model._default_manager.filter(pk__in=ids).order_by("pk")
    with transaction.atomic():
        assert rows.filter(pk=ids[0]).select_for_update()
        done: Future[Any] = somebody.submit(with_own_connection, act)
        until(lambda: done.done() or waits_for_lock())
        assert not done.done(), done.result()
        free = list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True))
    done.result(30)
    return free


def test_events_that_are_told_again_with_more_are_changed_in_the_order_of_their_ids(
    project: Project, session: Session, somebody: ThreadPoolExecutor
) -> None:
    def batch(names: Sequence[str], **metadata: Any) -> list[str]:
        told = [
            NewEvent(
                project.id, "tool_use", "api", {}, source_event_id=name, metadata=metadata,
                session=SessionRef(session.id),
            )
            for name in names
        ]  # fmt: skip
        kind = kinds.EVENT_BATCH
        done = ingest.capture(project.team_id, told, origin={}, kind=kind)
        return [one.event.pk for one in done]

    ids = batch("abc")
    assert ids == sorted(ids)
    told_again = partial(batch, "cba", model="sonnet")
    assert free_meanwhile(told_again, Event, ids, somebody) == ids
    assert Event.objects.filter(pk__in=ids, metadata={"model": "sonnet"}).count() == len(ids)


@pytest.mark.parametrize("of_session", [True, False], ids=["of a session", "alone"])
def test_events_that_a_merge_moves_are_changed_in_the_order_of_their_ids(
    of_session: bool, project: Project, events: list[str], somebody: ThreadPoolExecutor
) -> None:
    other = Project.objects.create(team_id=project.team_id, name="other")
    if not of_session:
        Event.objects.filter(pk__in=events).update(session=None)

    def merge() -> None:
        merging.merge(project.team_id, project.id, other.id)

    assert free_meanwhile(merge, Event, events, somebody) == events
    assert not Event.objects.filter(project=project).exists()


@pytest.fixture
def chain(project: Project) -> list[Project]:
    """Projects in the order of their ids: the first is merged into the last."""
    made = [
        Project.objects.create(pk=project_id, team_id=project.team_id, name=project_id)
        for project_id in IDS
    ]
    merging.merge(project.team_id, IDS[0], IDS[-1])
    return made


def test_who_merges_or_undoes_that_takes_all_projects_of_the_chain_in_the_order_of_their_ids(
    chain: list[Project], somebody: ThreadPoolExecutor
) -> None:
    first, target, source = chain

    def merge() -> None:
        merging.merge(source.team_id, source.pk, target.pk)

    def undo() -> None:
        merging.undo(source.team_id, ProjectMerge.objects.get(source=source).pk)

    assert free_meanwhile(merge, Project, IDS, somebody) == IDS
    assert Project.objects.get(pk=first.pk).merged_into == target
    assert free_meanwhile(undo, Project, IDS, somebody) == IDS
    assert Project.objects.get(pk=first.pk).merged_into == source


def test_what_is_merged_into_it_while_its_own_merge_waits_is_locked_in_order_as_well(
    chain: list[Project],
    project: Project,
    somebody: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, target, source = chain
    both, wanted = merging._both, list[set[str]]()

    def merge_another() -> None:
        merging.merge(source.team_id, project.pk, source.pk)

    def crossed(team_id: str, source_id: str, target_id: str, more: Any) -> Any:
        if source_id == source.pk:
            wanted.append(set(more))
        if len(wanted) == 1 and source_id == source.pk:
            somebody.submit(with_own_connection, merge_another).result(30)
        return both(team_id, source_id, target_id, more)

    monkeypatch.setattr(merging, "_both", crossed)
    merging.merge(source.team_id, source.pk, target.pk)
    assert wanted == [{IDS[0]}, {IDS[0], project.pk}]
    assert Project.objects.get(pk=project.pk).merged_into == target


def test_keys_that_a_merge_binds_are_changed_in_the_order_of_their_ids(
    project: Project, somebody: ThreadPoolExecutor
) -> None:
    other = Project.objects.create(team_id=project.team_id, name="other")
    key = keys.create("k", ["*"], team=project.team, project=project).key
    for key_id in reversed(IDS):
        key.pk, key.key_hash = key_id, key_id
        key.save(force_insert=True)

    def merge() -> None:
        merging.merge(project.team_id, project.id, other.id)

    def undo() -> None:
        merging.undo(project.team_id, ProjectMerge.objects.get().pk)

    assert free_meanwhile(merge, ApiKey, IDS, somebody) == IDS
    assert free_meanwhile(undo, ApiKey, IDS, somebody) == IDS


def test_old_tellings_that_somebody_removes_are_left_to_them(session: Session) -> None:
    at = direct.now() - timedelta(days=settings.RETAIN_TELLINGS_DAYS + 1)
    for _ in range(3):
        Telling.objects.create(session=session, moment="prompt", created_at=at)
    first = Telling.objects.earliest("id")
    with ThreadPoolExecutor(1) as somebody, transaction.atomic():
        assert Telling.objects.select_for_update().get(pk=first.pk)
        pruned = somebody.submit(with_own_connection, retention.prune)
        assert pruned.result(60).tellings == 2
    assert Telling.objects.get() == first


def test_who_waits_for_a_session_keeps_nobody_from_counting(
    project: Project,
    session: Session,
    published: list[tuple[str, str]],
    somebody: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "USAGE_METERING", True)
    work(published)
    stop = {**hook("s", 1), "hook_event_name": "Stop"}
    ingest.capture_hook(project.team_id, project.id, stop, origin={})
    summary = list(published)
    ingest.capture_hook(project.team_id, project.id, hook("other", 1), origin={})
    (observed,) = published[len(summary) :]
    with transaction.atomic():
        Session.objects.select_for_update(no_key=True).get(pk=session.pk)
        summarised = somebody.submit(with_own_connection, lambda: work(summary))
        until(lambda: summarised.done() or waits_for_lock())
        with ThreadPoolExecutor(1) as another:
            another.submit(with_own_connection, lambda: work([observed])).result(60)
        assert not summarised.done()
    summarised.result(60)
    assert Observation.objects.filter(kind="summary").count() == 1
