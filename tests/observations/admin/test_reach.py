"""Members see and act on what belongs to their teams; what belongs to others is not there."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.utils import timezone

from observations import keys
from observations.models import (
    ApiKey,
    AuditEntry,
    Event,
    Member,
    Observation,
    Project,
    Session,
    Team,
)
from queueing import states
from queueing.models import GenerationJob, Lane
from tests.observations.admin.conftest import Memory, member, page_of

MODELS = (
    Team,
    Member,
    Project,
    ApiKey,
    Session,
    Event,
    Observation,
    GenerationJob,
    Lane,
    AuditEntry,
)


@pytest.fixture
def foreign(memory: Memory) -> Session:
    """A session of another team, with all that belongs to one."""
    team = Team.objects.create(name="the others")
    project = Project.objects.create(team=team, name="secret project")
    user = User.objects.create(username="theo", is_staff=True)
    Member.objects.create(user=user, team=team, role="admin")
    keys.create("their key", ["*"], team=team, project=project)
    return memory(2, "Their plans", project=project)


def _list(model: type[Model], query: str = "") -> str:
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/{query}"


def _rows(client: Client, model: type[Model], query: str = "") -> list[Model]:
    answer = client.get(_list(model, query), follow=True)
    assert answer.status_code == 200, (model, query)
    return list(answer.context["cl"].result_list)


def _of(session: Session) -> Iterator[Model]:
    """One row of each model, of the session's team."""
    yield session.team
    yield session
    for model in (Member, Project, ApiKey, Event, Observation):
        yield model._default_manager.filter(team=session.team_id)[0]
    yield GenerationJob.objects.filter(team_id=session.team_id)[0]
    yield AuditEntry.objects.filter(team_id=session.team_id)[0]
    yield Lane.objects.get(project_id=session.project_id)


@pytest.mark.parametrize("role", ["admin", "viewer"])
@pytest.mark.parametrize("model", MODELS)
def test_a_member_sees_the_rows_of_the_team_and_no_others(
    client: Client,
    memory: Memory,
    project: Project,
    foreign: Session,
    model: type[Model],
    role: str,
) -> None:
    ours = memory(2)
    keys.create("our key", ["*"], team=ours.team, project=ours.project)
    member(client, ours.team, role)
    mine = {row for row in _of(ours) if type(row) is model}
    theirs = {row for row in _of(foreign) if type(row) is model}
    seen = set(_rows(client, model))
    assert mine <= seen
    assert not theirs & seen


def test_a_superuser_sees_all(browser: Client, memory: Memory, foreign: Session) -> None:
    memory(1)
    for row in _of(foreign):
        assert row in _rows(browser, type(row))
        assert browser.get(page_of(row)).status_code == 200


@pytest.mark.parametrize("role", ["admin", "viewer"])
def test_a_foreign_row_answers_like_one_that_is_not_there(
    client: Client, memory: Memory, foreign: Session, role: str
) -> None:
    member(client, memory(1).team, role)
    for row in _of(foreign):
        page = page_of(row)
        gone = page.replace(str(row.pk), "99999999" if str(row.pk).isdecimal() else "0-0-0")
        there, absent = client.get(page), client.get(gone)
        assert there.status_code == absent.status_code == 302, row
        assert there.headers["Location"] == absent.headers["Location"] == "/admin/"
        for verb in ("delete/", "history/"):
            told = [client.get(one.replace("change/", verb)) for one in (page, gone)]
            assert told[0].status_code == told[1].status_code, (row, verb)
            assert "Their plans" not in told[0].content.decode()


