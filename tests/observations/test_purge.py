"""A team that is purged is gone with all that was its own, and nobody else misses anything."""

from typing import Any

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.utils import timezone

from observations import (
    audit,
    counters,
    ingest,
    keys,
    memories,
    merging,
    portions,
    purge,
    recall,
    scopes,
)
from observations.models import Event, Project, ProjectAlias, Session, Team, Telling
from observations.quotas import Limits
from queueing import leases, pauses
from queueing.errors import LeaseLost
from queueing.models import GenerationJob
from queueing.pauses import Subject
from tests.posts import hook

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _audited() -> None:
    audit.attend()


def lived_in(name: str) -> Project:
    """A project of a team of that name, in which something of everything is kept."""
    team = Team.objects.create(name=name)
    project = Project.objects.create(team=team, name=name)
    key = keys.create(name, [scopes.MEMORIES_WRITE], team=team, project=project).key
    call = counters.Call(key.id, team.id, project.id, True, timezone.now())
    counters.count(call, Limits(per_minute=9, metering=True))
    for number in range(3):
        ingest.capture_hook(team.id, project.id, hook(name, number), origin={})
    session = Session.objects.get(project=project)
    Telling.objects.create(session=session, moment="prompt", created_at=timezone.now())
    memories.remember(team.id, project.id, content=f"The {name} lives in the hills")
    other = Project.objects.create(team=team, name=f"{name}s")
    ProjectAlias.objects.create(team=team, project=other, sort="disk", key=f"/src/{name}")
    memories.remember(team.id, other.id, content="Told elsewhere")
    merging.merge(team.id, other.id, project.id)
    pauses.hold(Subject("team", team.id), "holidays")
    with transaction.atomic():
        pauses.hold_quota(team.id, "spent")
    return project


def rows() -> dict[str, list[dict[str, Any]]]:
    """All rows of ours."""
    ours = [*apps.get_app_config("observations").get_models(),
            *apps.get_app_config("queueing").get_models()]  # fmt: skip
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model in ours}


def test_nothing_of_it_is_left_and_nothing_of_others_is_touched() -> None:
    stays = lived_in("badger")
    before = rows()
    goes = lived_in("weasel")
    unmade = {"Clearance", "Member", "ObservationSource", "Canary", "Share", "Pruning", "Boot"}
    after = rows()
    assert all(len(after[name]) > len(before[name]) for name in after.keys() - unmade)
    assert purge.purge(goes.team_id) == 3
    assert rows() == before
    assert recall.search(goes.id, "hills").observations == ()
    assert len(recall.search(stays.id, "hills").observations) == 1


def test_a_worker_that_has_one_of_its_jobs_loses_its_lease() -> None:
    project = lived_in("weasel")
    pauses.resume(Subject("team", project.team_id))
    pauses.resume_quota(project.team_id)
    job = GenerationJob.objects.filter(project_id=project.id).order_by("seq")[0]
    lease = leases.claim(job.id, "worker")
    assert lease is not None
    purge.purge(project.team_id)
    with pytest.raises(LeaseLost):
        leases.settle(lease, dict, worker="worker", go_on=False)


def test_what_was_interrupted_is_finished_by_doing_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = rows()
    project = lived_in("weasel")
    with monkeypatch.context() as broken:
        broken.setattr(purge, "_delete", lambda rows: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            purge.purge(project.team_id)
    assert not Event.objects.exists()
    assert Team.objects.filter(pk=project.team_id).exists()
    assert purge.purge(project.team_id) == 0
    assert rows() == before


def test_many_entries_are_taken_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "AT_ONCE", 2)
    monkeypatch.setattr(portions, "AT_ONCE", 2)
    told: list[int] = []
    before = rows()
    project = lived_in("weasel")
    purge.purge(project.team_id, lambda counts: told.append(counts.events))
    assert rows() == before
    assert told[-1] == 3
    assert len(set(told)) > 2
    assert not connection.in_atomic_block
