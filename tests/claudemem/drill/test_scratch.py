"""Whose scratch team it is, and which of them may be removed."""

import os
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.utils import timezone

from claudemem.drill import conduct, scratch
from claudemem.drill.errors import CannotRun
from claudemem.drill.traffic import Traffic
from observations.models import Project, Team
from queueing import pauses
from queueing.pauses import Subject
from tests.stack import free_port

pytestmark = pytest.mark.django_db(transaction=True)


def named(host: str, pid: int = 1, token: str = "never") -> Team:
    return Team.objects.create(name=f"drill-0123456789ab of process {pid} ({token}) on {host}")


def removed() -> list[str]:
    """What is said of what is removed."""
    said: list[str] = []
    conduct.clean(said.append)
    return said


@pytest.fixture(autouse=True)
def _no_store(settings: LazySettings) -> None:
    settings.QUEUE_ENGINE = "database"


def test_ours_is_held_for_others_and_known_to_run() -> None:
    mine = scratch.make()
    assert [str(hold.subject) for hold in pauses.held()] == [f"team:{mine.team_id}"]
    assert scratch.found() == [mine]
    assert f"process {os.getpid()} " in mine.name
    with pytest.raises(CannotRun, match="is running"):
        conduct.clean(print)


def test_it_is_gone_with_its_pause_when_it_is_removed() -> None:
    mine = scratch.make()
    scratch.key(scratch.project(mine, "step"))
    scratch.remove(mine)
    assert not Team.objects.exists()
    assert not Project.objects.exists()
    assert pauses.held() == []


def test_what_a_process_that_is_gone_has_left_is_removed() -> None:
    made = scratch.make()
    left = Team.objects.get()
    left.name = left.name.replace(f"process {os.getpid()} ", "process 1 ")
    left.save()
    assert removed() == [f"{made.label} was removed, which a drill that was killed had left behind"]
    assert not Team.objects.exists()
    assert not pauses.resume(Subject("team", made.team_id))


def test_one_on_another_host_is_believed_for_a_while() -> None:
    left = named("elsewhere")
    with pytest.raises(CannotRun, match="15 minutes"):
        conduct.clean(print)
    Team.objects.filter(pk=left.pk).update(created_at=timezone.now() - timedelta(minutes=16))
    assert len(removed()) == 1


@pytest.mark.parametrize(
    "name", ["drill-team", "drill-0123456789ab", "drills of process 1 (x) on y"]
)
def test_a_team_that_only_sounds_like_one_is_left_alone(name: str) -> None:
    Team.objects.create(name=name)
    assert removed() == []
    assert Team.objects.filter(name=name).exists()


def test_where_no_server_answers_nothing_is_begun() -> None:
    said: list[str] = []
    with pytest.raises(CannotRun, match="claudemem start"):
        conduct.conduct(
            f"http://127.0.0.1:{free_port()}", ["hooks"], print, said.append, gentle=True
        )
    assert said == []
    assert not Team.objects.exists()


def test_one_whose_making_was_interrupted_is_removed_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Traffic, "knock", lambda _: None)
    monkeypatch.setattr(pauses, "hold", interrupted)
    with pytest.raises(KeyboardInterrupt):
        conduct.conduct("http://127.0.0.1:1", ["hooks"], print, print, gentle=True)
    assert not Team.objects.exists()