def test_no_filter_or_search_leads_out_of_the_team(
    client: Client, memory: Memory, foreign: Session
) -> None:
    member(client, memory(1).team)
    event, row = foreign.events.all()[0], foreign.observations.all()[0]
    job = GenerationJob.objects.filter(team_id=foreign.team_id)[0]
    for model, query in (
        (Event, f"project={foreign.project_id}"),
        (Event, f"session={foreign.pk}"),
        (Event, f"q={foreign.content_session_id}"),
        (Event, f"q={event.pk}"),
        (Event, "q=plans"),
        (Session, f"q={foreign.pk}"),
        (Session, "q=plans"),
        (Observation, "q=plans"),
        (Observation, f"q=plans&project={foreign.project_id}"),
        (Observation, f"q={row.number}"),
        (Observation, f"event={event.pk}"),
        (GenerationJob, f"lane={job.lane_id}"),
        (GenerationJob, f"q={job.pk}"),
        (Lane, f"project={foreign.project_id}"),
        (ApiKey, f"team={foreign.team_id}"),
        (AuditEntry, f"team={foreign.team_id}"),
        (AuditEntry, f"q={ApiKey.objects.get(team=foreign.team_id).pk}"),
        (Member, "q=theo"),
        (Project, f"team={foreign.team_id}"),
    ):
        answer = client.get(_list(model, f"?{query}"), follow=True)
        assert list(answer.context["cl"].result_list) == [], (model, query)
        body = answer.content.decode().replace('value="Their plans"', "")
        for words in ("Their plans", "the others", "secret project"):
            assert words not in body, (model, query)


def test_no_choice_offers_a_foreign_team_or_project(
    client: Client, memory: Memory, foreign: Session
) -> None:
    ours = memory(1)
    member(client, ours.team)
    for field, mine in (("team", ours.team), ("project", ours.project)):
        asked = f"app_label=observations&model_name=apikey&field_name={field}&term="
        found = client.get(f"/admin/autocomplete/?{asked}").json()["results"]
        assert [one["id"] for one in found] == [mine.pk]
    form = {"name": "k", "scopes": ["*"], "team": foreign.team_id, "project": ""}
    refused = client.post(_list(ApiKey, "add/"), form)
    assert "Select a valid choice" in refused.content.decode()
    form = {"name": "k", "scopes": ["*"], "team": "", "project": foreign.project_id}
    assert client.post(_list(ApiKey, "add/"), form).status_code == 200
    assert not ApiKey.objects.filter(name="k").exists()


def _post(client: Client, model: type[Model], action: str, *rows: Model) -> str:
    form = {
        "action": action, "index": "0", "_selected_action": [row.pk for row in rows],
        "confirmed": "yes", "post": "yes",
    }  # fmt: skip
    return client.post(_list(model), form, follow=True).content.decode()


def test_actions_leave_foreign_rows_alone(client: Client, memory: Memory, foreign: Session) -> None:
    ours = memory(1)
    member(client, ours.team)
    their_key, their_job = (
        ApiKey.objects.get(team=foreign.team_id),
        GenerationJob.objects.filter(team_id=foreign.team_id)[0],
    )
    our_job = GenerationJob.objects.get(team_id=ours.team_id)
    _post(client, ApiKey, "revoke_keys", their_key)
    _post(client, GenerationJob, "cancel_jobs", their_job, our_job)
    _post(client, Observation, "delete_selected", foreign.observations.all()[0])
    their_key.refresh_from_db()
    assert their_key.revoked_at is None
    assert dict(GenerationJob.objects.values_list("pk", "state")) == {
        our_job.pk: states.CANCELLED,
        **dict.fromkeys(
            GenerationJob.objects.filter(team_id=foreign.team_id).values_list("pk", flat=True),
            states.QUEUED,
        ),
    }
    assert foreign.observations.count() == 2


def test_a_viewer_changes_nothing(client: Client, memory: Memory, published: list[str]) -> None:
    ours = memory(1)
    minted = keys.create("our key", ["*"], team=ours.team)
    user = member(client, ours.team, "viewer")
    job, row = GenerationJob.objects.get(), ours.observations.get()
    GenerationJob.objects.update(state=states.FAILED)
    assert 'value="retry_jobs"' not in client.get(page_of(job)).content.decode()
    _post(client, GenerationJob, "retry_jobs", job)
    _post(client, ApiKey, "revoke_keys", minted.key)
    _post(client, Observation, "delete_selected", row)
    assert GenerationJob.objects.get().state == states.FAILED
    assert keys.authenticate(minted.raw)
    for address in (
        _list(ApiKey, "add/"), _list(Project, "add/"), _list(Team, "add/"), _list(Member, "add/"),
        page_of(row).replace("change/", "delete/"),
        page_of(Member.objects.get(user=user)).replace("change/", "delete/"),
    ):  # fmt: skip
        assert client.get(address).status_code == 403, address
    for one in (minted.key, ours.team, ours.project, Member.objects.get(user=user)):
        assert client.post(page_of(one), {"name": "other", "role": "admin"}).status_code == 403
    assert Member.objects.get(user=user).role == "viewer"


