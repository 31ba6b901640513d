"""Projects over the API: made, listed, looked at, and emptied."""

from typing import Any

import pytest

from claudemem.api import projects as routes
from observations import emptying, merging
from observations.models import (
    AuditEntry,
    Event,
    Observation,
    Project,
    ProjectAlias,
    Session,
    Team,
)
from queueing import retention
from queueing.models import GenerationJob, Lane
from tests.claudemem.api.conftest import Api, RawKey, refused, told
from tests.claudemem.api.test_pages import walked

KEYS = [
    "id", "teamId", "name", "slug", "rootPath", "metadata", "aliases", "mergedInto",
    "createdAtEpoch", "updatedAtEpoch",
]  # fmt: skip


def test_a_project_is_made_and_found(api: Api, team: Team) -> None:
    body = {"name": "  Web Shop ", "rootPath": "/home/dev/shop", "metadata": {"lang": "py"}}
    made = told(api.post("/v1/projects", body), 201)["project"]
    assert list(made) == KEYS
    assert (made["name"], made["slug"], made["teamId"]) == ("Web Shop", "web-shop", team.id)
    assert (made["rootPath"], made["metadata"]) == ("/home/dev/shop", {"lang": "py"})
    assert told(api.get(f"/v1/projects/{made['id']}"), 200) == {"project": made}
    listed = told(api.get("/v1/projects"), 200)
    assert listed == {"projects": [made], "nextCursor": None}
    told(api.post("/v1/observations", {"projectId": made["id"], "content": "c"}), 201)


def test_a_project_that_hooks_made_is_told_alike(api: Api, project: Project) -> None:
    found = told(api.get(f"/v1/projects/{project.id}"), 200)["project"]
    assert list(found) == KEYS
    assert (found["rootPath"], found["metadata"]) == (None, {})


def test_a_name_is_there_once_in_a_team(api: Api, raw_key: RawKey, project: Project) -> None:
    answer = api.post("/v1/projects", {"name": project.name})
    assert project.id in refused(answer, 409, "Conflict")
    stranger = Api(raw_key(owner=Team.objects.create(name="strangers")))
    told(stranger.post("/v1/projects", {"name": project.name}), 201)
    assert Project.objects.filter(name=project.name).count() == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": 7}, "name"),
        ({"name": "x", "rootPath": 7}, "rootPath"),
        ({"name": "x", "metadata": []}, "metadata"),
        ({"name": "x", "metadata": None}, "metadata"),
    ],
)
def test_a_wrong_project_is_refused_by_its_field(api: Api, body: Any, field: str) -> None:
    assert refused(api.post("/v1/projects", body), 400, "ValidationError") == field
    assert not Project.objects.exists()


def test_what_is_private_of_a_project_is_not_stored(api: Api, team: Team) -> None:
    body = {"name": "shop", "metadata": {"password": "correct-horse-42"}}
    told(api.post("/v1/projects", body), 201)
    assert "correct-horse" not in repr(list(Project.objects.values()))


def test_a_projects_key_makes_none_and_sees_its_own(
    api: Api, raw_key: RawKey, team: Team, project: Project
) -> None:
    other = Project.objects.create(team=team, name="other")
    own = Api(raw_key(project=project))
    message = "Project-scoped API keys cannot create projects"
    assert refused(own.post("/v1/projects", {"name": "mine"}), 403, "Forbidden") == message
    assert [one["id"] for one in told(own.get("/v1/projects"), 200)["projects"]] == [project.id]
    missing = refused(own.get(f"/v1/projects/{other.id}"), 404, "NotFound")
    assert missing == "Project not found"
    assert Project.objects.count() == 2


def test_projects_of_other_teams_are_not_there(raw_key: RawKey, project: Project) -> None:
    stranger = Api(raw_key(owner=Team.objects.create(name="strangers")))
    assert told(stranger.get("/v1/projects"), 200)["projects"] == []
    told(stranger.get(f"/v1/projects/{project.id}"), 404)
    gone = stranger.call("DELETE", f"/v1/projects/{project.id}/memory", b"")
    assert told(gone, 404) == {"error": "not_found"}


def test_projects_are_walked_by_name(api: Api, team: Team) -> None:
    for name in ("b", "d", "a", "e", "c"):
        Project.objects.create(team=team, name=name)
    pages = walked(api, "/v1/projects", "projects", limit=2)
    assert [[one["name"] for one in page] for page in pages] == [["a", "b"], ["c", "d"], ["e"]]
    assert [[one["name"] for one in page] for page in walked(
        api, "/v1/projects", "projects", name="d")] == [["d"]]  # fmt: skip


