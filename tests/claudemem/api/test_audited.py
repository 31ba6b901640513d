"""What callers of the API do and see is entered in the audit, with their key and request."""

import json
from typing import Any

import pytest

from observations import keys, memories
from observations.models import AuditEntry, Project, Team
from queueing.models import GenerationJob
from tests.claudemem.api.conftest import Api, told

pytestmark = pytest.mark.django_db

QUESTION = "zanzibar"


@pytest.fixture
def key_id(api: Api) -> str:
    principal = keys.authenticate(api.key)
    assert principal
    AuditEntry.objects.all().delete()
    return principal.api_key_id


def entered(action: str, key_id: str) -> AuditEntry:
    """The one entry, which must name this key and the request that `asked` made."""
    row = AuditEntry.objects.get(action=action)
    assert (row.api_key_id, row.actor_id) == (key_id, None)
    assert row.details["requestId"] == "request-1"
    return row


def asked(api: Api, path: str, body: Any = None, status: int = 200) -> Any:
    return told(api.post(path, body, X_Request_Id="request-1"), status)


def test_events_sessions_and_memories(api: Api, key_id: str, event: Any, project: Project) -> None:
    captured = asked(api, "/v1/events", event, 201)
    row = entered("event.received", key_id)
    assert (row.team_id, row.project_id) == (project.team_id, project.id)
    assert row.resource_id == captured["event"]["id"]
    assert row.details["generationJobId"] == captured["generationJob"]["id"]
    asked(api, "/v1/events/batch", [event | {"eventType": "other"}], 201)
    assert entered("event.batch_received", key_id).details["eventCount"] == 1
    names = {"projectId": project.id, "externalSessionId": "s"}
    session = asked(api, "/v1/sessions/start", names, 201)["session"]
    assert entered("session.write", key_id).resource_id == session["id"]
    asked(api, f"/v1/sessions/{session['id']}/end")
    assert entered("session.end", key_id).resource_id == session["id"]
    note = {"projectId": project.id, "content": "Deploys go out on Tuesdays"}
    memory = asked(api, "/v1/memories", note, 201)["memory"]
    assert entered("memory.write", key_id).resource_id == memory["id"]
    told(api.call("DELETE", f"/v1/memories/{memory['id']}", b"", X_Request_Id="request-1"), 200)
    assert entered("observation.deleted", key_id).resource_id == memory["id"]


def test_a_hook_is_an_event_that_was_received(api: Api, key_id: str) -> None:
    hook = {"hook_event_name": "Stop", "session_id": "s", "cwd": "/home/dev/shop"}
    answer = api.post("/v1/hooks/claude-code", hook, X_Request_Id="request-1")
    assert entered("event.received", key_id).resource_id == answer["X-Event-Id"]
    api.post("/v1/hooks/claude-code", hook, X_Request_Id="request-2")
    assert AuditEntry.objects.filter(action="event.received").count() == 1


@pytest.mark.parametrize("mode", ["search", "context"])
def test_what_was_found_is_entered_without_the_question(
    api: Api, key_id: str, project: Project, mode: str
) -> None:
    found = memories.remember(project.team_id, project.id, content=f"The {QUESTION} backoff")
    memories.remember(project.team_id, project.id, content="Something else")
    question = {"projectId": project.id, "query": QUESTION, "limit": 7}
    asked(api, f"/v1/{mode}", question)
    row = entered("observation.read", key_id)
    assert (row.resource_type, row.resource_id) == ("observation", None)
    assert (row.team_id, row.project_id) == (project.team_id, project.id)
    assert row.details == {
        "mode": mode, "limit": 7, "resultCount": 1, "observationIds": [found.id],
        "requestId": "request-1",
    }  # fmt: skip
    assert QUESTION not in json.dumps(list(AuditEntry.objects.values("details")))


def test_reading_what_was_made_of_an_event_is_entered(api: Api, key_id: str, event: Any) -> None:
    captured = asked(api, "/v1/events", event, 201)["event"]["id"]
    api.get(f"/v1/events/{captured}/observations", X_Request_Id="request-1")
    row = entered("observation.read", key_id)
    assert row.resource_id == captured
    assert row.details["mode"] == "event_observations"
    assert row.details["observationIds"] == []


def test_reading_the_list_of_jobs_is_entered(api: Api, key_id: str, event: Any) -> None:
    asked(api, "/v1/events", event, 201)
    api.get("/v1/jobs?include=payload&limit=3", X_Request_Id="request-1")
    row = entered("observation.read", key_id)
    assert row.details == {
        "mode": "jobs_list", "resultCount": 1, "limit": 3, "offset": 0, "payload": True,
        "requestId": "request-1",
    }  # fmt: skip


def test_a_read_that_is_refused_shows_nothing_and_is_no_entry(api: Api, key_id: str) -> None:
    foreign = Project.objects.create(team=Team.objects.create(name="foreign"), name="theirs")
    asked(api, "/v1/search", {"projectId": foreign.id, "query": "x"}, 403)
    api.get("/v1/events/none/observations")
    assert not AuditEntry.objects.exists()


def test_a_retry_and_a_cancel_are_entered(api: Api, key_id: str, event: Any) -> None:
    job = asked(api, "/v1/events", event, 201)["generationJob"]["id"]
    asked(api, f"/v1/jobs/{job}/cancel")
    assert entered("generation_job.cancelled_by_operator", key_id).resource_id == job
    asked(api, f"/v1/jobs/{job}/retry")
    row = entered("generation_job.retried_by_operator", key_id)
    assert row.resource_id == job
    assert (row.details["previousStatus"], row.details["currentStatus"]) == ("cancelled", "queued")
    history = GenerationJob.objects.get(pk=job).history.order_by("id")
    assert [line.details["source"] for line in history] == [
        "http_post_v1_events", "operator_cancel", "operator_retry",
    ]  # fmt: skip