def test_an_admin_of_one_team_only_looks_at_another(
    client: Client, memory: Memory, foreign: Session, published: list[str]
) -> None:
    ours = memory(1)
    user = member(client, ours.team, "admin")
    Member.objects.create(user=user, team=foreign.team, role="viewer")
    theirs = GenerationJob.objects.filter(team_id=foreign.team_id)[0]
    mine = GenerationJob.objects.get(team_id=ours.team_id)
    assert 'value="cancel_jobs"' in client.get(page_of(mine)).content.decode()
    assert 'value="cancel_jobs"' not in client.get(page_of(theirs)).content.decode()
    told = _post(client, GenerationJob, "cancel_jobs", theirs)
    assert "You may look at these, but not change them." in told
    _post(client, GenerationJob, "cancel_jobs", theirs, mine)
    assert GenerationJob.objects.get(pk=theirs.pk).state == states.QUEUED
    assert GenerationJob.objects.get(pk=mine.pk).state == states.CANCELLED


def test_the_queues_of_sessions_are_cleared_by_those_who_may_act_once_they_confirmed(
    client: Client, memory: Memory, foreign: Session, published: list[str]
) -> None:
    ours = memory(2)
    lane = Lane.objects.get(key=ours.lane_key)
    GenerationJob.objects.filter(lane=lane).update(state=states.QUEUED)
    theirs = GenerationJob.objects.filter(team_id=foreign.team_id)
    theirs.update(state=states.QUEUED)
    member(client, ours.team, "admin")
    form = {"action": "clear_queues", "_selected_action": [ours.pk, foreign.pk], "index": "0"}
    question = client.post(_list(Session, f"?project={ours.project_id}"), form)
    assert "Clear the queue of 1 session?" in question.content.decode()
    assert set(GenerationJob.objects.values_list("state", flat=True)) == {states.QUEUED}
    assert "2 jobs cancelled" in _post(client, Session, "clear_queues", ours, foreign)
    assert set(GenerationJob.objects.filter(lane=lane).values_list("state", flat=True)) == {
        states.CANCELLED
    }
    assert set(theirs.values_list("state", flat=True)) == {states.QUEUED}


def test_a_member_is_led_to_the_project_of_the_latest_session(
    client: Client, memory: Memory, team: Team
) -> None:
    older, newest = (Project.objects.create(team=team, name=name) for name in "ab")
    memory(1, "old", project=newest)
    Session.objects.update(started_at="2020-01-01T00:00Z")
    memory(1, "new", project=older)
    member(client, team)
    for model in (Session, Event, Observation, GenerationJob, Lane):
        answer = client.get(_list(model, "?within=day" if model is Event else ""))
        assert f"project={older.pk}" in answer.headers["Location"], model
    body = client.get(_list(Session, f"?project={older.pk}")).content.decode()
    assert "By project" in body


def test_a_member_of_a_team_without_projects_sees_empty_lists(client: Client, team: Team) -> None:
    member(client, team)
    for model in (Session, Event, Observation, GenerationJob, Lane, Project, ApiKey):
        assert _rows(client, model) == []
    assert client.get("/admin/").status_code == 200


def test_what_failed_last_is_told_first_however_old_its_job_is(
    client: Client, memory: Memory
) -> None:
    made = [memory(1, text) for text in ("a", "b")]
    rows = [GenerationJob.objects.get(lane__key=session.lane_key) for session in made]
    for ago, row in enumerate(rows):
        at = timezone.now() - timedelta(hours=ago)
        GenerationJob.objects.filter(pk=row.pk).update(state=states.FAILED, failed_at=at)
    member(client, made[0].team)
    told = [one.pk for one, _ in client.get("/admin/").context["failures"]]
    assert told == [row.pk for row in rows]


def test_the_overview_counts_what_is_within_reach(
    client: Client, memory: Memory, foreign: Session
) -> None:
    ours = memory(1)
    GenerationJob.objects.filter(team_id=foreign.team_id).update(
        state=states.FAILED, last_error={"reason": "Their plans failed"}
    )
    member(client, ours.team)
    shown = client.get("/admin/")
    facts = shown.context
    assert (facts["captured"], facts["remembered"], facts["queued"]) == (1, 1, 1)
    assert (facts["failed"], facts["failures"]) == (0, [])
    assert facts["waiting"].job.team_id == ours.team_id
    assert [one.pk for one, _ in facts["sessions"]] == [ours.pk]
    assert "Their plans" not in shown.content.decode()


