"""What is captured while its project is emptied is worked, or goes with its job."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from django.db import connection, transaction

from observations import ingest, portions, sessions
from observations.ingest import NewEvent, SessionRef
from observations.models import Event, Project, Session
from observations.sessions import NewSession
from queueing import broker, direct, kinds, leases, operations, outbox, states
from queueing.errors import LeaseLost
from queueing.models import GenerationJob, Lane
from tests.postgres import on_postgresql
from tests.posts import hook

pytestmark = pytest.mark.django_db(transaction=True)
crossing = pytest.mark.skipif(not on_postgresql(), reason="SQLite has one writer at a time")
NAME, TICK = "s", timedelta(milliseconds=1)


@pytest.fixture(autouse=True)
def _in_small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "AT_ONCE", 2)
    monkeypatch.setattr(broker, "publish", lambda job_id, kind: None)
    monkeypatch.setattr(broker, "publish_first", lambda job_id, kind: None)


@pytest.fixture
def asked_at(project: Project) -> datetime:
    """When the project was to be emptied: it has a session with jobs that ended, and one more."""
    lived_in(project)
    return direct.now()


def lived_in(project: Project) -> None:
    for number in range(4):
        ingest.capture_hook(project.team_id, project.id, hook(NAME, number), origin={})
    for job in list(GenerationJob.objects.order_by("seq")[:3]):
        operations.cancel(job.id)


def emptied(project: Project, until: datetime) -> Iterator[None]:
    """The emptying, of which each portion is deleted when the next item is asked for."""
    steps, over = portions.delete(project.id, until, portions.Counts()), object()
    while True:
        with transaction.atomic():
            done = next(steps, over) is over
        if done:
            return
        yield


def finish(steps: Iterator[None]) -> None:
    for _ in steps:
        pass


def alone(project: Project) -> Event:
    return told(project, SessionRef())


def of_no_session(project: Project) -> Event:
    """Of a session of another platform, which has the same name and is not known."""
    return told(project, SessionRef(content_session_id=NAME, platform_given=True))


def of_a_namesake(project: Project) -> Event:
    """Of a new session of another platform, which has the same name."""
    new = NewSession(project.id, NAME, NAME, platform_source="codex")
    return told(project, SessionRef(sessions.start(project.team_id, new)[0].id))


def of_the_session(project: Project) -> Event:
    return ingest.capture_hook(project.team_id, project.id, hook(NAME, 9), origin={}).event


def told(project: Project, session: SessionRef) -> Event:
    new = NewEvent(project.id, "tool_use", "api", {"said": "something"}, session=session)
    (caught,) = ingest.capture(project.team_id, [new], origin={}, kind=kinds.EVENT)
    return caught.event


def on_its_way_at(moment: datetime, event: Event) -> None:
    """Have the event be one that arrived at that moment, and was written only now."""
    Event.objects.filter(pk=event.pk).update(created_at=moment)


def is_consistent() -> bool:
    """Whether each event has the job that it came with, and each job its event and its turn."""
    jobs = dict(GenerationJob.objects.values_list("source_id", "state"))
    heads = Lane.objects.values_list("head", flat=True)
    first = [
        GenerationJob.objects.filter(lane=lane, state__in=states.OPEN).order_by("seq")[0].seq
        for lane in Lane.objects.order_by("pk")
    ]
    return (
        jobs == dict.fromkeys(Event.objects.values_list("pk", flat=True), states.QUEUED)
        and list(heads.order_by("pk")) == first
    )


CAPTURES = (alone, of_no_session, of_a_namesake, of_the_session)


@pytest.mark.parametrize("before", [TICK, -TICK], ids=["on its way", "since"])
@pytest.mark.parametrize("capture", CAPTURES)
def test_an_event_and_its_job_stay_or_go_together_whenever_it_is_captured(
    capture: Callable[[Project], Event], before: timedelta, project: Project, asked_at: datetime
) -> None:
    for portions_before in range(20):
        steps = emptied(project, asked_at)
        is_done = len(list(islice(steps, portions_before))) < portions_before
        event = capture(project)
        on_its_way_at(asked_at - before, event)
        finish(steps)
        stays = Event.objects.filter(pk=event.pk).exists()
        assert is_consistent(), portions_before
        if is_done:
            assert stays
            break
        again(project, asked_at)
    else:
        pytest.fail("it never ends")


def again(project: Project, asked_at: datetime) -> None:
    """Empty the project of all, and have it be as it was when it was asked for."""
    finish(emptied(project, direct.now() + timedelta(hours=1)))
    assert not Event.objects.exists()
    assert not GenerationJob.objects.exists()
    lived_in(project)
    for model in (Event, Session, GenerationJob):
        model._default_manager.update(created_at=asked_at)


def test_what_came_since_stays_whatever_its_job_says_of_the_time(project: Project) -> None:
    event = ingest.capture_hook(project.team_id, project.id, hook(NAME, 1), origin={}).event
    until = event.created_at - timedelta(microseconds=1)
    # Another clock, or the same in whole milliseconds.
    GenerationJob.objects.update(created_at=until - TICK)
    finish(emptied(project, until))
    assert Event.objects.get() == event
    assert is_consistent()


def test_a_worker_that_has_a_job_which_goes_from_before_one_that_stays_loses_its_lease(
    project: Project, asked_at: datetime
) -> None:
    head = GenerationJob.objects.get(state=states.QUEUED)
    lease = leases.claim(head.pk, "worker")
    assert lease
    stays = of_no_session(project)
    finish(emptied(project, asked_at))
    with pytest.raises(LeaseLost):
        leases.settle(lease, dict, worker="worker", go_on=False)
    assert is_consistent()
    next_one = leases.claim(GenerationJob.objects.get(source_id=stays.pk).pk, "worker")
    assert next_one
    assert next_one.head.source_id == stays.pk


@crossing
@pytest.mark.parametrize("capture", CAPTURES)
def test_what_is_captured_between_a_look_at_lanes_and_their_removal_is_worked(
    capture: Callable[[Project], Event],
    project: Project,
    asked_at: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hold, captured = outbox.hold, list[Event]()

    def crossed(keys: Any) -> list[int]:
        if not captured:
            with ThreadPoolExecutor(1) as somebody:
                captured.append(somebody.submit(with_own_connection, capture, project).result(30))
        return hold(keys)

    monkeypatch.setattr(outbox, "hold", crossed)
    finish(emptied(project, asked_at))
    assert captured
    assert is_consistent()
    assert Event.objects.exists() == (capture is not of_the_session)


def with_own_connection(capture: Callable[[Project], Event], project: Project) -> Event:
    with closing(connection):
        return capture(project)
