"""Capturing events: once, all or none, in their session's order."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from observations import ingest, sessions
from observations.errors import Forbidden, InvalidInput
from observations.ingest import NewEvent, SessionRef
from observations.models import Event, Project, Session, Team
from observations.sessions import NewSession
from queueing import broker, kinds, outbox
from queueing.errors import QueueStoreAway
from queueing.models import GenerationJob, Lane

pytestmark = pytest.mark.django_db

RECORDINGS = sorted((Path(__file__).parents[1] / "recordings").rglob("*.jsonl"))
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
ORIGIN = {"source": "test"}


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    sent: list[str] = []
    monkeypatch.setattr(broker, "publish", lambda job_id, kind: sent.append(job_id))
    return sent


def hook(name: str = "PostToolUse", **fields: Any) -> dict[str, Any]:
    tool = {"tool_name": "Bash", "tool_input": {"command": "ls"}} if "Tool" in name else {}
    return {
        "hook_event_name": name, "session_id": "s1", "cwd": "/home/dev/procrastinate",
        **tool, **fields,
    }  # fmt: skip


def capture_hook(project: Project, payload: dict[str, Any]) -> ingest.Captured:
    return ingest.capture_hook(project.team_id, project.id, payload, origin=ORIGIN)


def event(project: Project, **fields: Any) -> NewEvent:
    given = {"event_type": "tool_use", "source_adapter": "api", "payload": {"n": 1}, **fields}
    return NewEvent(project_id=project.id, **given)


def capture(project: Project, *events: NewEvent) -> tuple[ingest.Captured, ...]:
    return ingest.capture(project.team_id, events, origin=ORIGIN, kind=kinds.EVENT)


def replay(project: Project, file: Path) -> list[ingest.Captured]:
    lines = file.read_text().splitlines()
    return [capture_hook(project, json.loads(line)) for line in lines]


@pytest.mark.parametrize("file", RECORDINGS, ids=lambda file: file.stem)
def test_a_recording_is_captured_once_however_often_it_is_replayed(
    project: Project, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = replay(project, file)
    assert not any(one.duplicate for one in first)
    counts = Event.objects.count(), GenerationJob.objects.count(), Session.objects.count()
    # Long after the window in which deliveries that are alike are the same.
    later = datetime.now(UTC) + timedelta(days=1)
    monkeypatch.setattr("queueing.direct.now", lambda: later)
    again = replay(project, file)
    assert all(one.duplicate for one in again)
    assert [one.event.id for one in again] == [one.event.id for one in first]
    assert (Event.objects.count(), GenerationJob.objects.count(), Session.objects.count()) == counts


@pytest.mark.parametrize("file", RECORDINGS, ids=lambda file: file.stem)
def test_a_sessions_events_are_numbered_in_the_order_of_their_arrival(
    project: Project, file: Path
) -> None:
    captured = replay(project, file)
    assert [one.event.number for one in captured] == list(range(1, len(captured) + 1))
    session = Session.objects.get()
    assert session.last_number == len(captured)
    assert session.end_reason == "other"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("PostToolUse", "event"),
        ("PostToolUseFailure", "event"),
        ("SubagentStop", "event"),
        ("UserPromptSubmit", None),
        ("PreToolUse", None),
        ("SessionStart", None),
        ("Notification", None),
        ("SomethingNobodyHasHeardOf", None),
    ],
)
def test_each_hook_event_is_stored_and_makes_the_job_that_it_should(
    project: Project, name: str, kind: str | None
) -> None:
    captured = capture_hook(project, hook(name))
    assert captured.event.event_type == name
    assert (captured.job.kind if captured.job else None) == kind
    assert captured.transport == ("enqueued" if kind else "skipped")


@pytest.mark.parametrize("name", ["Stop", "PreCompact", "SessionEnd"])
def test_a_summary_is_made_if_there_is_something_new(project: Project, name: str) -> None:
    assert capture_hook(project, hook(name, n=1)).job is None
    capture_hook(project, hook("UserPromptSubmit", prompt="go", prompt_id="p1"))
    job = capture_hook(project, hook(name, n=2)).job
    assert job is not None
    assert (job.kind, job.source_type, job.covers) == ("summary", "session_summary", 3)
    assert capture_hook(project, hook(name, n=3)).job is None


def test_session_event_job_and_lane_are_written_together(project: Project) -> None:
    captured = capture_hook(project, hook(tool_use_id="t1"))
    job = GenerationJob.objects.get()
    assert captured.job is not None
    assert job.id == captured.job.id
    assert job.source_id == captured.event.id
    assert job.session_id == captured.event.session_id
    assert job.queue_job_id.startswith("evt_")
    assert Lane.objects.get().key == Session.objects.get().lane_key


def test_a_sessions_jobs_share_one_lane_and_only_its_head_is_published(
    project: Project, published: list[str]
) -> None:
    jobs = [capture_hook(project, hook(tool_use_id=f"t{n}")).job for n in range(3)]
    assert Lane.objects.count() == 1
    assert published == [jobs[0].id] if jobs[0] else False


def test_a_failed_publish_leaves_the_row_queued_and_says_so(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(job_id: str, kind: str) -> None:
        raise QueueStoreAway("the queue store did not answer")

    monkeypatch.setattr(broker, "publish", refuse)
    captured = capture_hook(project, hook())
    assert captured.transport == outbox.QUEUED_ONLY
    assert GenerationJob.objects.get().state == "queued"


def test_a_job_behind_a_head_that_waits_for_the_store_is_enqueued_in_its_lane(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(job_id: str, kind: str) -> None:
        asked.append(job_id)
        raise QueueStoreAway("the queue store did not answer")

    monkeypatch.setattr(broker, "publish", refuse)
    captured = [capture_hook(project, hook(tool_use_id=f"t{n}")) for n in range(2)]
    assert [each.transport for each in captured] == [outbox.QUEUED_ONLY, outbox.ENQUEUED]
    assert asked == [captured[0].job_id]


def test_what_has_an_id_of_its_own_is_the_same_whenever_it_comes(project: Project) -> None:
    first = capture_hook(project, hook(tool_use_id="t1"))
    again = capture_hook(project, hook(tool_use_id="t1", tool_response={"later": True}))
    assert again.duplicate
    assert again.event.id == first.event.id
    assert again.job is not None
    assert first.job is not None
    assert again.job.id == first.job.id


@pytest.mark.parametrize(("seconds", "same"), [(0, True), (9, True), (10, True), (11, False)])
@pytest.mark.parametrize("start", [0, 3, 9.5])
def test_what_has_no_id_is_the_same_within_ten_seconds(
    project: Project, seconds: int, same: bool, start: float
) -> None:
    first = NOON + timedelta(seconds=start)
    capture(project, event(project, occurred_at=first))
    (second,) = capture(project, event(project, occurred_at=first + timedelta(seconds=seconds)))
    assert second.duplicate is same


def test_the_same_words_with_another_payload_are_another_event(project: Project) -> None:
    capture(project, event(project, occurred_at=NOON))
    (second,) = capture(project, event(project, occurred_at=NOON, payload={"n": 2}))
    assert not second.duplicate


def test_a_batch_keeps_its_order_and_finds_its_own_duplicates(project: Project) -> None:
    batch = [event(project, payload={"n": n}, occurred_at=NOON) for n in (1, 2, 1, 3)]
    captured = capture(project, *batch)
    assert [one.event.payload for one in captured] == [{"n": 1}, {"n": 2}, {"n": 1}, {"n": 3}]
    assert [one.duplicate for one in captured] == [False, False, True, False]
    assert Event.objects.count() == GenerationJob.objects.count() == 3


def test_a_batch_makes_the_jobs_that_were_not_asked_for_before_each_once(project: Project) -> None:
    quiet = event(project, payload={"n": 1}, occurred_at=NOON, generate=False)
    first = capture(project, quiet)[0]
    assert first.job is None
    batch = [replace(quiet, generate=True), event(project, payload={"n": 2}, occurred_at=NOON)]
    for _ in range(2):
        captured = capture(project, *batch)
        assert captured[0].event.id == first.event.id
        assert [one.job_id is not None for one in captured] == [True, True]
    jobs = GenerationJob.objects.values_list("source_id", flat=True)
    assert sorted(jobs) == sorted(one.event.id for one in captured)


def test_a_batch_with_one_foreign_event_stores_nothing(project: Project) -> None:
    other = Project.objects.create(team=Team.objects.create(name="other"), name="theirs")
    with pytest.raises(Forbidden):
        capture(project, event(project), event(other))
    assert not Event.objects.exists()


def test_an_event_finds_the_newest_session_of_its_content_id(project: Project) -> None:
    new = NewSession(project.id, content_session_id="c1", platform_source="Cursor")
    session, _ = sessions.start(project.team_id, new)
    (linked,) = capture(project, event(project, session=SessionRef(None, "c1")))
    assert linked.event.session_id == session.id
    (elsewhere,) = capture(
        project,
        event(project, payload=2, session=SessionRef(None, "c1", True), platform_source=None),
    )
    assert elsewhere.event.session_id is None


def test_linked_or_not_the_events_of_a_content_id_share_a_lane(project: Project) -> None:
    capture(project, event(project, session=SessionRef(None, "c1")))
    sessions.start(project.team_id, NewSession(project.id, content_session_id="c1"))
    capture(project, event(project, payload=2, session=SessionRef(None, "c1")))
    assert Lane.objects.count() == 1


def test_a_foreign_session_is_refused(project: Project) -> None:
    other = Project.objects.create(team=project.team, name="other")
    session, _ = sessions.start(project.team_id, NewSession(other.id, content_session_id="c"))
    with pytest.raises(Forbidden, match="server_session_id"):
        capture(project, event(project, session=SessionRef(session.id)))


def test_with_a_team_key_the_project_is_named_by_the_working_directory(team: Team) -> None:
    for _ in range(2):
        ingest.capture_hook(team.id, None, hook(cwd="/home/dev/procrastinate"), origin=ORIGIN)
    assert Project.objects.get().name == "procrastinate"


def test_a_prompt_after_the_end_opens_the_session_again(project: Project) -> None:
    capture_hook(project, hook("SessionEnd", reason="logout"))
    assert Session.objects.get().end_reason == "logout"
    capture_hook(project, hook("UserPromptSubmit", prompt="more", prompt_id="p2"))
    assert Session.objects.get().ended_at is None


def test_a_silent_session_is_closed_and_summarised_once(project: Project) -> None:
    capture_hook(project, hook("UserPromptSubmit", prompt="go"))
    assert sessions.close_idle() == 0
    later = datetime.now(UTC) + timedelta(hours=2)
    assert sessions.close_idle(later) == 1
    assert sessions.close_idle(later) == 0
    assert Session.objects.get().end_reason == "idle"
    assert GenerationJob.objects.get().kind == "summary"


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ([], ()),
        ("text", ()),
        ({}, ("hook_event_name",)),
        ({"hook_event_name": 7}, ("hook_event_name",)),
        ({"hook_event_name": "Stop"}, ("session_id",)),
        ({"hook_event_name": "Stop", "session_id": " "}, ("session_id",)),
        ({"hook_event_name": "Stop", "session_id": "s", "cwd": []}, ("cwd",)),
        ({"hook_event_name": "Stop", "session_id": "s", "timestamp": 1e300}, ("timestamp",)),
        ({"hook_event_name": "Stop", "session_id": "s", "timestamp": True}, ("timestamp",)),
    ],
)
def test_an_unusable_hook_payload_names_the_field(
    project: Project, payload: Any, path: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        capture_hook(project, payload)
    assert refused.value.path == path
    assert not Event.objects.exists()
    assert not Session.objects.exists()


@pytest.mark.parametrize("field", ["tool_name", "prompt", "agent_id", "last_assistant_message"])
def test_what_is_text_must_be_text(project: Project, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        capture_hook(project, hook(**{field: ["no text"]}))
    assert refused.value.path == (field,)


def test_what_the_agent_says_at_the_end_is_news_even_after_a_compaction(project: Project) -> None:
    capture_hook(project, hook("UserPromptSubmit", prompt="go", prompt_id="p1"))
    assert capture_hook(project, hook("PreCompact")).job
    said = hook("Stop", last_assistant_message="One caller still needs the change.")
    assert capture_hook(project, said).job


OF_MEMORY = (
    "mcp__claude-mem__search", "mcp__claudemem__get_observations", "mcp__claude_mem__context",
    "mcp__plugin_claude-mem_mcp-search__timeline",
)  # fmt: skip


@pytest.mark.parametrize("tool", OF_MEMORY)
def test_what_memory_tells_is_kept_as_an_event_of_which_nothing_is_made(
    project: Project, tool: str
) -> None:
    used = {"tool_name": tool, "tool_response": "#12 Retries wait five seconds"}
    assert capture_hook(project, hook(**used)).job is None
    assert capture_hook(project, hook("Stop")).job is None
    (told,) = capture(project, event(project, payload=used))
    assert told.job is None
    assert Event.objects.filter(payload__tool_name=tool).count() == 2
    assert capture_hook(project, hook(tool_use_id="t2", tool_name="Bash")).job


@pytest.mark.parametrize(
    "tool", ["mcp__claude-memory-bank__search", "mcp__claudemembers__list", "claude-mem__x", "Bash"]
)
def test_the_tools_of_others_are_observed_whatever_they_are_called(
    project: Project, tool: str
) -> None:
    assert capture_hook(project, hook(tool_name=tool)).job


def test_a_second_compaction_of_a_prompt_is_summarised_too(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for number in range(2):
        later = datetime.now(UTC) + timedelta(minutes=number)
        monkeypatch.setattr("queueing.direct.now", lambda at=later: at)
        capture_hook(project, hook(tool_use_id=f"t{number}", prompt_id="p1"))
        made.append(capture_hook(project, hook("PreCompact", prompt_id="p1")).job)
    assert all(made)


def test_an_agent_can_resume_an_ended_session_again_and_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        later = datetime.now(UTC) + timedelta(minutes=number)
        monkeypatch.setattr("queueing.direct.now", lambda at=later: at)
        assert not capture_hook(project, hook("SessionStart", source="resume")).duplicate
        assert Session.objects.get().ended_at is None
        capture_hook(project, hook("SessionEnd", reason="other", n=number))


def test_names_lose_secrets_and_still_tell_apart(project: Project) -> None:
    tokens = [f"ghp_{letter * 36}" for letter in "ab"]
    made = [
        sessions.start(project.team_id, NewSession(project.id, external_session_id=token))[0]
        for token in tokens
    ]
    assert made[0].id != made[1].id
    again, created = sessions.start(
        project.team_id, NewSession(project.id, external_session_id=tokens[0])
    )
    assert (again.id, created) == (made[0].id, False)
    (captured,) = capture(project, event(project, source_event_id=tokens[0]))
    kept = [made[0].external_session_id, captured.event.source_event_id]
    assert not any(token in str(kept) for token in tokens)


def test_a_payload_too_deep_to_be_stored_is_refused_whole(project: Project) -> None:
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    with pytest.raises(InvalidInput, match="JSON"):
        capture_hook(project, hook(extra=deep))
    assert not Event.objects.exists()
