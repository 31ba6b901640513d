from typing import Any

import pytest

from observations.models import Observation, Project, Session, Team
from queueing.models import GenerationJob
from tests.claudemem.api.conftest import Api, RawKey, refused, told

KEYS = [
    "id",
    "projectId",
    "teamId",
    "serverSessionId",
    "kind",
    "content",
    "metadata",
    "createdAtEpoch",
    "updatedAtEpoch",
]

Body = dict[str, Any]


@pytest.fixture
def memory(project: Project) -> Body:
    return {"projectId": project.id, "content": "The backoff of retries is capped at ten minutes."}


@pytest.fixture
def remembered(api: Api, memory: Body) -> Body:
    answer: Body = told(api.post("/v1/memories", memory), 201)["memory"]
    return answer


def _search(project: Project, **more: Any) -> Body:
    return {"projectId": project.id, "query": "how are retries capped?", **more}


def test_a_memory_is_stored_as_told_and_makes_no_job(api: Api, memory: Body) -> None:
    memory |= {"kind": "decision", "metadata": {"by": "hand"}}
    answer = told(api.post("/v1/memories", memory), 201)
    assert list(answer) == ["memory"]
    assert list(answer["memory"]) == KEYS
    assert answer["memory"]["content"] == memory["content"]
    assert (answer["memory"]["kind"], answer["memory"]["metadata"]) == ("decision", {"by": "hand"})
    assert not GenerationJob.objects.exists()


def test_a_memory_is_of_kind_manual_unless_said(remembered: Body) -> None:
    assert (remembered["kind"], remembered["serverSessionId"]) == ("manual", None)


@pytest.mark.parametrize(
    ("words", "content"),
    [
        ({"narrative": "n", "text": "t", "title": "i"}, "n"),
        ({"text": "t", "title": "i"}, "t"),
        ({"title": "i"}, "i"),
        ({"content": "c", "narrative": "n"}, "c"),
        ({"content": None, "narrative": "", "text": "t"}, "t"),
    ],
)
def test_its_words_may_stand_under_other_names(
    api: Api, project: Project, words: Body, content: str
) -> None:
    answer = told(api.post("/v1/memories", {"projectId": project.id, **words}), 201)
    assert answer["memory"]["content"] == content


def test_what_the_mcp_client_sends_is_kept(api: Api, project: Project) -> None:
    sent = {
        "projectId": project.id,
        "kind": "observation",
        "type": "discovery",
        "title": "Retries are capped",
        "narrative": "The cap is ten minutes.",
        "metadata": {"type": "mine"},
    }
    memory = told(api.post("/v1/memories", sent), 201)["memory"]
    assert memory["content"] == "The cap is ten minutes."
    assert memory["metadata"] == {"type": "mine", "title": "Retries are capped"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("content", ""),
        ("content", None),
        ("content", 7),
        ("content", "<private>all of it</private>"),
        ("projectId", None),
        ("kind", ""),
        ("kind", "x" * 101),
        ("kind", None),
        ("metadata", []),
        ("serverSessionId", 7),
        ("title", ["x"]),
    ],
)
def test_a_wrong_field_is_named(api: Api, memory: Body, field: str, value: Any) -> None:
    answer = api.post("/v1/memories", memory | {field: value})
    assert refused(answer, 400, "ValidationError") == field
    assert not Observation.objects.exists()


def test_a_memory_belongs_to_a_project_and_session_of_the_caller(
    api: Api, raw_key: RawKey, team: Team, project: Project, memory: Body
) -> None:
    other = Project.objects.create(team=team, name="other")
    sibling = Api(raw_key(project=other))
    stranger = Api(raw_key(owner=Team.objects.create(name="strangers")))
    message = "API key is scoped to a different project"
    assert refused(sibling.post("/v1/memories", memory), 403, "Forbidden") == message
    message = "project_id must belong to team_id"
    assert refused(stranger.post("/v1/memories", memory), 403, "Forbidden") == message
    started = told(api.post("/v1/sessions/start", {"projectId": other.id}), 201)
    foreign = memory | {"serverSessionId": started["session"]["id"]}
    assert "server_session_id" in refused(api.post("/v1/memories", foreign), 403, "Forbidden")
    own = foreign | {"projectId": other.id}
    assert told(api.post("/v1/memories", own), 201)["memory"]["serverSessionId"]
    assert Session.objects.count() == 1


