import json
from pathlib import Path
from typing import Any

import pytest

from observations.models import Event, Project, ProjectAlias, Session, Team
from queueing.models import GenerationJob
from tests.claudemem.api.conftest import Api, RawKey, refused, told

HOOK = "/v1/hooks/claude-code"
RECORDING = Path(__file__).parents[2] / "recordings/claude-code/retry-max-wait.jsonl"
PAYLOAD: dict[str, Any] = {
    "session_id": "s-1",
    "hook_event_name": "PostToolUse",
    "cwd": "/home/dev/shop",
    "tool_name": "Bash",
    "tool_use_id": "toolu_1",
    "tool_input": {"command": "make test"},
    "tool_response": {"stdout": "12 passed"},
}


def test_a_payload_is_answered_with_an_empty_object_and_told_of_in_headers(api: Api) -> None:
    answer = api.post(HOOK, PAYLOAD)
    # Claude Code takes the body as instructions, and complains of words that it does not know.
    assert told(answer, 200) == {}
    assert answer["X-Event-Id"] == Event.objects.get().id
    assert answer["X-Job-Id"] == GenerationJob.objects.get().id
    assert answer["X-Transport"] == "queued_only"
    assert answer["X-Duplicate"] == "false"


def test_the_same_payload_again_is_a_duplicate(api: Api) -> None:
    first, second = (api.post(HOOK, PAYLOAD) for _ in range(2))
    assert told(second, 200) == {}
    assert second["X-Duplicate"] == "true"
    assert second["X-Event-Id"] == first["X-Event-Id"]
    assert second["X-Job-Id"] == first["X-Job-Id"]


def test_where_memory_is_off_nothing_is_stored_and_nothing_told(api: Api) -> None:
    answer = api.post(HOOK, PAYLOAD, X_Claude_Mem_Off="1")
    assert told(answer, 200) == {}
    assert "X-Event-Id" not in answer
    assert not Event.objects.exists()
    assert not Session.objects.exists()


def test_a_payload_without_an_id_is_known_again_by_its_delivery(api: Api) -> None:
    resumed = {"session_id": "s-1", "hook_event_name": "SessionStart", "source": "resume"}
    sent = [
        api.post(HOOK, resumed, X_Claude_Mem_Delivery=one, X_Claude_Mem_Occurred="1768070035.5")
        for one in ("d-1", "d-1", "d-2")
    ]
    assert [each["X-Duplicate"] for each in sent] == ["false", "true", "false"]
    assert {event.occurred_at.isoformat() for event in Event.objects.all()} == {
        "2026-01-10T18:33:55.500000+00:00"
    }


def test_a_header_that_cannot_be_read_is_named(api: Api) -> None:
    answer = api.post(HOOK, PAYLOAD, X_Claude_Mem_Place="[")
    assert refused(answer, 400, "ValidationError") == "X-Claude-Mem-Place"
    assert not Event.objects.exists()


def test_an_event_that_makes_no_job_says_so(api: Api) -> None:
    for name in ("PreToolUse", "SomethingNewInVersion3"):
        answer = api.post(HOOK, PAYLOAD | {"hook_event_name": name, "tool_use_id": name})
        assert told(answer, 200) == {}
        assert "X-Job-Id" not in answer
        assert answer["X-Transport"] == "skipped"
    assert Event.objects.count() == 2


def test_with_a_team_key_the_project_is_that_of_the_directory(api: Api, team: Team) -> None:
    told(api.post(HOOK, PAYLOAD), 200)
    assert Event.objects.get().project == Project.objects.get(team=team, name="shop")


def test_with_a_project_key_it_is_the_key_s(raw_key: RawKey, project: Project) -> None:
    told(Api(raw_key("events:write", project=project)).post(HOOK, PAYLOAD), 200)
    assert Event.objects.get().project == project
    assert Session.objects.get().project == project


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("session_id", None),
        ("session_id", 7),
        ("session_id", ""),
        ("hook_event_name", ["Stop"]),
        ("hook_event_name", None),
        ("cwd", {"path": "/"}),
        ("tool_use_id", 1.5),
    ],
)
def test_a_field_of_the_wrong_type_is_named(api: Api, field: str, value: Any) -> None:
    answer = api.post(HOOK, PAYLOAD | {field: value})
    assert refused(answer, 400, "ValidationError") == field
    assert not Event.objects.exists()


@pytest.mark.parametrize("body", [b"", b"[]", b'"text"', b"7", b"null", b"{", b"[" * 100_000])
def test_what_is_no_payload_is_refused(api: Api, body: bytes) -> None:
    told(api.post(HOOK, body), 400)
    assert not Event.objects.exists()


def test_a_recorded_session_is_taken_whole(api: Api) -> None:
    payloads = [json.loads(line) for line in RECORDING.read_text().splitlines()]
    for payload in payloads:
        assert told(api.post(HOOK, payload), 200) == {}
    assert Event.objects.count() == len(payloads)
    for payload in payloads:
        assert api.post(HOOK, payload)["X-Duplicate"] == "true"
    assert Event.objects.count() == len(payloads)


def test_a_caller_on_this_machine_has_its_repository_read(
    api: Api, team: Team, tmp_path: Path
) -> None:
    for name in ("objects", "refs"):
        (tmp_path / "checkout" / ".git" / name).mkdir(parents=True)
    (tmp_path / "checkout" / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    config = '[remote "origin"]\n\turl = https://me:hunter2@github.com/acme/shop.git\n'
    (tmp_path / "checkout" / ".git" / "config").write_text(config)
    payload = {**PAYLOAD, "cwd": str(tmp_path / "checkout")}

    away = api.post(HOOK, {**payload, "session_id": "away"}, Via="1.1 proxy", Host="localhost")
    here = api.post(HOOK, {**payload, "session_id": "here"}, Host="localhost")

    found = {s.content_session_id: s for s in Session.objects.select_related("project")}
    assert (away.status_code, here.status_code) == (200, 200)
    assert (found["away"].project.name, found["away"].branch) == ("checkout", None)
    assert (found["here"].project.name, found["here"].branch) == ("shop", "main")
    kept = [*Session.objects.values(), *ProjectAlias.objects.values()]
    assert "hunter2" not in str(kept)
