"""The memory of claude-mem is taken over whole, once, and without what is secret."""

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from observations import ingest, memories, recall, takeover
from observations.claude_mem_file import opened
from observations.errors import InvalidInput
from observations.memories import Revision
from observations.models import AuditEntry, Event, Observation, Project, Session, Team
from observations.takeover import Takeover, Tally
from queueing import broker
from queueing.models import GenerationJob
from tests.observations import claude_mem
from tests.observations.claude_mem import NOON, add, fill, made

pytestmark = pytest.mark.django_db

ORIGIN = {"source": "test"}
AWS = "AKIAIOSFODNN7EXAMPLE"
MODELS = (Session, Observation, Event, GenerationJob, Project)


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "publish", lambda job_id, kind: None)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database that claude-mem has open while we read it."""
    connection = made(tmp_path / "claude-mem.db")
    yield connection
    connection.close()


Take = Callable[[], dict[str, Tally]]


@pytest.fixture
def take(team: Team, tmp_path: Path, source: sqlite3.Connection) -> Take:
    def _take() -> dict[str, Tally]:
        with opened(tmp_path / "claude-mem.db") as found:
            return {each.table: each for each in Takeover(found, team.id, ORIGIN).run()}

    return _take


def counts() -> tuple[int, ...]:
    return tuple(model._default_manager.count() for model in MODELS)


def test_every_row_is_taken_over_once(source: sqlite3.Connection, take: Take, team: Team) -> None:
    fill(source, 300)
    first = take()
    told = {name: (each.rows, each.taken, each.known) for name, each in first.items()}
    assert told == {
        "sdk_sessions": (10, 10, 0), "observations": (300, 300, 0),
        "session_summaries": (10, 10, 0), "user_prompts": (10, 10, 0),
        "pending_messages": (2, 2, 0),
    }  # fmt: skip
    before = counts()
    assert before == (10, 310, 12, 2, 3)
    again = take()
    assert counts() == before
    assert all(each.known == each.rows and not each.taken for each in again.values())
    imported = AuditEntry.objects.filter(action="memory.imported")
    assert sum(each.details["observationCount"] for each in imported) == 310


def test_an_observation_is_found_and_is_what_it_was(
    source: sqlite3.Connection, take: Take, team: Team
) -> None:
    fill(source, 30)
    take()
    project = Project.objects.get(name="project-2")
    row = recall.search(project.id, "widget17 backoff", limit=3).observations[0]
    assert row.title == "Cap number 17"
    assert row.project.name == "project-2"
    assert row.session is not None
    assert row.session.content_session_id == "content-8"
    assert row.occurred_at == datetime.fromtimestamp(NOON / 1000 + 17, UTC)
    assert (row.kind, row.facts, row.concepts) == (
        "bugfix", ["the cap of widget17 is 17 s"], ["how-it-works"]
    )  # fmt: skip
    assert (row.files_read, row.files_modified) == (["src/widget17.py"], ["src/retry.py"])
    assert row.metadata["discovery_tokens"] == 117
    assert row.content.startswith("Cap number 17\n\nRetries of widget17 are capped")


def test_a_summary_is_told_to_the_next_session(
    source: sqlite3.Connection, take: Take, team: Team
) -> None:
    fill(source, 3, sessions=2)
    take()
    project = Project.objects.get(name="project-2")
    summary = Observation.objects.get(project=project, kind="summary")
    assert summary.title == "Cap the retries of part 2."
    assert summary.metadata["next_steps"] == "Document it."
    assert "Document it." in recall.session_context(project.id).text


def test_prompts_and_sessions_keep_their_times(source: sqlite3.Connection, take: Take) -> None:
    fill(source, 3, sessions=2)
    take()
    session = Session.objects.get(content_session_id="content-2")
    (prompt,) = session.events.all()
    assert prompt.event_type == "UserPromptSubmit"
    assert prompt.payload["prompt"] == "Please cap the retries of part 2"
    assert prompt.occurred_at == datetime.fromtimestamp((NOON + 2) / 1000, UTC)
    assert session.started_at == prompt.occurred_at
    assert session.ended_at == datetime.fromtimestamp(NOON / 1000 + 3600, UTC)
    assert session.last_event_at == session.ended_at


def test_what_waits_becomes_jobs_and_what_does_not_is_left_out(
    source: sqlite3.Connection, take: Take
) -> None:
    add(source, "sdk_sessions", [claude_mem.session(1)])
    add(source, "pending_messages", [
        claude_mem.pending(1), claude_mem.pending(2, status="processing"),
        claude_mem.pending(3, status="failed"), claude_mem.pending(4, session_db_id=9,
                                                                   content_session_id="none"),
        claude_mem.pending(5, message_type="summarize", last_assistant_message="Capped it."),
    ])  # fmt: skip
    tally = take()["pending_messages"]
    assert (tally.taken, dict(tally.left_out)) == (
        3, {"not waiting any more": 1, "of no session that was taken": 1}
    )  # fmt: skip
    jobs = GenerationJob.objects.order_by("seq")
    assert [job.kind for job in jobs] == ["event-batch", "event-batch", "summary"]
    event = Event.objects.get(id=jobs[0].source_id)
    assert event.payload["tool_input"] == {"command": "ls part1"}
    assert event.source_adapter == "claude-code"
    assert not take()["pending_messages"].taken


def test_what_hooks_captured_is_known(
    source: sqlite3.Connection, take: Take, team: Team, project: Project
) -> None:
    fill(source, 3, sessions=1)
    said = {"session_id": "content-1", "cwd": "/home/dev/widgets"}
    for payload in (
        {"hook_event_name": "UserPromptSubmit", "prompt_id": "p1",
         "prompt": "Please cap the retries of part 1"},
        {"hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_use_id": "toolu_2"},
    ):  # fmt: skip
        ingest.capture_hook(team.id, project.id, {**said, **payload}, origin=ORIGIN)
    live = Session.objects.get()
    told = take()
    assert told["sdk_sessions"].known == 1
    assert (told["user_prompts"].known, told["user_prompts"].taken) == (1, 0)
    assert (told["pending_messages"].known, told["pending_messages"].taken) == (1, 1)
    assert Session.objects.get().ended_at is None
    assert Session.objects.get().started_at == live.started_at
    # What is remembered of another project than its session's stands there alone.
    assert not Observation.objects.filter(project=project).exists()
    assert set(Observation.objects.values_list("session", "project__name")) == {(None, "project-1")}


def test_what_is_secret_or_private_stays_behind(source: sqlite3.Connection, take: Take) -> None:
    secret = f"the key is {AWS} <private>and Ada leaves</private>"
    add(source, "sdk_sessions", [claude_mem.session(1, custom_title=secret)])
    add(source, "observations", [claude_mem.observation(
        1, 1, title=secret, narrative=secret, facts=[secret], files_read=[secret], type=secret
    )])  # fmt: skip
    add(source, "session_summaries", [{**claude_mem.summary(1), "request": secret}])
    add(source, "user_prompts", [claude_mem.prompt(1, prompt_text=secret)])
    add(source, "pending_messages", [claude_mem.pending(1, tool_response=secret)])
    assert all(each.taken == 1 for each in take().values())
    kept = str([list(model._default_manager.values()) for model in MODELS])
    assert "the key is" in kept
    assert AWS not in kept
    assert "Ada" not in kept


def test_worktrees_are_in_the_project_that_they_were_merged_into(
    source: sqlite3.Connection, take: Take
) -> None:
    add(source, "sdk_sessions", [claude_mem.session(1, project="widgets/fix")])
    add(source, "observations", [claude_mem.observation(
        1, 1, project="widgets/fix", merged_into_project="widgets"
    )])  # fmt: skip
    take()
    row = Observation.objects.get()
    assert row.project.name == "widgets"
    assert row.session is not None
    assert row.session.project_id == row.project_id


def test_rows_that_cannot_be_taken_are_told_with_the_reason(
    source: sqlite3.Connection, take: Take
) -> None:
    add(source, "sdk_sessions", [claude_mem.session(1)])
    nothing: dict[str, Any] = dict.fromkeys(("title", "subtitle", "narrative", "facts"), None)
    add(source, "observations", [
        claude_mem.observation(1, 1), claude_mem.observation(2, 1, **nothing),
        claude_mem.observation(3, 1, created_at_epoch=0, created_at="then"),
        claude_mem.observation(4, 1, project="observer-sessions"),
        claude_mem.observation(5, 99),
    ])  # fmt: skip
    tally = take()["observations"]
    assert (tally.rows, tally.taken) == (5, 2)
    assert dict(tally.left_out) == {
        "says nothing": 1, "tells no time": 1, "of claude-mem's own sessions": 1,
    }  # fmt: skip
    assert Observation.objects.get(title="Cap number 5").session is None


def test_a_message_that_cannot_be_stored_is_left_out_and_the_others_are_taken(
    source: sqlite3.Connection, take: Take
) -> None:
    add(source, "sdk_sessions", [claude_mem.session(1)])
    deep = "[" * 300 + "]" * 300
    add(source, "pending_messages", [
        claude_mem.pending(1, tool_response=deep), claude_mem.pending(2),
    ])  # fmt: skip
    tally = take()["pending_messages"]
    assert (tally.taken, sum(tally.left_out.values())) == (1, 1)
    assert next(iter(tally.left_out)).startswith("cannot be stored: ")


def test_the_first_versions_databases_are_taken_over_too(team: Team, tmp_path: Path) -> None:
    old = made(tmp_path / "old.db", claude_mem.OLDEST)
    add(old, "sdk_sessions", [{
        "claude_session_id": "c1", "sdk_session_id": "m1", "project": "widgets",
        "started_at": claude_mem.A_DAY, "started_at_epoch": NOON // 1000, "status": "active",
    }])  # fmt: skip
    add(old, "observations", [{
        "sdk_session_id": "m1", "project": "widgets", "text": "Retries are capped.",
        "type": "decision", "created_at": claude_mem.A_DAY, "created_at_epoch": NOON,
    }])  # fmt: skip
    with opened(tmp_path / "old.db") as source:
        told = {each.table: each.taken for each in Takeover(source, team.id, ORIGIN).run()}
    assert (told["sdk_sessions"], told["observations"], told["user_prompts"]) == (1, 1, 0)
    row = Observation.objects.get()
    assert (row.content, row.kind) == ("Retries are capped.", "decision")
    assert row.session is not None
    assert row.session.started_at == row.occurred_at
    old.close()


def test_all_is_as_it_was_at_one_moment_while_claude_mem_writes(
    source: sqlite3.Connection, team: Team, tmp_path: Path
) -> None:
    fill(source, 10, sessions=1)
    with opened(tmp_path / "claude-mem.db") as found:
        add(source, "observations", [claude_mem.observation(99, 1)])
        told = {each.table: each.rows for each in Takeover(found, team.id, ORIGIN).run()}
    assert told["observations"] == 10
    # And nothing was written into it.
    assert source.execute("SELECT count(*) FROM observations").fetchone() == (11,)


def test_what_was_broken_off_goes_on(
    source: sqlite3.Connection, take: Take, monkeypatch: pytest.MonkeyPatch, team: Team,
    tmp_path: Path,
) -> None:  # fmt: skip
    fill(source, 30)
    monkeypatch.setattr(takeover, "AT_ONCE", 7)

    def stop(rows: int) -> None:
        if Observation.objects.count() > 10:
            raise KeyboardInterrupt

    with opened(tmp_path / "claude-mem.db") as found, pytest.raises(KeyboardInterrupt):
        Takeover(found, team.id, ORIGIN).run(stop)
    assert Observation.objects.count() == 14
    told = take()["observations"]
    assert (told.taken, told.known) == (16, 14)


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100, None])
def test_what_is_no_database_of_claude_mem_is_refused(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "x.db"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"x\.db"), opened(file):
        pass
    made(file if content is None else tmp_path / "y.db", "CREATE TABLE observations (id INTEGER)")
    with pytest.raises(InvalidInput, match=r"no database of claude-mem|damaged"), opened(file):
        pass


def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "claude-mem.db"
    connection = made(file)
    fill(connection, 200)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    whole = file.read_bytes()
    file.write_bytes(whole[:20_000] + b"\x99" * 30_000 + whole[50_000:])
    with pytest.raises(InvalidInput, match=r"damaged.*\.recover"), opened(file):
        pass


def test_the_words_of_a_summary_that_is_reworded_do_not_stay_behind(
    source: sqlite3.Connection, take: Take, team: Team
) -> None:
    fill(source, 1, sessions=1)
    take()
    summary = Observation.objects.get(kind="summary")
    memories.revise(team.id, None, summary.id, Revision(content="All is well."))
    assert "Document it." not in str(Observation.objects.filter(pk=summary.pk).values())