def test_a_memory_is_deleted_once(api: Api, remembered: Body) -> None:
    path = f"/v1/memories/{remembered['id']}"
    assert told(api.call("DELETE", path, b""), 200) == {"deleted": True, "id": remembered["id"]}
    assert told(api.call("DELETE", path, b""), 404) == {"error": "not_found"}
    assert told(api.post("/v1/search", _search(Project.objects.get())), 200) == {"observations": []}


def test_nobody_else_deletes_it(raw_key: RawKey, team: Team, remembered: Body) -> None:
    for outsider in (
        Api(raw_key(project=Project.objects.create(team=team, name="other"))),
        Api(raw_key(owner=Team.objects.create(name="strangers"))),
    ):
        answer = outsider.call("DELETE", f"/v1/memories/{remembered['id']}", b"")
        assert told(answer, 404) == {"error": "not_found"}
    assert Observation.objects.count() == 1


def test_what_was_remembered_is_found_by_a_question(
    api: Api, project: Project, remembered: Body
) -> None:
    assert told(api.post("/v1/search", _search(project)), 200) == {"observations": [remembered]}


def test_context_is_the_same_as_one_text(
    api: Api, project: Project, memory: Body, remembered: Body
) -> None:
    second = memory | {"content": "Retries are capped, and jittered."}
    told(api.post("/v1/memories", second), 201)
    found = told(api.post("/v1/search", _search(project)), 200)["observations"]
    answer = told(api.post("/v1/context", _search(project)), 200)
    assert list(answer) == ["observations", "context"]
    assert answer["observations"] == found
    assert answer["context"] == "\n\n".join(one["content"] for one in found)
    assert len(found) == 2
    nothing = told(api.post("/v1/context", _search(project, query="zebra")), 200)
    assert nothing == {"observations": [], "context": ""}


@pytest.mark.parametrize("query", ["the", "?", " ", "a\0b", '"unclosed', "AND OR NOT (", "\ud800"])
def test_no_question_is_an_error(api: Api, project: Project, query: str) -> None:
    told(api.post("/v1/search", _search(project, query=query)), 200)


def test_the_limit_is_kept(api: Api, project: Project, memory: Body) -> None:
    for n in range(12):
        told(api.post("/v1/memories", memory | {"content": f"Retries are capped at {n}."}), 201)
    for path, more, count in (
        ("search", {}, 12),
        ("search", {"limit": 3}, 3),
        ("search", {"limit": 3.0}, 3),
        ("context", {}, 10),
    ):
        answer = told(api.post(f"/v1/{path}", _search(project, **more)), 200)
        assert len(answer["observations"]) == count


@pytest.mark.parametrize("path", ["/v1/search", "/v1/context"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("projectId", 7),
        ("query", ""),
        ("query", None),
        ("query", 7),
        ("limit", 0),
        ("limit", 101),
        ("limit", None),
        ("limit", "5"),
        ("limit", 1.5),
        ("limit", True),
        ("platformSource", ""),
        ("platformSource", 7),
    ],
)
def test_a_wrong_question_names_its_field(
    api: Api, project: Project, path: str, field: str, value: Any
) -> None:
    answer = api.post(path, _search(project, **{field: value}))
    assert refused(answer, 400, "ValidationError") == field


def test_context_gives_at_most_fifty(api: Api, project: Project) -> None:
    assert refused(api.post("/v1/context", _search(project, limit=51)), 400, "ValidationError")


@pytest.mark.parametrize("path", ["/v1/search", "/v1/context"])
def test_another_s_project_is_not_searched(
    raw_key: RawKey, api: Api, team: Team, project: Project, remembered: Body, path: str
) -> None:
    sibling = Api(raw_key(project=Project.objects.create(team=team, name="other")))
    stranger = Api(raw_key(owner=Team.objects.create(name="strangers")))
    for outsider, message in (
        (sibling, "API key is scoped to a different project"),
        (stranger, "project_id must belong to team_id"),
    ):
        assert refused(outsider.post(path, _search(project)), 403, "Forbidden") == message
    nowhere = _search(project, projectId="nowhere")
    assert refused(api.post(path, nowhere), 403, "Forbidden")


def test_a_platform_narrows_the_search(api: Api, project: Project, memory: Body) -> None:
    started = {"projectId": project.id, "platformSource": "Cursor", "externalSessionId": "x"}
    session = told(api.post("/v1/sessions/start", started), 201)["session"]
    told(api.post("/v1/memories", memory), 201)
    in_session = memory | {"serverSessionId": session["id"]}
    cursors = told(api.post("/v1/memories", in_session), 201)["memory"]
    answer = told(api.post("/v1/search", _search(project, platformSource="cursor-cli")), 200)
    assert [one["id"] for one in answer["observations"]] == [cursors["id"]]