def test_making_one_is_entered(api: Api, team: Team) -> None:
    made = told(api.post("/v1/projects", {"name": "shop"}, X_Request_Id="request-1"), 201)
    entry = AuditEntry.objects.get(action="project.create")
    assert (entry.resource_type, entry.resource_id) == ("project", made["project"]["id"])
    assert (entry.team_id, entry.details["requestId"]) == (team.id, "request-1")


@pytest.fixture
def lived_in(api: Api, project: Project, event: dict[str, Any]) -> Project:
    """A project with a bit of everything: an event without a session, a session, memories."""
    told(api.post("/v1/events", event), 201)
    start = {"projectId": project.id, "externalSessionId": "s", "contentSessionId": "s"}
    session = told(api.post("/v1/sessions/start", start), 201)["session"]
    for number in range(3):
        more = {"contentSessionId": "s", "payload": number}
        told(api.post("/v1/events", event | more), 201)
    told(api.post(f"/v1/sessions/{session['id']}/end"), 200)
    told(api.post("/v1/observations", {"projectId": project.id, "content": "capped"}), 201)
    return project


def test_emptying_a_project_leaves_nothing_of_it_and_all_of_others(
    api: Api, team: Team, lived_in: Project, event: dict[str, Any]
) -> None:
    other = Project.objects.create(team=team, name="other")
    told(api.post("/v1/events", event | {"projectId": other.id}), 201)
    gone = told(api.call("DELETE", f"/v1/projects/{lived_in.id}/memory", b""), 200)
    assert gone.pop("askedAtEpoch") > 0
    assert gone == {
        "purged": True,
        "projectId": lived_in.id,
        "counts": {"observations": 1, "agentEvents": 4, "sessions": 1, "jobs": 5},
    }
    for model in (Event, Observation, Session, GenerationJob, Lane):
        rows: Any = model._default_manager
        assert not rows.filter(project_id=lived_in.id).exists(), model
    assert Event.objects.count() == GenerationJob.objects.count() == Lane.objects.count() == 1
    entry = AuditEntry.objects.get(action="project.memory_purged")
    assert (entry.resource_type, entry.resource_id) == ("project", lived_in.id)
    assert entry.details["agentEvents"] == 4
    body = {"projectId": lived_in.id, "query": "capped"}
    assert told(api.post("/v1/search", body), 200) == {"observations": []}
    told(api.get(f"/v1/projects/{lived_in.id}"), 200)
    again = told(api.call("DELETE", f"/v1/projects/{lived_in.id}/memory", b""), 200)
    assert set(again["counts"].values()) == {0}


