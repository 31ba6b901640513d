from typing import Any

import pytest

from observations.models import AuditEntry, Project, Session, Team
from queueing.models import GenerationJob
from tests.claudemem.api.conftest import Api, RawKey, refused, told

KEYS = [
    "id",
    "projectId",
    "teamId",
    "externalSessionId",
    "contentSessionId",
    "agentId",
    "agentType",
    "branch",
    "part",
    "platformSource",
    "generationStatus",
    "metadata",
    "startedAtEpoch",
    "endedAtEpoch",
    "lastGeneratedAtEpoch",
    "createdAtEpoch",
    "updatedAtEpoch",
]
START = "/v1/sessions/start"


@pytest.fixture
def body(project: Project) -> dict[str, Any]:
    return {
        "projectId": project.id,
        "externalSessionId": "e-1",
        "contentSessionId": "c-1",
        "agentType": "reviewer",
        "platformSource": "Claude Code",
        "metadata": {"prompt": "do it"},
    }


def test_a_session_is_made_once_and_found_again(api: Api, body: dict[str, Any]) -> None:
    made = told(api.post(START, body), 201)["session"]
    assert list(made) == KEYS
    assert (made["externalSessionId"], made["platformSource"]) == ("e-1", "claude")
    assert (made["generationStatus"], made["endedAtEpoch"]) == ("idle", None)
    assert made["metadata"] == {"prompt": "do it"}
    again = told(api.post(START, body), 200)["session"]
    assert again == made
    assert told(api.get(f"/v1/sessions/{made['id']}"), 200) == {"session": made}


def test_what_a_later_start_says_is_added(api: Api, body: dict[str, Any]) -> None:
    body |= {"metadata": {"a": 1, "b": 1}}
    first = told(api.post("/v1/sessions/start", body), 201)["session"]
    more = body | {"metadata": {"b": 2, "password": "correct-horse-42"}}
    again = told(api.post("/v1/sessions/start", more), 200)["session"]
    assert (again["metadata"]["a"], again["metadata"]["b"]) == (1, 2)
    assert "correct-horse" not in str(again)
    assert told(api.get(f"/v1/sessions/{first['id']}"), 200)["session"] == again
    silent = told(api.post("/v1/sessions/start", body | {"metadata": {}}), 200)["session"]
    assert silent == again
    written = AuditEntry.objects.filter(action="session.write", resource_id=first["id"])
    assert written.count() == 2


def test_a_session_may_lack_an_external_id(api: Api, project: Project) -> None:
    body = {"projectId": project.id, "externalSessionId": None, "contentSessionId": "c-1"}
    made = told(api.post(START, body), 201)["session"]
    assert (made["externalSessionId"], made["contentSessionId"]) == (None, "c-1")


def test_ending_makes_one_summary_job_and_ending_again_the_same(
    api: Api, body: dict[str, Any]
) -> None:
    session = told(api.post(START, body), 201)["session"]
    path = f"/v1/sessions/{session['id']}/end"
    first = told(api.post(path, b""), 200)
    assert list(first) == ["session", "generationJob"]
    assert first["session"]["endedAtEpoch"] is not None
    assert first["generationJob"]["sourceType"] == "session_summary"
    assert first["generationJob"]["sourceId"] == session["id"]
    second = told(api.post(path, {"ignored": True}), 200)
    assert second["session"]["endedAtEpoch"] == first["session"]["endedAtEpoch"]
    assert second["generationJob"]["id"] == first["generationJob"]["id"]
    assert GenerationJob.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("projectId", 7),
        ("externalSessionId", ""),
        ("externalSessionId", 7),
        ("contentSessionId", "x" * 501),
        ("agentId", []),
        ("agentType", False),
        ("platformSource", "x" * 101),
        ("metadata", None),
        ("metadata", []),
    ],
)
def test_a_wrong_field_is_named(api: Api, body: dict[str, Any], field: str, value: Any) -> None:
    assert refused(api.post(START, body | {field: value}), 400, "ValidationError") == field
    assert not Session.objects.exists()


def test_a_session_of_another_project_or_team_is_out_of_reach(
    api: Api, raw_key: RawKey, team: Team, body: dict[str, Any]
) -> None:
    session_id = told(api.post(START, body), 201)["session"]["id"]
    sibling = Api(raw_key(project=Project.objects.create(team=team, name="other")))
    stranger = Api(raw_key(owner=Team.objects.create(name="strangers")))
    paths = (f"/v1/sessions/{session_id}", f"/v1/sessions/{session_id}/end")
    for method, path in zip(("GET", "POST"), paths, strict=True):
        message = "API key is scoped to a different project"
        assert refused(sibling.call(method, path, b""), 403, "Forbidden") == message
        assert refused(stranger.call(method, path, b""), 404, "NotFound") == "Session not found"
    assert refused(sibling.post(START, body), 403, "Forbidden")
    assert refused(stranger.post(START, body), 403, "Forbidden")
    assert Session.objects.get().ended_at is None


def test_a_sessions_queue_is_cleared_and_each_job_is_in_the_audit(
    api: Api, raw_key: RawKey, event: dict[str, Any], team: Team
) -> None:
    one, two = (
        told(api.post(START, {"projectId": event["projectId"], "externalSessionId": name}), 201)
        for name in ("e-1", "e-2")
    )
    ours = event | {"serverSessionId": one["session"]["id"]}
    batch = [ours | {"payload": {"n": n}} for n in range(3)]
    told(api.post("/v1/events/batch", batch), 201)
    told(api.post("/v1/events", event | {"serverSessionId": two["session"]["id"]}), 201)
    session = Session.objects.get(external_session_id="e-1")
    path = f"/v1/sessions/{session.id}/clear-queue"
    stranger = Api(raw_key(owner=Team.objects.create(name="strangers")))
    refused(stranger.post(path), 404, "NotFound")
    sibling = Api(raw_key(project=Project.objects.create(team=team, name="other")))
    refused(sibling.post(path), 403, "Forbidden")
    answer = told(api.post(path, b"", X_Request_Id="r-1"), 200)
    assert answer == {"sessionId": session.id, "cancelled": 3, "requestId": "r-1"}
    assert told(api.post(path, b""), 200)["cancelled"] == 0
    states = GenerationJob.objects.order_by("id").values_list("session_id", "state")
    assert [state for of, state in states if of == session.id] == ["cancelled"] * 3
    assert [state for of, state in states if of != session.id] == ["queued"]
    entered = AuditEntry.objects.filter(action="generation_job.cancelled_by_operator")
    assert entered.count() == 3
    assert {row.details["requestId"] for row in entered} == {"r-1"}
    told(api.post("/v1/events", ours | {"payload": {"n": 9}}), 201)
    assert GenerationJob.objects.filter(session_id=session.id, state="queued").count() == 1
