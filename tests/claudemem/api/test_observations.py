"""Observations by their canonical name, and memories, which are the same by an older one."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from observations.models import AuditEntry, Observation, Project, Session, Team
from tests.claudemem.api.conftest import Api, RawKey, refused, told
from tests.claudemem.api.test_pages import walked

MEMORY = [
    "id", "projectId", "teamId", "serverSessionId", "kind", "content", "metadata",
    "createdAtEpoch", "updatedAtEpoch",
]  # fmt: skip
WHOLE = [
    *MEMORY[:7], "number", "title", "subtitle", "narrative", "facts", "concepts", "filesRead",
    "filesModified", "createdByJobId", "occurredAtEpoch", *MEMORY[7:],
]  # fmt: skip
NOUNS = [("observations", "observation", WHOLE), ("memories", "memory", MEMORY)]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

Body = dict[str, Any]


@pytest.fixture
def made(project: Project) -> Observation:
    """An observation as a worker makes one."""
    return Observation.objects.create(
        team=project.team,
        project=project,
        kind="discovery",
        generation_key="generation:v1:made",
        title="Retries",
        subtitle="of jobs",
        narrative="They are capped.",
        facts=["at ten minutes"],
        concepts=["gotcha"],
        files_read=["src/retry.py"],
        content="Retries\n\nof jobs\n\nThey are capped.\n\n- at ten minutes",
        metadata={"title": "Retries", "narrative": "They are capped.", "concepts": ["gotcha"],
                  "provider": "offline"},
        created_by_job_id="some-job",
        occurred_at=NOW,
        created_at=NOW,
        updated_at=NOW,
    )  # fmt: skip


def patched(api: Api, path: str, body: Any, **headers: str) -> Any:
    return api.call("PATCH", path, json.dumps(body).encode(), **headers)


@pytest.mark.parametrize(("noun", "one", "keys"), NOUNS)
def test_it_is_added_read_listed_changed_and_deleted_under_both_names(
    api: Api, project: Project, noun: str, one: str, keys: list[str]
) -> None:
    new = {"projectId": project.id, "content": "Deploy on Tuesdays", "title": "Deploys"}
    added = told(api.post(f"/v1/{noun}", new), 201)
    assert list(added) == [one]
    assert list(added[one]) == keys
    path = f"/v1/{noun}/{added[one]['id']}"
    assert told(api.get(path), 200) == added
    assert told(api.get(f"/v1/{noun}?projectId={project.id}"), 200) == {
        noun: [added[one]],
        "nextCursor": None,
    }
    changed = told(patched(api, path, {"content": "Deploy on Mondays"}), 200)[one]
    assert changed["content"] == "Deploy on Mondays"
    assert list(changed) == keys
    assert told(api.get(path), 200) == {one: changed}
    deleted = {"deleted": True, "id": changed["id"]}
    assert told(api.call("DELETE", path, b""), 200) == deleted
    assert told(api.get(path), 404) == {"error": "NotFound", "message": "Observation not found"}


def test_what_is_gone_is_told_as_older_clients_know_it(api: Api, db: None) -> None:
    assert told(api.call("DELETE", "/v1/memories/x", b""), 404) == {"error": "not_found"}
    missing = {"error": "NotFound", "message": "Observation not found"}
    assert told(api.call("DELETE", "/v1/observations/x", b""), 404) == missing


def test_its_number_is_a_name_too(api: Api, made: Observation) -> None:
    by_number = f"/v1/observations/{made.number}"
    whole = told(api.get(by_number), 200)["observation"]
    assert (whole["id"], whole["number"]) == (made.id, made.number)
    assert (whole["facts"], whole["filesRead"]) == (["at ten minutes"], ["src/retry.py"])
    assert told(patched(api, by_number, {"kind": "gotcha"}), 200)["observation"]["id"] == made.id
    assert told(api.call("DELETE", by_number, b""), 200) == {"deleted": True, "id": made.id}
    for nothing in ("0", "9" * 18, "9" * 40, f"%23{made.number}", f"{made.number}x", "%20"):
        told(api.get(f"/v1/observations/{nothing}"), 404)


@pytest.mark.parametrize("named", ["id", "number"])
def test_nobody_else_reads_changes_or_deletes_it(
    raw_key: RawKey, team: Team, made: Observation, named: str
) -> None:
    path = f"/v1/observations/{getattr(made, named)}"
    for outsider in (
        Api(raw_key(project=Project.objects.create(team=team, name="other"))),
        Api(raw_key(owner=Team.objects.create(name="strangers"))),
    ):
        told(outsider.get(path), 404)
        told(patched(outsider, path, {"content": "mine"}), 404)
        told(outsider.call("DELETE", path, b""), 404)
    assert Observation.objects.get() == made
    assert Observation.objects.get().content == made.content


def test_new_words_take_the_place_of_all_that_was_said(api: Api, made: Observation) -> None:
    path = f"/v1/observations/{made.id}"
    changed = told(patched(api, path, {"content": "They are not capped."}), 200)["observation"]
    assert changed["content"] == "They are not capped."
    assert (changed["title"], changed["subtitle"], changed["narrative"]) == ("Retries", "", "")
    assert changed["facts"] == []
    assert changed["metadata"] == {"title": "Retries", "concepts": ["gotcha"],
                                   "provider": "offline"}  # fmt: skip
    assert changed["updatedAtEpoch"] > changed["createdAtEpoch"] == changed["occurredAtEpoch"]


def test_a_new_title_stands_at_the_head_of_its_content(api: Api, made: Observation) -> None:
    path = f"/v1/observations/{made.id}"
    changed = told(patched(api, path, {"title": "Caps"}), 200)["observation"]
    assert changed["content"].startswith("Caps\n\nof jobs\n\n")
    assert (changed["title"], changed["metadata"]["title"]) == ("Caps", "Caps")
    assert changed["narrative"] == made.narrative


def test_metadata_is_changed_key_by_key(api: Api, project: Project) -> None:
    new = {"projectId": project.id, "content": "c", "metadata": {"a": 1, "b": None, "c": 3}}
    path = f"/v1/observations/{told(api.post('/v1/observations', new), 201)['observation']['id']}"
    body = {"metadata": {"a": 2, "c": None, "d": {"e": None}}, "concepts": ["pattern"]}
    changed = told(patched(api, path, body), 200)["observation"]
    assert changed["metadata"] == {"a": 2, "b": None, "d": {"e": None}}
    assert changed["concepts"] == ["pattern"]


def test_a_change_is_found_by_its_words_and_no_more_by_the_old_ones(
    api: Api, project: Project, made: Observation
) -> None:
    told(patched(api, f"/v1/observations/{made.id}", {"text": "about the HelmChart"}), 200)

    def found(query: str) -> list[str]:
        body = {"projectId": project.id, "query": query}
        answer = told(api.post("/v1/search", body), 200)
        return [one["id"] for one in answer["observations"]]

    assert found("charts") == [made.id]
    assert found("capped minutes") == []


def test_a_change_passes_the_door_like_anything_else(api: Api, made: Observation) -> None:
    body = {
        "content": "Ask Ann. <private>She is on leave.</private>",
        "title": "With AKIAIOSFODNN7EXAMPLE",
        "metadata": {"password": "correct-horse-42"},
    }
    told(patched(api, f"/v1/observations/{made.id}", body), 200)
    stored = repr(Observation.objects.values().get()) + repr(list(AuditEntry.objects.values()))
    for secret in ("leave", "AKIAIOSFODNN7EXAMPLE", "correct-horse"):
        assert secret not in stored


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, ""),
        ({"unknown": 1}, ""),
        ({"content": None, "kind": None}, ""),
        ({"content": ""}, "content"),
        ({"content": "<private>all</private>"}, "content"),
        ({"content": 7}, "content"),
        ({"kind": ""}, "kind"),
        ({"kind": "x" * 101}, "kind"),
        ({"title": ["t"]}, "title"),
        ({"concepts": "gotcha"}, "concepts"),
        ({"concepts": ["x"] * 51}, "concepts"),
        ({"metadata": []}, "metadata"),
        ({"projectId": "elsewhere", "content": "x"}, "projectId"),
        ([], ""),
    ],
)
def test_a_wrong_change_is_refused_by_its_name_and_changes_nothing(
    api: Api, made: Observation, body: Any, field: str
) -> None:
    before = Observation.objects.values().get()
    answer = patched(api, f"/v1/observations/{made.id}", body)
    assert refused(answer, 400, "ValidationError") == field
    assert Observation.objects.values().get() == before


def test_a_project_stays(api: Api, project: Project, made: Observation) -> None:
    path = f"/v1/memories/{made.id}"
    answer = told(patched(api, path, {"projectId": "elsewhere", "kind": "x"}), 400)
    assert answer["issues"] == [{"path": ["projectId"], "message": "projectId cannot be changed"}]
    told(patched(api, path, {"projectId": project.id, "kind": "x"}), 200)


def test_a_change_of_what_was_changed_meanwhile_is_refused(api: Api, made: Observation) -> None:
    path = f"/v1/observations/{made.id}"
    read = api.get(path)
    first = patched(api, path, {"content": "mine"}, If_Match=read["ETag"])
    assert first["ETag"] not in ("", read["ETag"])
    second = patched(api, path, {"content": "yours"}, If_Match=read["ETag"])
    assert "read it again" in refused(second, 412, "PreconditionFailed")
    assert Observation.objects.get().content == "mine"
    for tag in (first["ETag"], f"W/{first['ETag']}", f'"x", {first["ETag"]}', "*"):
        told(patched(api, path, {"content": "mine"}, If_Match=tag), 200)
    told(patched(api, path, {"content": "no matter"}), 200)


def test_what_the_caller_has_already_is_not_told_again(api: Api, made: Observation) -> None:
    path = f"/v1/observations/{made.id}"
    tag = api.get(path)["ETag"]
    same = api.get(path, If_None_Match=tag)
    assert (same.status_code, same.content, same["ETag"]) == (304, b"", tag)
    told(patched(api, path, {"content": "new"}), 200)
    assert api.get(path, If_None_Match=tag).status_code == 200


def test_changes_and_reads_are_entered(api: Api, project: Project, made: Observation) -> None:
    path = f"/v1/observations/{made.id}"
    told(patched(api, path, {"content": "new", "kind": "decision"}), 200)
    told(patched(api, path, {"content": "new", "kind": "decision"}), 200)
    (entry,) = AuditEntry.objects.filter(action="observation.updated")
    assert (entry.resource_id, entry.project_id) == (made.id, project.id)
    assert set(entry.details["fields"]) >= {"content", "kind"}
    assert "new" not in repr(entry.details)
    told(api.get(path), 200)
    told(api.get(f"/v1/observations?projectId={project.id}&q=new"), 200)
    reads = AuditEntry.objects.filter(action="observation.read").order_by("id")
    modes = [(one.details["mode"], one.details["observationIds"]) for one in reads]
    assert modes == [("observation", [made.id]), ("observations_list", [made.id])]


def _at(project: Project, number: int, **fields: Any) -> Observation:
    at = NOW.replace(minute=number // 2)  # two at a time
    told = {"kind": "manual", "content": f"memory {number}", "occurred_at": at}
    both = {"team": project.team, "project": project, "created_at": at, "updated_at": at}
    return Observation.objects.create(**both, **(told | fields))


def test_a_list_is_walked_newest_first_without_gap_or_repetition(
    api: Api, project: Project, team: Team
) -> None:
    rows = [_at(project, number) for number in range(11)]
    _at(Project.objects.create(team=team, name="other"), 3)
    pages = walked(api, "/v1/observations", "observations", projectId=project.id, limit=3)
    assert [len(page) for page in pages] == [3, 3, 3, 2]
    ids = [one["id"] for page in pages for one in page]
    assert ids == [row.id for row in reversed(rows)]


def test_what_comes_while_a_list_is_walked_moves_nothing(api: Api, project: Project) -> None:
    rows = [_at(project, number) for number in range(6)]
    path = f"/v1/observations?projectId={project.id}&limit=3"
    first = told(api.get(path), 200)
    _at(project, 20)
    rows[3].delete()
    second = told(api.get(f"{path}&cursor={first['nextCursor']}"), 200)
    assert [one["id"] for one in second["observations"]] == [rows[n].id for n in (2, 1, 0)]


def test_each_filter_narrows_a_list(api: Api, project: Project) -> None:
    times = dict.fromkeys(("started_at", "last_event_at", "created_at", "updated_at"), NOW)
    session = Session.objects.create(
        team=project.team, project=project, platform_source="cursor", **times
    )
    plain = _at(project, 0)
    decision = _at(project, 2, kind="decision", concepts=["gotcha", "pattern"])
    read = _at(project, 4, files_read=["src/retry.py"])
    changed = _at(project, 6, files_modified=["docs/retry.md"], session=session)

    def found(asked: str) -> list[Observation]:
        page = told(api.get(f"/v1/observations?projectId={project.id}&{asked}"), 200)
        everything = {row.id: row for row in Observation.objects.all()}
        return [everything[one["id"]] for one in page["observations"]]

    assert found("kind=decision") == [decision]
    assert found("kind=decision&kind=manual") == [changed, read, decision, plain]
    assert found("concept=pattern") == [decision]
    assert found("concept=patt") == []
    assert found("file=retry.py") == [read]
    assert found("file=retry.py&file=/home/dev/docs/retry.md") == [changed, read]
    assert found(f"sessionId={session.id}") == [changed]
    assert found("sessionId=unknown") == []
    assert found("platformSource=Cursor%20CLI") == [changed]
    assert found("since=2026-03-01T12:02:00Z") == [changed, read]
    assert found("since=2026-03-01T13:02%2B01:00&until=2026-03-01T12:03") == [read]
    assert found(f"until={int(NOW.timestamp() * 1000) + 1}") == [plain]
    assert found("since=2026-03-02") == []
    assert found("kind=manual&file=retry.py") == [read]
    assert found("kind=&platformSource=") == [changed, read, decision, plain]


def test_a_session_of_another_project_lists_nothing(api: Api, project: Project, team: Team) -> None:
    other = Project.objects.create(team=team, name="other")
    body = {"projectId": other.id, "externalSessionId": "x"}
    session = told(api.post("/v1/sessions/start", body), 201)["session"]
    memory = {"projectId": other.id, "serverSessionId": session["id"], "content": "c"}
    told(api.post("/v1/observations", memory), 201)
    for of, count in ((project, 0), (other, 1)):
        path = f"/v1/observations?projectId={of.id}&sessionId={session['id']}"
        assert len(told(api.get(path), 200)["observations"]) == count


@pytest.mark.parametrize("kind", ["nothing", "decision"])
def test_what_is_rare_is_found_behind_what_is_looked_through(
    api: Api, project: Project, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("observations.listings.MOST_LOOKED_THROUGH", 4)
    rare = [_at(project, number, kind="decision").id for number in (0, 9)]
    for number in (1, 2, 3, 4, 5, 6, 7, 8, 10):
        _at(project, number)
    pages = walked(
        api, "/v1/observations", "observations", projectId=project.id, kind=kind, limit=2
    )
    ids = [one["id"] for page in pages for one in page]
    assert ids == (rare[::-1] if kind == "decision" else [])
    assert 1 < len(pages) <= 4


def test_a_question_is_answered_page_by_page(api: Api, project: Project) -> None:
    ids = {
        _at(project, number, content=f"Retries are capped at {number}").id for number in range(7)
    }
    _at(project, 8, content="Something else", kind="decision")
    path, asked = "/v1/observations", {"projectId": project.id, "q": "capped+retries", "limit": 3}
    pages = walked(api, path, "observations", **asked)
    assert [len(page) for page in pages] == [3, 3, 1]
    assert {one["id"] for page in pages for one in page} == ids
    assert walked(api, path, "observations", **asked, kind="decision") == [[]]
    ranked = [one["id"] for page in pages for one in page]
    body: Body = {"projectId": project.id, "query": "capped retries", "limit": 3, "cursor": None}
    found = []
    for path in ("/v1/search", "/v1/context"):
        body["cursor"], found = None, []
        while True:
            page = told(api.post(path, body), 200)
            found += [one["id"] for one in page["observations"]]
            body["cursor"] = page["nextCursor"]
            if not body["cursor"]:
                break
        assert found == ranked
    del body["cursor"]
    assert list(told(api.post("/v1/search", body), 200)) == ["observations"]
    assert list(told(api.post("/v1/context", body), 200)) == ["observations", "context"]


def test_a_question_is_followed_only_so_far(
    api: Api, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("observations.recall.MOST_RANKED", 4)
    for number in range(7):
        _at(project, number, content=f"Retries are capped at {number}")
    asked = {"projectId": project.id, "q": "capped", "limit": 3}
    pages = walked(api, "/v1/observations", "observations", **asked)
    assert [len(page) for page in pages] == [3, 1]


def test_search_and_context_take_the_filters_of_lists(api: Api, project: Project) -> None:
    _at(project, 0, content="Retries are capped")
    wanted = _at(project, 2, content="Retries are jittered", kind="decision", concepts=["gotcha"],
                 files_read=["retry.py"])  # fmt: skip
    asked: Body = {"projectId": project.id, "query": "retries"}
    for more in (
        {"kinds": ["decision"]},
        {"concepts": ["gotcha", "x"]},
        {"files": ["src/retry.py"]},
        {"since": "2026-03-01T12:01:00Z"},
        {"since": int(NOW.timestamp() * 1000) + 1, "until": float(NOW.timestamp() * 2000)},
    ):
        for path in ("/v1/search", "/v1/context"):
            found = told(api.post(path, asked | more), 200)["observations"]
            assert [one["id"] for one in found] == [wanted.id], (path, more)
    for field, wrong in (
        ("kinds", "decision"),
        ("files", [7]),
        ("since", "soon"),
        ("until", True),
        ("until", 1e300),
        ("cursor", "x"),
        ("cursor", 7),
    ):
        answer = api.post("/v1/search", asked | {field: wrong})
        assert refused(answer, 400, "ValidationError").startswith(field)
