"""Whatever is done leaves one entry in the audit, in the transaction in which it is done."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from observations import audit, entries, generate, ingest, keys, memories, sessions, tasks
from observations.entries import Entry
from observations.errors import InvalidInput, NotFound
from observations.ingest import NewEvent
from observations.models import AuditEntry, Event, Observation, Project, Session, Team
from observations.providers import ProviderError
from observations.sessions import NewSession
from queueing import broker, kinds, leases, operations, pauses
from queueing.models import GenerationJob
from queueing.pauses import Subject
from tests.queueing.test_leases import expire

pytestmark = pytest.mark.django_db(transaction=True)

BY_KEY = {"source": "http_post", "api_key_id": "key-1", "request_id": "request-1"}
BY_HAND = {"source": "cli_operator", "actor_id": "system:server-cli"}
QUESTION = "zanzibar"


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The messages that were published and not yet worked."""
    waiting: list[tuple[str, str]] = []
    monkeypatch.setattr(broker, "publish", lambda job_id, kind: waiting.append((job_id, kind)))
    return waiting


def tool(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "hook_event_name": "PostToolUse", "session_id": "s", "cwd": "/home/dev/app",
        "tool_use_id": f"t{number}", "tool_name": "Bash",
        "tool_input": {"command": f"pytest tests/test_{QUESTION}_{number}.py"},
        "tool_response": {"stdout": f"{number} passed in 0.1s"}, **fields,
    }  # fmt: skip


def capture(project: Project, number: int = 1, **fields: Any) -> ingest.Captured:
    payload = tool(number, **fields)
    return ingest.capture_hook(project.team_id, project.id, payload, origin=BY_KEY)


def new_event(project: Project, **fields: Any) -> NewEvent:
    return NewEvent(project.id, "note", "api", {"text": QUESTION}, **fields)


def work(sent: list[tuple[str, str]]) -> None:
    while sent:
        job_id, kind = sent.pop(0)
        (tasks.generate_summary if kind == "summary" else tasks.generate_event)(job_id)


def actions() -> list[str]:
    return list(AuditEntry.objects.order_by("id").values_list("action", flat=True))


def entry(action: str) -> AuditEntry:
    return AuditEntry.objects.get(action=action)


def forgotten() -> None:
    """Let only what follows be looked at."""
    AuditEntry.objects.all().delete()


def test_an_event_is_followed_from_its_arrival_to_its_observation(
    project: Project, sent: list[tuple[str, str]]
) -> None:
    captured = capture(project)
    work(sent)
    assert captured.job
    assert actions() == [
        "session.write", "event.received", "generation_job.processing", "observation.created",
        "generation_job.completed",
    ]  # fmt: skip
    made = Observation.objects.get()
    for row in AuditEntry.objects.all():
        assert (row.team_id, row.project_id) == (project.team_id, project.id)
        assert (row.api_key_id, row.actor_id) == ("key-1", None)
        assert row.details["requestId"] == "request-1"
    received = entry("event.received")
    assert (received.resource_type, received.resource_id) == ("agent_event", captured.event.id)
    assert received.details == {
        "sourceAdapter": "claude-code", "eventType": "PostToolUse", "requestId": "request-1",
        "serverSessionId": captured.event.session_id, "generationJobId": captured.job.id,
    }  # fmt: skip
    processing = entry("generation_job.processing")
    assert (processing.resource_type, processing.resource_id) == (
        "observation_generation_job", captured.job.id,
    )  # fmt: skip
    assert (processing.details["attempt"], processing.details["batch"]) == (1, 1)
    created = entry("observation.created")
    assert (created.resource_type, created.resource_id) == ("observation", made.id)
    assert created.details == {
        "provider": "offline", "model": generate.provider().model, "kind": made.kind,
        "generationJobId": captured.job.id, "sourceType": "agent_event",
        "sourceId": captured.event.id, "parsedObservationIndex": 0, "requestId": "request-1",
    }  # fmt: skip
    completed = entry("generation_job.completed").details
    assert (completed["observationCount"], completed["observationIds"]) == (1, [made.id])