def test_much_is_deleted_without_the_caller_who_may_look_how_far_it_is(
    api: Api, lived_in: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_PATIENCE_SECONDS", 0.0)
    address = f"/v1/projects/{lived_in.id}/memory"
    answer = api.call("DELETE", address, b"")
    asked = told(answer, 202)
    assert (asked["purged"], asked["counts"]["agentEvents"]) == (False, 0)
    assert "goes on" in asked["message"]
    assert (answer.headers["Location"], answer.headers["Retry-After"]) == (address, "5")
    looked = api.get(answer.headers["Location"])
    told_of = {"askedAtEpoch": asked["askedAtEpoch"], "counts": asked["counts"]}
    now = {"state": "under_way", **told_of}
    assert told(looked, 200) == {"projectId": lived_in.id, "emptying": now}
    assert looked.headers["Retry-After"] == "5"
    assert emptying.go_on(retention.budget()) == 1
    assert not Event.objects.filter(project=lived_in).exists()
    done = api.get(address)
    assert told(done, 200) == {"projectId": lived_in.id, "emptying": None}
    assert "Retry-After" not in done.headers


def test_a_deletion_that_an_operator_stopped_does_not_look_done(
    api: Api, lived_in: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"/v1/projects/{lived_in.id}/memory"
    with monkeypatch.context() as patience:
        patience.setattr(routes, "_PATIENCE_SECONDS", 0.0)
        asked = told(api.call("DELETE", address, b""), 202)
    emptying.give_up(lived_in.id)
    looked = api.get(address)
    stopped = told(looked, 200)["emptying"]
    assert stopped["state"] == "given_up"
    assert stopped["askedAtEpoch"] == asked["askedAtEpoch"] <= stopped["givenUpAtEpoch"]
    assert stopped["counts"] == asked["counts"]
    assert "an operator stopped it" in stopped["reason"]
    assert "DELETE this address" in stopped["message"]
    assert "Retry-After" not in looked.headers
    assert told(api.call("DELETE", address, b""), 200)["counts"]["agentEvents"] == 4
    assert told(api.get(address), 200)["emptying"] is None


def test_what_came_since_stays_when_a_deletion_that_is_under_way_is_asked_for_again(
    api: Api, lived_in: Project, event: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"/v1/projects/{lived_in.id}/memory"
    with monkeypatch.context() as patience:
        patience.setattr(routes, "_PATIENCE_SECONDS", 0.0)
        first = told(api.call("DELETE", address, b""), 202)
    told(api.post("/v1/events", event | {"payload": "since"}), 201)
    second = told(api.call("DELETE", address, b""), 200)
    assert (second["askedAtEpoch"], second["counts"]["agentEvents"]) == (first["askedAtEpoch"], 4)
    assert [each.payload for each in Event.objects.filter(project=lived_in)] == ["since"]
    assert told(api.call("DELETE", address, b""), 200)["counts"]["agentEvents"] == 1


def test_how_far_a_deletion_is_is_told_of_what_was_merged_into_it_and_to_no_other_project(
    api: Api, raw_key: RawKey, team: Team, project: Project, merged: Project,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(routes, "_PATIENCE_SECONDS", 0.0)
    told(api.call("DELETE", f"/v1/projects/{project.id}/memory", b""), 202)
    now = told(api.get(f"/v1/projects/{merged.id}/memory"), 200)
    assert now["projectId"] == merged.id
    assert now["emptying"]["counts"]["sessions"] == 0
    sibling = Api(raw_key(project=Project.objects.create(team=team, name="other")))
    refused(sibling.get(f"/v1/projects/{project.id}/memory"), 404, "NotFound")


def test_an_emptied_project_is_lived_in_again(
    api: Api, lived_in: Project, event: dict[str, Any]
) -> None:
    told(api.call("DELETE", f"/v1/projects/{lived_in.id}/memory", b""), 200)
    start = {"projectId": lived_in.id, "externalSessionId": "s", "contentSessionId": "s"}
    told(api.post("/v1/sessions/start", start), 201)
    answer = told(api.post("/v1/events", event | {"contentSessionId": "s"}), 201)
    assert answer["event"]["serverSessionId"] == Session.objects.get().id
    assert answer["generationJob"]["status"] == "queued"


def test_another_projects_key_empties_nothing(
    raw_key: RawKey, team: Team, lived_in: Project
) -> None:
    sibling = Api(raw_key(project=Project.objects.create(team=team, name="other")))
    answer = sibling.call("DELETE", f"/v1/projects/{lived_in.id}/memory", b"")
    message = "API key is scoped to a different project"
    assert refused(answer, 403, "Forbidden") == message
    assert Event.objects.count() == 4


@pytest.fixture
def merged(project: Project) -> Project:
    """A project that was put into `project`."""
    source = Project.objects.create(team=project.team, name="merged")
    ProjectAlias.objects.create(team=project.team, project=source, sort="remote", key="h/merged")
    merging.merge(project.team_id, source.id, project.id)
    return source


def test_a_merged_project_is_told_and_not_listed(
    api: Api, project: Project, merged: Project
) -> None:
    found = told(api.get(f"/v1/projects/{merged.id}"), 200)["project"]
    assert found["mergedInto"] == project.id
    assert found["aliases"] == [{"sort": "remote", "key": "h/merged"}]
    listed = told(api.get("/v1/projects"), 200)["projects"]
    assert [each["id"] for each in listed] == [project.id]


@pytest.mark.parametrize("bound", [False, True])
def test_whoever_names_a_merged_project_reaches_the_other(
    raw_key: RawKey, project: Project, merged: Project, bound: bool
) -> None:
    api = Api(raw_key(project=project) if bound else raw_key())
    body = {"projectId": merged.id, "content": "The weasel lives in the hills"}
    assert told(api.post("/v1/observations", body), 201)["observation"]["projectId"] == project.id
    asked = {"projectId": merged.id, "query": "weasel"}
    assert len(told(api.post("/v1/search", asked), 200)["observations"]) == 1
    event = {"projectId": merged.id, "sourceType": "api", "eventType": "x", "payload": {},
             "occurredAtEpoch": 1}  # fmt: skip
    assert told(api.post("/v1/events", event), 201)["event"]["projectId"] == project.id


def test_a_key_of_a_third_project_reaches_neither(
    raw_key: RawKey, project: Project, merged: Project
) -> None:
    other = Project.objects.create(team=project.team, name="other")
    asked = {"projectId": merged.id, "query": "weasel"}
    refused(Api(raw_key(project=other)).post("/v1/search", asked), 403, "Forbidden")
