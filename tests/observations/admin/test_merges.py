"""Projects in the admin: what they are known by; merged, and brought back."""

import pytest
from django.test import Client

from observations.models import Project, ProjectAlias, ProjectMerge, Session, Team
from queueing.models import GenerationJob
from tests.observations.admin.conftest import Memory, member, page_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def store(project: Project) -> Project:
    made: Project = Project.objects.create(team=project.team, name="store")
    ProjectAlias.objects.create(
        team=project.team, project=made, sort="remote", key="github.com/acme/<store>"
    )
    return made


def merge_page(project: Project) -> str:
    return f"/admin/observations/project/{project.pk}/merge/"


def text(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_project_shows_what_it_is_known_by(browser: Client, store: Project) -> None:
    page = text(browser, page_of(store))

    assert "github.com/acme/&lt;store&gt;" in page
    assert "repository" in page
    assert merge_page(store) in page


def test_nothing_is_merged_before_it_was_shown_and_confirmed(
    browser: Client, project: Project, store: Project, memory: Memory
) -> None:
    session = memory(3, "weasel")
    assert 'name="into"' in text(browser, merge_page(project))

    shown = browser.post(merge_page(project), {"into": store.pk}).content.decode()
    assert "1 session with 3 events and 3 observations" in shown
    assert "3 jobs still to be done" in shown
    assert not ProjectMerge.objects.exists()

    answer = browser.post(merge_page(project), {"into": store.pk, "confirmed": "yes"}, follow=True)
    assert "can be undone here" in answer.content.decode()
    session.refresh_from_db()
    assert session.project_id == store.pk
    assert set(GenerationJob.objects.values_list("project_id", flat=True)) == {store.pk}
    assert ProjectMerge.objects.get().origin["actor_id"] == "user:root"


def test_what_was_merged_is_brought_back(
    browser: Client, project: Project, store: Project, memory: Memory
) -> None:
    memory(2, "weasel")
    browser.post(merge_page(project), {"into": store.pk, "confirmed": "yes"})
    back = f"/admin/observations/project/{project.pk}/unmerge/"
    assert back in text(browser, page_of(store))
    assert back in text(browser, page_of(project))
    assert "come back" in text(browser, back)
    assert Session.objects.get().project_id == store.pk

    answer = browser.post(back, {"confirmed": "yes"}, follow=True)
    assert "of its own again" in answer.content.decode()
    assert Session.objects.get().project_id == project.pk


def test_a_merged_project_is_in_no_menu(browser: Client, project: Project, store: Project) -> None:
    assert f"?project={project.pk}" in text(browser, "/admin/observations/session/")
    browser.post(merge_page(project), {"into": store.pk, "confirmed": "yes"})

    assert f"?project={project.pk}" not in text(browser, "/admin/observations/session/")
    assert project.pk in text(browser, "/admin/observations/project/")


def test_another_teams_project_is_no_target(browser: Client, project: Project) -> None:
    other = Project.objects.create(team=Team.objects.create(name="others"), name="theirs")
    assert "theirs" not in text(browser, merge_page(project))

    answer = browser.post(merge_page(project), {"into": other.pk, "confirmed": "yes"})
    assert "Select a valid choice" in answer.content.decode()
    assert not ProjectMerge.objects.exists()


@pytest.mark.parametrize("page", ["merge", "unmerge"])
def test_who_may_only_look_merges_nothing(
    client: Client, project: Project, store: Project, page: str
) -> None:
    member(client, project.team, "viewer")
    address = f"/admin/observations/project/{project.pk}/{page}/"

    assert client.get(address).status_code == 404
    assert client.post(address, {"into": store.pk, "confirmed": "yes"}).status_code == 404
    assert merge_page(project) not in text(client, page_of(project))
    assert not ProjectMerge.objects.exists()


def test_sessions_are_found_by_branch_and_part(
    browser: Client, project: Project, memory: Memory
) -> None:
    for branch, part in (("main", None), ("fix/one", "web")):
        session = memory(1, f"on {branch}")
        session.branch, session.part = branch, part
        session.save()
    listed = f"/admin/observations/session/?project={project.pk}"

    assert "branch=fix%2Fone" in text(browser, listed)
    assert "on main" not in text(browser, f"{listed}&branch=fix/one")
    assert "on fix/one" in text(browser, f"{listed}&part=web")
