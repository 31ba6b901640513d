"""Shares in the admin: everybody sees their own, who sees all teams changes them."""

import pytest
from django.test import Client

from observations.models import AuditEntry, Project, Team
from queueing.models import Share
from tests.observations.admin.conftest import member

LIST = "/admin/queueing/share/"


@pytest.fixture
def foreign(db: None) -> Share:
    team = Team.objects.create(name="the others")
    return Share.objects.create(team_id=team.pk, weight=7)


def test_a_share_is_added_changed_and_removed(browser: Client, project: Project) -> None:
    given = {"team": project.team_id, "project": project.pk, "weight": "3", "max_in_flight": "4"}
    browser.post(f"{LIST}add/", given)
    row = Share.objects.get()
    assert (row.team_id, row.project_id, row.weight, row.max_in_flight) == (
        project.team_id, project.pk, 3, 4,
    )  # fmt: skip
    assert project.name in browser.get(LIST).content.decode()
    browser.post(f"{LIST}{row.pk}/change/", {"weight": "2", "max_in_flight": ""})
    row.refresh_from_db()
    assert (row.weight, row.max_in_flight) == (2, None)
    browser.post(f"{LIST}{row.pk}/delete/", {"post": "yes"})
    assert not Share.objects.exists()
    deeds = AuditEntry.objects.filter(actor_id="user:root").order_by("id")
    assert [entry.action for entry in deeds] == [
        "share.set_by_operator", "share.set_by_operator", "share.cleared_by_operator",
    ]  # fmt: skip


@pytest.mark.parametrize(("weight", "most"), [("0", ""), ("1001", ""), ("1", "0")])
def test_what_would_stop_a_team_is_refused(
    browser: Client, project: Project, weight: str, most: str
) -> None:
    given = {"team": project.team_id, "project": "", "weight": weight, "max_in_flight": most}
    assert browser.post(f"{LIST}add/", given).status_code == 200
    assert not Share.objects.exists()


def test_nobody_has_two_shares_and_no_project_is_another_teams(
    browser: Client, project: Project, foreign: Share
) -> None:
    twice = {"team": foreign.team_id, "project": "", "weight": "1"}
    assert "already" in browser.post(f"{LIST}add/", twice).content.decode()
    crossed = {"team": foreign.team_id, "project": project.pk, "weight": "1"}
    assert "another team" in browser.post(f"{LIST}add/", crossed).content.decode()
    assert Share.objects.get() == foreign


@pytest.mark.parametrize("role", ["admin", "viewer"])
def test_members_see_the_shares_of_their_teams_and_change_none(
    client: Client, project: Project, foreign: Share, role: str
) -> None:
    ours = Share.objects.create(team_id=project.team_id, weight=5)
    member(client, project.team, role)
    shown = client.get(LIST).content.decode()
    assert project.team.name in shown
    assert "the others" not in shown
    assert client.get(f"{LIST}add/").status_code == 403
    assert client.post(f"{LIST}{ours.pk}/change/", {"weight": "9"}).status_code == 403
    assert client.get(f"{LIST}{foreign.pk}/change/").status_code == 302
    ours.refresh_from_db()
    assert ours.weight == 5
