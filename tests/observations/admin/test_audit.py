"""The audit in the admin: read, narrowed at a bounded cost, and never changed."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from observations import ingest, keys, memories
from observations.admin import audit
from observations.admin.audit import first_since
from observations.models import ApiKey, AuditEntry, Observation, Project, Team
from queueing import broker, kinds
from queueing.models import GenerationJob

pytestmark = pytest.mark.django_db

LIST = "/admin/observations/auditentry/"


@pytest.fixture
def browser(client: Client) -> Client:
    """Logged in as one who may do everything; without a password, which takes long to hash."""
    client.force_login(User.objects.create(username="ada", is_staff=True, is_superuser=True))
    return client


def entry(action: str = "event.received", **fields: Any) -> AuditEntry:
    wanted = {"created_at": timezone.now(), "resource_type": "agent_event", **fields}
    return AuditEntry.objects.create(action=action, **wanted)


def listed(browser: Client, query: str = "") -> list[AuditEntry]:
    answer = browser.get(f"{LIST}?{query}")
    assert answer.status_code == 200, query
    return list(answer.context["cl"].result_list)


def test_the_list_is_narrowed_by_action_team_time_and_id(browser: Client, team: Team) -> None:
    old = entry("api_key.create", created_at=timezone.now() - timedelta(days=2))
    mine = entry(team_id=team.id, resource_id="r-1", api_key_id="k-1")
    for query, wanted in {
        "": [mine, old],
        "action=api_key.create": [old],
        f"team={team.id}": [mine],
        "within=day": [mine],
        "within=week": [mine, old],
        "within=day&action=api_key.create": [],
        "q=r-1": [mine],
        "q=k-1": [mine],
        "q=zanzibar": [],
    }.items():
        assert listed(browser, query) == wanted, query


def test_what_narrows_the_list_looks_through_the_newest_entries_only(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "LOOKED_THROUGH", 3)
    rows = [entry("api_key.create") for _ in range(5)]
    assert listed(browser, "action=api_key.create") == rows[:1:-1]
    # Who chooses a time wants all of that time.
    assert listed(browser, "action=api_key.create&within=day") == rows[::-1]
    assert listed(browser) == rows[::-1]


@pytest.mark.parametrize("gone", [[], [1, 4, 5], [0], [9]])
def test_a_time_is_found_by_halving_also_among_gaps(gone: Sequence[int]) -> None:
    assert first_since(timezone.now()) <= 1
    begin = timezone.now()
    times = [begin + timedelta(minutes=minute) for minute in range(10)]
    rows = [entry(created_at=at) for at in times]
    AuditEntry.objects.filter(pk__in=[rows[place].pk for place in gone]).delete()
    for moment in (*times, begin - timedelta(days=1), begin + timedelta(days=1)):
        assert _since(first_since(moment)) == [
            row.pk for place, row in enumerate(rows)
            if place not in gone and times[place] >= moment
        ]  # fmt: skip


def _since(number: int) -> list[int]:
    rows = AuditEntry.objects.filter(pk__gte=number).order_by("pk")
    return list(rows.values_list("pk", flat=True))


def test_a_list_of_forty_takes_no_more_queries_than_of_two_and_counts_no_table(
    browser: Client, team: Team
) -> None:
    def more(count: int) -> None:
        for _ in range(count):
            key = keys.create("k", ["*"], team=team).key
            entry(team_id=team.id, api_key_id=key.id)

    def queries(query: str) -> list[str]:
        with CaptureQueriesContext(connection) as caught:
            listed(browser, query)
        return [each["sql"] for each in caught]

    more(1)
    browser.get(LIST)
    few = {query: len(queries(query)) for query in ("", "action=event.received")}
    more(20)
    for query, count in few.items():
        asked = queries(query)
        assert len(asked) == count <= 12
        counts = [sql for sql in asked if "COUNT(*)" in sql and "auditentry" in sql]
        assert counts
        assert all("LIMIT" in sql for sql in counts)
    # Halving asks once a bit of the greatest number.
    assert len(queries("within=day")) <= 12 + 2 + AuditEntry.objects.latest("pk").pk.bit_length()


def test_an_entry_shows_who_did_what_to_what(browser: Client, project: Project) -> None:
    key = keys.create("ci", ["*"], team=project.team).key
    entry(
        "observation.created", resource_type="observation", resource_id="o-1",
        team_id=project.team_id, project_id=project.id, api_key_id=key.id,
        details={"model": "<script>", "observationIds": ["a", "b"]},
    )  # fmt: skip
    for address in (LIST, f"{LIST}{AuditEntry.objects.latest('pk').pk}/change/"):
        body = browser.get(address).content.decode()
        assert f"/admin/observations/apikey/{key.id}/change/" in body
        assert "/admin/observations/observation/?q=o-1" in body
        assert project.team.name in body
        assert "<script>alert" not in body
        assert "&lt;script&gt;" in body


def test_an_entry_can_be_neither_added_nor_changed_nor_deleted(browser: Client) -> None:
    row = entry()
    assert browser.get(f"{LIST}add/").status_code == 403
    assert browser.post(f"{LIST}{row.pk}/change/", {"action": "x"}).status_code == 403
    assert browser.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    action = {"action": "delete_selected", "_selected_action": row.pk, "post": "yes"}
    browser.post(LIST, action)
    assert AuditEntry.objects.get() == row


def test_what_is_done_in_the_admin_is_entered_with_the_users_name(
    browser: Client, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "publish", lambda job_id, kind: None)
    event = ingest.NewEvent(project.id, "note", "api", {})
    ingest.capture(project.team_id, [event], origin={}, kind=kinds.EVENT)
    memory = memories.remember(project.team_id, project.id, content="Note")
    another = memories.remember(project.team_id, project.id, content="Another")
    AuditEntry.objects.all().delete()
    made = {"name": "ci", "team": project.team_id, "scopes": "memories:read"}
    browser.post("/admin/observations/apikey/add/", made)
    key, job = ApiKey.objects.get(), GenerationJob.objects.get()
    _act(browser, "observations/apikey", "revoke_keys", key.pk)
    _act(browser, "queueing/generationjob", "cancel_jobs", job.pk)
    _act(browser, "queueing/generationjob", "retry_jobs", job.pk)
    address = f"/admin/observations/observation/{memory.number}/delete/"
    browser.post(address, {"post": "yes"})
    _act(browser, "observations/observation", "delete_selected", another.number, post="yes")
    rows = AuditEntry.objects.order_by("id")
    assert [(row.action, row.resource_id) for row in rows] == [
        ("api_key.create", key.pk),
        ("api_key.revoke", key.pk),
        ("generation_job.cancelled_by_operator", job.pk),
        ("generation_job.retried_by_operator", job.pk),
        ("observation.deleted", memory.id),
        ("observation.deleted", another.id),
    ]
    assert {(row.actor_id, row.details["source"]) for row in rows} == {("user:ada", "admin")}
    assert not Observation.objects.exists()


def _act(browser: Client, place: str, action: str, pk: object, **fields: str) -> None:
    chosen = {"action": action, "_selected_action": pk, "confirmed": "yes", **fields}
    assert browser.post(f"/admin/{place}/", chosen).status_code == 302
