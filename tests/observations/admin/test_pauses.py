"""Pausing and resuming from the admin: what is shared, and the teams of whoever asks."""

import pytest
from django.test import Client

from observations.models import AuditEntry, Team
from queueing import pauses, states
from queueing.models import GenerationJob, Lane, Pause
from queueing.pauses import PROVIDER, Subject
from tests.observations.admin.conftest import Memory, member, page_of

PAGE, ADD = "/admin/queueing/pause/", "/admin/queueing/pause/add/"
QUEUE = Subject("queue", "event")

pytestmark = pytest.mark.django_db


def of(team: Team) -> Subject:
    return Subject("team", team.pk)


def pause(client: Client, subject: object, reason: str = "we move the database") -> str:
    form = {"subject": str(subject), "reason": reason}
    return client.post(ADD, form, follow=True).content.decode()


def resume(client: Client, *subjects: Subject) -> str:
    chosen = Pause.objects.filter(subject__in=map(str, subjects)).values_list("pk", flat=True)
    form = {"action": "resume_work", "index": "0", "_selected_action": [*map(str, chosen)]}
    return client.post(PAGE, form, follow=True).content.decode()


def held() -> list[Subject]:
    return [hold.subject for hold in pauses.held()]


def test_a_superuser_pauses_and_resumes_whatever_there_is(browser: Client, team: Team) -> None:
    for subject in (PROVIDER, QUEUE, of(team)):
        assert "added successfully" in pause(browser, subject)
        assert held() == [subject]
        listed = browser.get(PAGE).content.decode()
        assert "we move the database" in listed
        assert "user:root" in listed
        assert "resumed." in resume(browser, subject)
        assert held() == []
    assert f"team {team.name}" in pause(browser, of(team))
    actions = AuditEntry.objects.order_by("id").values_list("action", "actor_id")
    assert set(actions) == {
        ("work.paused_by_operator", "user:root"), ("work.resumed_by_operator", "user:root"),
    }  # fmt: skip


def test_an_admin_of_a_team_pauses_that_team_and_nothing_else(
    client: Client, browser: Client, team: Team
) -> None:
    strangers = Team.objects.create(name="strangers")
    member(client, team, "admin")
    page = client.get(ADD).content.decode()
    assert f"the team {team.name}" in page
    assert "strangers" not in page
    for subject in (PROVIDER, QUEUE, of(strangers), "nonsense"):
        assert "is not one of the available choices" in pause(client, subject)
    assert held() == []
    pause(client, of(team))
    pauses.hold(QUEUE, "theirs")
    pauses.hold(of(strangers), "none of your business")
    listed = client.get(PAGE).content.decode()
    assert "theirs" in listed
    assert "none of your business" not in listed
    assert "you may look at it, but not resume it" in resume(client, QUEUE, of(strangers))
    assert "resumed." in resume(client, of(team))
    assert held() == [QUEUE, of(strangers)]


def test_a_viewer_sees_what_is_paused_and_pauses_nothing(client: Client, team: Team) -> None:
    pauses.hold(of(team), "we move the database")
    member(client, team, "viewer")
    page = client.get(PAGE).content.decode()
    assert "we move the database" in page
    assert "resume_work" not in page
    assert client.get(ADD).status_code == 403
    row = Pause.objects.get()
    assert f"team {team.name}" in client.get(page_of(row)).content.decode()


def test_a_providers_own_pause_is_not_resumed_but_tried(browser: Client) -> None:
    pauses.pause("no credit", "quota", probing=False)
    assert "it is the provider&#x27;s own; let it be tried now" in resume(browser, PROVIDER)
    assert pauses.current()
    # An operator's pause has a row of its own beside it.
    assert "added successfully" in pause(browser, PROVIDER)
    assert held() == [PROVIDER]


def test_a_quota_is_seen_by_its_team_and_resumed_by_nobody(
    client: Client, browser: Client, team: Team
) -> None:
    strangers = Team.objects.create(name="strangers")
    pauses.hold_quota(team.pk, "ours are spent")
    pauses.hold_quota(strangers.pk, "none of your business")
    listed = browser.get(PAGE).content.decode()
    assert f"quota of team {team.name}" in listed
    assert "none of your business" in listed
    assert "goes on by itself when it may use more" in resume(browser, Subject("quota", team.pk))
    assert len(held()) == 2
    member(client, team, "admin")
    for page in (PAGE, "/admin/"):
        body = client.get(page).content.decode()
        assert "ours are spent" in body
        assert "none of your business" not in body


def test_who_pauses_again_gives_another_reason(browser: Client) -> None:
    pause(browser, QUEUE)
    pause(browser, QUEUE, "another reason")
    assert [hold.reason for hold in pauses.held()] == ["another reason"]


def test_the_first_page_tells_what_is_paused_within_reach(
    client: Client, browser: Client, team: Team
) -> None:
    pauses.hold(of(team), "a <b>move</b>")
    pauses.hold(of(Team.objects.create(name="strangers")), "none of your business")
    body = browser.get("/admin/").content.decode()
    assert f"team {team.name}, since" in body
    assert "a &lt;b&gt;move&lt;/b&gt;" in body
    assert "none of your business" in body
    member(client, team)
    body = client.get("/admin/").content.decode()
    assert f"team {team.name}, since" in body
    assert "none of your business" not in body


def test_a_job_that_is_held_says_so_in_its_place(browser: Client, memory: Memory) -> None:
    lane = Lane.objects.get(key=memory(1).lane_key)
    job = GenerationJob.objects.filter(lane=lane).order_by("seq")[0]
    GenerationJob.objects.filter(pk=job.pk).update(state=states.QUEUED, kind="event")
    Lane.objects.filter(pk=lane.pk).update(head=job.seq)
    assert "it is its turn" in browser.get(page_of(job)).content.decode()
    pauses.hold(QUEUE, "maintenance")
    body = browser.get(page_of(job)).content.decode()
    assert "At the head, but paused by an operator: queue (maintenance)." in body
