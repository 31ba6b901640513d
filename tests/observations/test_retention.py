"""Pruning leaves memory as it was: nothing is made twice, nothing that is remembered goes."""

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db.models import F
from django.test import override_settings
from django.utils import timezone

from observations import entries, ingest, ordinary, recall, retention, sessions, tasks
from observations.ingest import NewEvent
from observations.models import AuditEntry, Event, Observation, Project, Session, Telling
from queueing import broker, kinds, outbox
from queueing.models import GenerationJob, Pruning
from queueing.statements import now
from tests.queueing.test_retention import age, long_ago

pytestmark = pytest.mark.django_db(transaction=True)

ORIGIN = {"source": "test"}
LONG = 400


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The messages that were published and not yet worked. Jobs have ids of years ago."""
    waiting: list[tuple[str, str]] = []
    monkeypatch.setattr(broker, "publish", lambda job_id, kind: waiting.append((job_id, kind)))
    for module in (outbox, ordinary):
        monkeypatch.setattr(module, "new_id", long_ago)
    return waiting


def hook(project: Project, name: str = "PostToolUse", number: int = 1) -> ingest.Captured:
    tool = {
        "tool_use_id": f"t{number}", "tool_name": "Bash",
        "tool_input": {"command": f"pytest tests/test_{number}.py"},
        "tool_response": {"stdout": f"{number} passed in 0.1s"},
    }  # fmt: skip
    payload = {"hook_event_name": name, "session_id": "s", "cwd": "/home/dev/app",
               **(tool if "Tool" in name else {"number": number})}  # fmt: skip
    return ingest.capture_hook(project.team_id, project.id, payload, origin=ORIGIN)


def batch(project: Project, *, generate: bool = True) -> ingest.Captured:
    event = NewEvent(project.id, "note", "api", {"text": "x"}, source_event_id="1")
    asked = [replace(event, generate=generate)]
    return ingest.capture(project.team_id, asked, origin=ORIGIN, kind=kinds.EVENT_BATCH)[0]


def work(sent: list[tuple[str, str]]) -> None:
    by_kind: dict[str, Any] = {
        "summary": tasks.generate_summary, "event": tasks.generate_event,
        "event-batch": tasks.generate_event_batch,
    }  # fmt: skip
    while sent:
        job_id, kind = sent.pop(0)
        by_kind[kind](job_id)


def pass_by(days: float = LONG) -> None:
    """Let so many days go by since everything that is there."""
    age(days, *GenerationJob.objects.values_list("pk", flat=True))
    back = timedelta(days=days)
    Event.objects.update(created_at=F("created_at") - back, received_at=F("received_at") - back)


def test_what_is_remembered_outlives_the_jobs_that_made_it(
    project: Project, sent: list[tuple[str, str]]
) -> None:
    captured = hook(project)
    work(sent)
    pass_by()
    assert retention.look().jobs == retention.prune().jobs == 1
    assert not GenerationJob.objects.exists()
    (source,) = recall.of_event(project.team_id, captured.event.id)
    assert source.generation_job_id == source.observation.created_by_job_id == captured.job_id
    assert recall.recent(project.id) == (source.observation,)
    assert Event.objects.get().payload == captured.event.payload


def test_an_event_that_comes_again_after_its_job_was_pruned_is_not_worked_again(
    project: Project, sent: list[tuple[str, str]]
) -> None:
    first = batch(project)
    work(sent)
    pass_by()
    assert retention.prune().jobs == 1
    # Kept longer from now on: what is gone stays over.
    with override_settings(RETAIN_JOBS_DAYS=0, RETAIN_FAILED_JOBS_DAYS=0):
        again = batch(project)
    assert (again.event.id, again.duplicate, again.job_id) == (first.event.id, True, None)
    assert again.transport == "skipped"
    assert not sent
    assert not GenerationJob.objects.exists()
    assert Observation.objects.count() <= 1


def test_a_hook_that_comes_again_after_its_job_was_pruned_is_not_worked_again(
    project: Project, sent: list[tuple[str, str]]
) -> None:
    first = hook(project)
    work(sent)
    pass_by()
    assert retention.prune().jobs == 1
    again = hook(project)
    assert (again.event.id, again.duplicate, again.job_id) == (first.event.id, True, None)
    assert not GenerationJob.objects.exists()


def test_a_young_event_may_still_ask_for_its_job(
    project: Project, sent: list[tuple[str, str]]
) -> None:
    retention.prune()
    assert batch(project, generate=False).job_id is None
    assert batch(project).job_id is not None


def test_a_session_that_was_told_is_not_told_again(
    project: Project, sent: list[tuple[str, str]]
) -> None:
    hook(project)
    end = hook(project, "SessionEnd")
    work(sent)
    pass_by()
    assert retention.prune().jobs == 1
    session = Session.objects.get()
    _, job, _ = sessions.end(project.team_id, session.id, project_id=None, origin={})
    assert job.id == end.job_id
    assert not sent


def test_a_session_that_goes_on_is_told_from_where_it_was_left(
    project: Project, sent: list[tuple[str, str]]
) -> None:
    for number in (1, 2):
        hook(project, number=number)
        hook(project, "Stop", number)
        work(sent)
    pass_by()
    # The first summary and both events; the second summary says how far the session is told.
    assert retention.prune().jobs == 3
    hook(project, "SessionStart")
    hook(project, number=3)
    hook(project, "Stop", 3)
    work(sent)
    told = Observation.objects.filter(kind="summary").order_by("number").last()
    assert told is not None
    assert "test_3" in told.content
    assert "test_1" not in told.content


def enter(days: float) -> None:
    AuditEntry.objects.create(
        created_at=timezone.now() - timedelta(days=days), action=entries.MEMORY_WRITE,
        resource_type=entries.OBSERVATION,
    )  # fmt: skip


def test_the_audits_oldest_entries_go_after_their_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PORTION", 2)
    for days in (500, 400, 370, 366, 364, 1):
        enter(days)
    assert retention.look().audit == 4
    assert retention.prune().audit == 4
    assert AuditEntry.objects.filter(action=entries.MEMORY_WRITE).count() == 2
    with override_settings(RETAIN_AUDIT_DAYS=0):
        assert retention.look().audit == retention.prune().audit == 0


def test_it_is_done_once_an_hour_by_whoever_comes_first() -> None:
    enter(400)
    assert tasks.prune() == 1
    enter(400)
    assert tasks.prune() == 0
    assert retention.look().audit == 1
    Pruning.objects.update(ran_at=now() - timedelta(hours=1, minutes=1))
    assert tasks.prune() == 1


def test_a_worker_that_is_to_stop_prunes_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    enter(400)
    told = threading.Event()
    told.set()
    monkeypatch.setattr(retention, "begun", told)
    assert tasks.prune() == 0
    assert retention.look().audit == 1


def test_workers_are_told_to_prune_by_the_clock() -> None:
    schedule = settings.CELERY_BEAT_SCHEDULE["prune"]
    assert schedule["task"] == tasks.prune.name
    # Also where nothing runs for an hour on end.
    assert schedule["schedule"] <= 60


def test_the_audit_tells_what_was_pruned_and_by_whom() -> None:
    enter(400)
    retention.prune(by={"source": "cli_operator", "actor_id": "system:server-cli"})
    retention.prune()  # nothing, and no entry
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.resource_type) == (entries.PRUNED, entries.RETENTION)
    assert (entry.actor_id, entry.team_id) == ("system:server-cli", None)
    assert entry.details == {"jobs": 0, "auditEntries": 1, "source": "cli_operator"}


def test_what_sessions_were_told_goes_after_its_days_and_no_younger(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook(project)
    session = Session.objects.get()
    for days in (31, 40, 29):
        at = timezone.now() - timedelta(days=days)
        Telling.objects.create(session=session, moment="prompt", created_at=at)
    monkeypatch.setattr(retention, "PORTION", 1)
    with override_settings(RETAIN_TELLINGS_DAYS=0):
        assert retention.look().tellings == retention.prune().tellings == 0
    assert retention.look().tellings == 2
    assert retention.prune().tellings == 2
    assert Telling.objects.count() == 1
