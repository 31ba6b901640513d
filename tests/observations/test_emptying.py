"""A project that is emptied remembers nothing, and what works for it meanwhile does no harm."""

from typing import Any

import pytest

from observations import audit, emptying, ingest, memories
from observations.errors import Conflict, NotFound
from observations.models import AuditEntry, Event, Observation, Project, Session, Team
from queueing import leases
from queueing.errors import LeaseLost
from queueing.models import GenerationJob, GenerationJobEvent, Lane
from tests.posts import hook

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    audit.attend()
    monkeypatch.setattr(emptying, "AT_ONCE", 2)


@pytest.fixture
def lived_in() -> Project:
    team = Team.objects.create(name="weasels")
    project = Project.objects.create(team=team, name="weasel")
    for session in "abc":
        for number in range(3):
            ingest.capture_hook(team.id, project.id, hook(session, number), origin={})
    memories.remember(team.id, project.id, content="The weasel lives in the hills")
    return project


def left(project: Project) -> dict[str, int]:
    models: list[Any] = [Event, Observation, Session, GenerationJob, Lane]
    counted = {
        model.__name__: model._default_manager.filter(project_id=project.id).count()
        for model in models
    }
    return {name: count for name, count in counted.items() if count}


def test_more_than_goes_at_once_goes_in_portions(lived_in: Project) -> None:
    counts = emptying.empty(lived_in.team_id, lived_in.id)
    assert (counts.observations, counts.events, counts.sessions, counts.jobs) == (1, 9, 3, 9)
    assert left(lived_in) == {}
    assert not GenerationJobEvent.objects.exists()


def test_a_worker_that_has_one_of_its_jobs_loses_its_lease(lived_in: Project) -> None:
    job = GenerationJob.objects.order_by("seq")[0]
    lease = leases.claim(job.id, "worker")
    assert lease is not None
    emptying.empty(lived_in.team_id, lived_in.id)
    with pytest.raises(LeaseLost):
        leases.settle(lease, dict, worker="worker", go_on=False)
    assert left(lived_in) == {}


def test_a_session_that_goes_on_meanwhile_goes_with_what_came(
    lived_in: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget, posted = emptying._forget, iter(range(3, 5))

    def capturing(keys: Any, counts: Any) -> None:
        forget(keys, counts)
        for number in [*posted][:1]:
            ingest.capture_hook(lived_in.team_id, lived_in.id, hook("a", number), origin={})

    monkeypatch.setattr(emptying, "_forget", capturing)
    emptying.empty(lived_in.team_id, lived_in.id)
    assert left(lived_in) == {}


def test_a_session_that_begins_meanwhile_stays_whole(
    lived_in: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, once = emptying._end, iter("z")

    def capturing(sessions: Any, counts: Any) -> None:
        for name in once:
            ingest.capture_hook(lived_in.team_id, lived_in.id, hook(name, 1), origin={})
        end(sessions, counts)

    monkeypatch.setattr(emptying, "_end", capturing)
    emptying.empty(lived_in.team_id, lived_in.id)
    assert left(lived_in) == {"Event": 1, "Session": 1, "GenerationJob": 1, "Lane": 1}


def test_a_session_that_cannot_be_had_is_given_up_and_what_went_is_entered(
    lived_in: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget, number = emptying._forget, iter(range(3, 100))

    def capturing(keys: Any, counts: Any) -> None:
        forget(keys, counts)
        ingest.capture_hook(lived_in.team_id, lived_in.id, hook("a", next(number)), origin={})

    with monkeypatch.context() as busy:
        busy.setattr(emptying, "_forget", capturing)
        with pytest.raises(Conflict):
            emptying.empty(lived_in.team_id, lived_in.id)
    entry = AuditEntry.objects.get(action="project.memory_purged")
    assert entry.details["agentEvents"] >= 9
    emptying.empty(lived_in.team_id, lived_in.id)
    assert left(lived_in) == {}


def test_another_teams_project_is_not_there(lived_in: Project) -> None:
    before = left(lived_in)
    with pytest.raises(NotFound):
        emptying.empty(Team.objects.create(name="strangers").id, lived_in.id)
    assert left(lived_in) == before
    assert not AuditEntry.objects.filter(action="project.memory_purged").exists()
