"""Who locks a row to write it is in nobody's way who just refers to it.

PostgreSQL asks at the commit whether what a row refers to is there still, and waits for whoever
may be removing that. A worker holds its lane then, for which others wait who hold the session.
"""

import ast
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.utils import timezone

from observations import ingest, memories, merging, sessions
from observations.models import Event, Observation, ObservationSource, Project, Session, Team
from observations.sessions import NewSession
from queueing import broker
from queueing.models import Lane
from tests.blocked import waits_for_lock
from tests.postgres import on_postgresql
from tests.posts import hook
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]
# Who deletes rows has those wait that would refer to them.
REMOVES = {"observations/memories.py", "observations/portions.py"}


@pytest.fixture(autouse=True)
def _unpublished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "publish", lambda job_id, kind: None)
    monkeypatch.setattr(broker, "publish_first", lambda job_id, kind: None)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.fixture
def known(project: Project) -> Observation:
    """An observation of a session that has a lane, and one event."""
    caught = ingest.capture_hook(project.team_id, project.id, hook("s", 1), origin={})
    return observation(caught.event)


def observation(event: Event) -> Observation:
    now = timezone.now()
    made: Observation = Observation.objects.create(
        team_id=event.team_id, project_id=event.project_id, session_id=event.session_id,
        content="The till is mended.", occurred_at=now, created_at=now, updated_at=now,
    )  # fmt: skip
    ObservationSource.objects.create(
        observation=made, event=event, source_type="event", source_id=event.id, created_at=now
    )
    return made


class Settling:
    """A worker that has written what it made for an event, and holds the lane until told."""

    def __init__(self, about: Observation) -> None:
        self.about = about
        self.wrote, self.may_end = threading.Event(), threading.Event()

    def run(self) -> None:
        with closing(connection), transaction.atomic():
            event = Event.objects.get()
            assert event.session
            Lane.objects.select_for_update(no_key=True).get(key=event.session.lane_key)
            Observation.objects.filter(pk=self.about.pk).update(updated_at=timezone.now())
            observation(event)
            self.wrote.set()
            assert self.may_end.wait(30)


def end(one: Observation) -> None:
    assert one.session_id
    sessions.end(one.team_id, one.session_id, project_id=one.project_id, origin={})


def close_idle(_: Observation) -> None:
    assert sessions.close_idle(timezone.now() + timedelta(days=9)) == 1


def start_again(one: Observation) -> None:
    names = ("external_session_id", "content_session_id", "agent_id", "platform_source")
    known = Session.objects.values(*names).get()
    new = NewSession(one.project_id, metadata={"model": "sonnet"}, **known)
    assert not sessions.start(one.team_id, new)[1]


def merge(one: Observation) -> None:
    other = Project.objects.create(team_id=one.team_id, name="other")
    merging.merge(one.team_id, one.project_id, other.id)


def revise(one: Observation) -> None:
    changed = memories.Revision(title="The till")
    memories.revise(one.team_id, one.project_id, one.id, changed)


@pytest.mark.skipif(not on_postgresql(), reason="SQLite has one writer at a time")
@pytest.mark.parametrize("act", [end, close_idle, start_again, merge, revise])
def test_a_worker_that_settles_and_who_writes_to_its_session_do_not_wait_for_each_other(
    act: Callable[[Observation], None], known: Observation, pool: ThreadPoolExecutor
) -> None:
    worker = Settling(known)
    settled = pool.submit(worker.run)
    assert worker.wrote.wait(30)
    done = pool.submit(with_own_connection, act, known)
    until(lambda: waits_for_lock() or done.done())
    worker.may_end.set()
    settled.result(30)
    done.result(30)
    assert Observation.objects.count() == 2
    assert Session.objects.count() == Team.objects.count() == 1


def with_own_connection(act: Callable[[Observation], None], known: Observation) -> None:
    with closing(connection):
        act(known)


def test_only_who_removes_rows_locks_them_against_those_who_refer_to_them() -> None:
    packages = ("claudemem", "observations", "queueing")
    files = [file for name in packages for file in (ROOT / name).rglob("*.py")]
    locking = {str(file.relative_to(ROOT)) for file in files if locks_keys(file)}
    assert locking == REMOVES


def locks_keys(file: Path) -> bool:
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    named = [call for call in calls if ast.unparse(call.func).endswith(".select_for_update")]
    return any("no_key" not in [each.arg for each in call.keywords] for call in named)