def test_of_a_batch_each_job_has_its_own_entries(
    project: Project, sent: list[tuple[str, str]]
) -> None:
    for number in range(5):
        capture(project, number)
    work(sent)
    jobs = set(GenerationJob.objects.values_list("id", flat=True))
    for action in ("generation_job.processing", "generation_job.completed"):
        rows = AuditEntry.objects.filter(action=action)
        assert {row.resource_id for row in rows} == jobs
        assert len(rows) == 5
    created = AuditEntry.objects.filter(action="observation.created")
    assert {row.resource_id for row in created} == set(
        Observation.objects.values_list("id", flat=True)
    )


def test_a_delivery_that_came_before_writes_nothing_and_is_no_entry(project: Project) -> None:
    capture(project)
    event = new_event(project, source_event_id="e1")
    for kind in (kinds.EVENT, kinds.EVENT_BATCH):
        ingest.capture(project.team_id, [event], origin=BY_KEY, kind=kind)
    before = actions()
    assert capture(project).duplicate
    for kind in (kinds.EVENT, kinds.EVENT_BATCH):
        ingest.capture(project.team_id, [event], origin=BY_KEY, kind=kind)
    assert actions() == before == ["session.write", "event.received", "event.received"]


def test_a_batch_of_events_is_one_entry(project: Project, sent: list[tuple[str, str]]) -> None:
    many = [new_event(project, source_event_id=str(number)) for number in range(3)]
    captured = ingest.capture(project.team_id, many, origin=BY_KEY, kind=kinds.EVENT_BATCH)
    row = entry("event.batch_received")
    assert (row.resource_id, row.project_id) == (None, project.id)
    assert row.details == {
        "eventCount": 3, "requestId": "request-1",
        "eventIds": [one.event.id for one in captured],
        "generationJobIds": [one.job.id for one in captured if one.job],
    }  # fmt: skip
    other = Project.objects.create(team=project.team, name="other")
    ingest.capture(
        project.team_id, [new_event(project), new_event(other)], origin=BY_KEY,
        kind=kinds.EVENT_BATCH,
    )  # fmt: skip
    assert AuditEntry.objects.filter(action="event.batch_received")[0].project_id is None


