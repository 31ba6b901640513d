"""What is switched on in which project."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from observations import switches
from observations.hook_policies import ALL_ON, Switches
from observations.models import Project

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(switches, "KEEP", 1000.0)
    switches.known.forget()
    yield
    switches.known.forget()


def test_usually_all_is_on_and_one_query_tells_it_for_all_who_ask(project: Project) -> None:
    with CaptureQueriesContext(connection) as asked:
        for _ in range(20):
            assert switches.are_all_on()
            assert switches.of(project.id) == ALL_ON
    assert len(asked) == 1


def test_what_is_off_in_a_project_is_off_there_alone(project: Project) -> None:
    other = Project.objects.create(team=project.team, name="other", context=False)
    assert not switches.are_all_on()
    assert switches.of(other.id) == Switches(capture=True, context=False)
    assert switches.of(project.id) == ALL_ON


def test_a_switch_counts_once_it_is_asked_anew(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert switches.are_all_on()
    Project.objects.filter(pk=project.pk).update(capture=False)
    assert switches.are_all_on()
    monkeypatch.setattr(switches, "KEEP", -1.0)
    assert not switches.of(project.id).capture
