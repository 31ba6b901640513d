from typing import Any

import pytest

from observations.models import Project, Session, Team
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