def test_a_capture_that_is_rolled_back_leaves_no_entry(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = audit.write

    def fails(made: Iterable[Entry]) -> None:
        entered(made)
        raise InvalidInput("no")

    monkeypatch.setattr(audit, "write", fails)
    with pytest.raises(InvalidInput):
        capture(project)
    with pytest.raises(InvalidInput):
        ingest.capture(project.team_id, [new_event(project)], origin=BY_KEY, kind=kinds.EVENT_BATCH)
    assert not AuditEntry.objects.exists()
    assert not Event.objects.exists()


def test_what_cannot_be_entered_is_not_done(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_INSERT", "INSERT INTO observations_nowhere VALUES (1)")
    for act in (
        lambda: capture(project),
        lambda: memories.remember(project.team_id, project.id, content="Note"),
        lambda: keys.create("k", ["*"], team=project.team),
        lambda: sessions.start(project.team_id, NewSession(project.id, external_session_id="s")),
    ):
        with pytest.raises(DatabaseError):
            act()
    assert not Event.objects.exists()
    assert not GenerationJob.objects.exists()
    assert not Session.objects.exists()
    assert not Observation.objects.exists()


def test_a_settlement_that_is_rolled_back_leaves_no_entry(
    project: Project, sent: list[tuple[str, str]]
) -> None:
    captured = capture(project)
    assert captured.job
    lease = leases.claim(captured.job.id, "worker")
    assert lease
    work_of = tasks._OBSERVE.prepare(lease.jobs)
    made = tasks._OBSERVE.perform(work_of, 10)
    operations.cancel(captured.job.id)
    forgotten()
    with pytest.raises(leases.LeaseLost):
        leases.settle(
            lease, lambda: tasks._OBSERVE.store(lease.jobs, made), worker="w", go_on=False
        )
    assert actions() == []


def test_sessions_are_entered_when_they_are_made_opened_again_and_ended(project: Project) -> None:
    new = NewSession(project.id, external_session_id="s")
    session, _ = sessions.start(project.team_id, new, origin=BY_KEY)
    sessions.start(project.team_id, new, origin=BY_KEY)
    sessions.end(project.team_id, session.id, project_id=None, origin=BY_KEY)
    sessions.start(project.team_id, new, origin=BY_KEY)
    assert actions() == ["session.write", "session.end", "session.write"]
    row = entry("session.end")
    assert (row.resource_type, row.resource_id) == ("server_session", session.id)
    assert row.details == {"requestId": "request-1"}


def test_an_agents_end_and_silence_end_sessions_too(project: Project) -> None:
    capture(project)
    capture(project, hook_event_name="SessionEnd", reason="exit")
    assert actions()[-2:] == ["event.received", "session.end"]
    forgotten()
    sessions.start(project.team_id, NewSession(project.id, external_session_id="quiet"))
    late = Session.objects.latest("created_at").last_event_at.replace(year=2100)
    assert sessions.close_idle(late) == 1
    assert entry("session.end").details == {"source": "idle"}


def test_memories_that_are_made_and_deleted_by_hand_are_entered(project: Project) -> None:
    text = {"content": "Deploys go out on Tuesdays", "origin": BY_KEY}
    row = memories.remember(project.team_id, project.id, **text)
    memories.forget(project.team_id, project.id, row.id, origin=BY_KEY)
    assert not memories.forget(project.team_id, project.id, row.id, origin=BY_KEY)
    assert actions() == ["memory.write", "observation.deleted"]
    assert {each.resource_id for each in AuditEntry.objects.all()} == {row.id}


def test_keys_are_entered_when_they_are_made_and_revoked(team: Team) -> None:
    minted = keys.create("ci", ["memories:read"], team=team, origin=BY_HAND)
    keys.revoke(minted.key.id, origin=BY_HAND)
    with pytest.raises(NotFound):
        keys.revoke(minted.key.id, origin=BY_HAND)
    assert actions() == ["api_key.create", "api_key.revoke"]
    for row in AuditEntry.objects.all():
        assert (row.resource_type, row.resource_id) == ("api_key", minted.key.id)
        assert (row.actor_id, row.api_key_id) == ("system:server-cli", None)
        assert row.details == {
            "name": "ci", "scopes": ["memories:read"], "source": "cli_operator"
        }  # fmt: skip


def test_a_retry_and_a_cancel_say_who_asked_and_what_changed(project: Project) -> None:
    job = capture(project).job
    assert job
    forgotten()
    operations.cancel(job.id, BY_HAND)
    operations.retry(job.id, BY_KEY | {"request_id": "request-2"})
    operations.retry(job.id, BY_KEY)
    cancelled, retried, again = AuditEntry.objects.order_by("id")
    assert cancelled.action == "generation_job.cancelled_by_operator"
    assert (cancelled.actor_id, cancelled.api_key_id) == ("system:server-cli", None)
    assert cancelled.details["source"] == "cli_operator"
    assert (cancelled.details["previousStatus"], cancelled.details["currentStatus"]) == (
        "queued", "cancelled",
    )  # fmt: skip
    assert retried.action == again.action == "generation_job.retried_by_operator"
    assert (retried.api_key_id, retried.details["requestId"]) == ("key-1", "request-2")
    assert retried.details["retriedCount"] == again.details["retriedCount"] == 1
    assert again.details["outcome"] == "noop_already_queued"


def test_what_an_operator_pauses_and_resumes_is_entered_for_its_team(team: Team) -> None:
    for subject in (Subject("team", team.id), Subject("queue", "event"), Subject("provider")):
        pauses.hold(subject, QUESTION, by=BY_HAND)
    pauses.resume(Subject("team", team.id), by=BY_HAND)
    *paused, resumed = AuditEntry.objects.order_by("id")
    assert [(row.action, row.resource_type, row.resource_id, row.team_id) for row in paused] == [
        ("work.paused_by_operator", "team", team.id, team.id),
        ("work.paused_by_operator", "queue", "event", None),
        ("work.paused_by_operator", "provider", None, None),
    ]
    assert (resumed.action, resumed.team_id) == ("work.resumed_by_operator", team.id)
    assert {row.actor_id for row in [*paused, resumed]} == {"system:server-cli"}
    # Why is told where it is asked; what people write has no place in the audit.
    assert QUESTION not in json.dumps([row.details for row in paused])


def test_a_job_that_its_worker_left_is_entered_as_stalled(project: Project) -> None:
    first, second = capture(project, 1).job, capture(project, 2).job
    assert first
    assert second
    assert leases.claim(first.id, "worker")
    for job in (first, second):
        expire(job.id)
    forgotten()
    assert leases.claim(first.id, "another")
    assert actions() == ["generation_job.stalled"] * 2 + ["generation_job.processing"]
    stalled = AuditEntry.objects.filter(action="generation_job.stalled").order_by("id")
    assert [row.resource_id for row in stalled] == [first.id, second.id]
    assert stalled[0].details["lane"] == "event"


def test_a_job_that_failed_and_waited_has_not_stalled(project: Project) -> None:
    job = capture(project).job
    assert job
    lease = leases.claim(job.id, "worker")
    assert lease
    leases.reschedule(lease, -1.0, {"reason": "busy", "classification": "transient"})
    forgotten()
    assert leases.claim(job.id, "worker")
    assert actions() == ["generation_job.processing"]


def test_a_job_that_takes_all_its_workers_down_has_stalled_and_failed(project: Project) -> None:
    job = capture(project).job
    assert job
    for _ in range(kinds.EVENT.max_attempts):
        assert leases.claim(job.id, "worker")
        expire(job.id)
    forgotten()
    leases.bury_exhausted(job.id)
    assert actions() == ["generation_job.stalled", "generation_job.failed"]
    assert entry("generation_job.failed").details["classification"] == "worker_lost"


class Refusing:
    name, model = "refusing", "none"

    def complete(self, *args: Any, **kwargs: Any) -> Any:
        raise ProviderError(f"cannot read {QUESTION}", "parse_error")


def test_nothing_of_what_was_said_stands_in_an_entry(
    project: Project, sent: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    capture(project, 1)
    capture(project, 2, hook_event_name="Stop", last_assistant_message=QUESTION)
    work(sent)
    memories.remember(project.team_id, project.id, content=QUESTION, origin=BY_KEY)
    raw = keys.create("k", ["*"], team=project.team).raw
    monkeypatch.setattr(generate, "provider", Refusing)
    capture(project, 3)
    work(sent)
    assert GenerationJob.objects.filter(state="failed").exists()
    assert entry("generation_job.failed").details["classification"] == "parse_error"
    told = json.dumps(list(AuditEntry.objects.values("action", "resource_id", "details")))
    assert QUESTION not in told
    assert raw not in told


def test_every_action_is_one_of_the_known(project: Project, sent: list[tuple[str, str]]) -> None:
    capture(project)
    work(sent)
    assert set(actions()) <= set(entries.ACTIONS)
    assert len(set(entries.ACTIONS)) == len(entries.ACTIONS)


def test_an_entry_is_never_changed(team: Team) -> None:
    keys.create("k", ["*"], team=team)
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        AuditEntry.objects.update(action="nothing")
    row = AuditEntry.objects.get()
    row.action = "nothing"
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        row.save()
    assert actions() == ["api_key.create"]


def test_entries_outlive_what_they_are_about(project: Project) -> None:
    capture(project)
    Event.objects.all().delete()
    assert entry("event.received").resource_id