def test_who_is_in_no_team_is_told_so_and_sees_nothing(client: Client, memory: Memory) -> None:
    memory(1)
    client.force_login(User.objects.create(username="new", is_staff=True))
    assert "You are in no team yet" in client.get("/admin/").content.decode()
    for model in MODELS:
        assert client.get(_list(model)).status_code == 403


def test_members_see_no_users_and_make_no_teams(client: Client, team: Team) -> None:
    user = member(client, team)
    assert client.get("/admin/auth/user/").status_code == 403
    assert client.get(f"/admin/auth/user/{user.pk}/change/").status_code == 403
    assert client.get(_list(Team, "add/")).status_code == 403
    sidebar = client.get("/admin/").content.decode()
    assert "Members" in sidebar
    assert "/admin/auth/user/" not in sidebar
    asked = "app_label=observations&model_name=member&field_name=user&term="
    assert client.get(f"/admin/autocomplete/?{asked}").status_code == 403


def test_an_admin_adds_a_member_by_name_changes_the_role_and_removes_them(
    client: Client, team: Team
) -> None:
    member(client, team)
    ben = User.objects.create(username="ben", is_staff=True)
    form = {"username": "ben", "team": team.pk, "role": "viewer"}
    assert client.post(_list(Member, "add/"), form).status_code == 302
    added = Member.objects.get(user=ben)
    assert (added.team, added.role) == (team, "viewer")
    again = client.post(_list(Member, "add/"), form).content.decode()
    assert "Is a member of this team already." in again
    client.post(page_of(added), {"role": "admin", "team": "x", "user": "1"})
    added.refresh_from_db()
    assert (added.team, added.user, added.role) == (team, ben, "admin")
    client.post(page_of(added).replace("change/", "delete/"), {"post": "yes"})
    assert not Member.objects.filter(user=ben).exists()


@pytest.mark.parametrize("name", ["nobody", "visitor", "gone"])
def test_only_who_can_sign_in_becomes_a_member(client: Client, team: Team, name: str) -> None:
    member(client, team)
    User.objects.create(username="visitor")
    User.objects.create(username="gone", is_staff=True, is_active=False)
    form = {"username": name, "team": team.pk, "role": "viewer"}
    refused = client.post(_list(Member, "add/"), form).content.decode()
    assert "Nobody signs in here with this name." in refused
    assert Member.objects.count() == 1


def test_an_admin_adds_nobody_to_a_foreign_team(
    client: Client, memory: Memory, foreign: Session
) -> None:
    member(client, memory(1).team)
    form = {"username": "mia", "team": foreign.team_id, "role": "admin"}
    assert client.post(_list(Member, "add/"), form).status_code == 200
    assert Member.objects.filter(team=foreign.team_id).count() == 1


def test_a_superuser_makes_a_user_who_can_sign_in(browser: Client) -> None:
    form = {
        "username": "carla", "password1": "correct horse battery", "usable_password": "true",
        "password2": "correct horse battery",
    }  # fmt: skip
    assert browser.post("/admin/auth/user/add/", form).status_code == 302
    made = User.objects.get(username="carla")
    assert (made.is_staff, made.is_superuser) == (True, False)


def test_roles_are_the_known_ones(team: Team) -> None:
    from django.db import IntegrityError, transaction

    user = User.objects.create(username="x")
    with pytest.raises(IntegrityError), transaction.atomic():
        Member.objects.create(user=user, team=team, role="owner")
    Member.objects.create(user=user, team=team)
    with pytest.raises(IntegrityError), transaction.atomic():
        Member.objects.create(user=user, team=team)


def test_a_user_of_a_removed_member_loses_the_rows_at_once(client: Client, memory: Memory) -> None:
    ours = memory(1)
    user = member(client, ours.team)
    assert client.get(page_of(ours)).status_code == 200
    Member.objects.filter(user=user).delete()
    assert client.get(page_of(ours)).status_code == 403
