"""Fills a database with memory as a busy team leaves it behind: many rows, fast, all alike."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Model
from django.utils import timezone

from observations.models import (
    DailyUsage,
    Event,
    Observation,
    ObservationSource,
    Project,
    Session,
)
from queueing import kinds, states
from queueing.models import GenerationJob, GenerationJobEvent, Lane, new_id

EVENTS_A_SESSION = 50
_BATCH = 2_000
_KINDS = ("discovery", "bugfix", "feature", "decision", "change", "refactor")
_TYPES = ("UserPromptSubmit", "PreToolUse", "PostToolUse", "PostToolUse", "Stop")
_WORDS = ("lock", "retry", "backoff", "cap", "queue", "session", "lease", "worker", "schema")

Row = TypeVar("Row", bound=Model)


def fill(project: Project, events: int) -> None:
    """Add so many events with a job, its history, an observation, its source and a use each.

    Of fifty jobs one failed and one is queued; the others are completed.
    """
    sessions = [_session(project) for _ in range(-(-events // EVENTS_A_SESSION))]
    _insert(Session, iter(sessions))
    lanes = [_lane(session) for session in sessions]
    _insert(Lane, iter(lanes))
    keys = dict(Lane.objects.filter(project_id=project.pk).values_list("key", "pk"))
    _insert(DailyUsage, (_used(project) for _ in range(events)))
    batch = iter(_events(sessions, events))
    number = Observation.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    while made := list(islice(batch, _BATCH)):
        jobs = [_job(event, keys[session.lane_key]) for session, event in made]
        rows = [_observation(event, job, number + n) for n, ((_, event), job)
                in enumerate(zip(made, jobs, strict=True), 1)]  # fmt: skip
        number += len(rows)
        _insert(Event, (event for _, event in made))
        _insert(GenerationJob, iter(jobs))
        _insert(GenerationJobEvent, (line for job in jobs for line in _history(job)))
        _insert(Observation, iter(rows))
        _insert(ObservationSource, (_source(*of) for of in zip(rows, made, strict=True)))
    _settle()


def _insert(model: type[Row], rows: Iterator[Row]) -> None:
    model._default_manager.bulk_create(rows, batch_size=500)


def _settle() -> None:
    """What the databases do by themselves in the long run: sequences and statistics."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('observations_observation', 'number'),"
            " (SELECT max(number) FROM observations_observation))"
        )
        cursor.execute("ANALYZE")


def _session(project: Project) -> Session:
    now = timezone.now()
    own = new_id()
    return Session(
        id=own, team_id=project.team_id, project=project, lane_key=f"session:{own}",
        content_session_id=f"agent-{own}", platform_source="claude", cwd="/home/dev/project",
        started_at=now, last_event_at=now, created_at=now, updated_at=now,
        last_number=EVENTS_A_SESSION,
    )  # fmt: skip


def _used(project: Project) -> DailyUsage:
    """What another key used today."""
    return DailyUsage(
        team_id=project.team_id, project_id=project.pk, api_key_id=new_id(), kind="request",
        day=timezone.now().date(), quantity=1,
    )  # fmt: skip


def _lane(session: Session) -> Lane:
    """The last job of each session waits in its lane; see `_state`."""
    return Lane(
        key=session.lane_key, project_id=session.project_id, tail=EVENTS_A_SESSION,
        head=EVENTS_A_SESSION,
    )  # fmt: skip


def _events(sessions: list[Session], events: int) -> Iterator[tuple[Session, Event]]:
    for n in range(events):
        session = sessions[n // EVENTS_A_SESSION]
        yield session, _event(session, n % EVENTS_A_SESSION + 1, n)


def _event(session: Session, number: int, n: int) -> Event:
    at = session.started_at + timedelta(seconds=number)
    kind = _TYPES[n % len(_TYPES)]
    said: dict[str, Any] = {"prompt": f"Please bound the {_words(n)} of {n}"}
    if kind != "UserPromptSubmit":
        said = {
            "tool_name": "Bash", "tool_input": {"command": f"make {_words(n)}"},
            "tool_response": {"stdout": f"{_words(n)} " * 60},
        }  # fmt: skip
    return Event(
        id=new_id(), team_id=session.team_id, project_id=session.project_id, session=session,
        number=number, source_adapter="claude-code", dedupe_key=new_id(), event_type=kind,
        payload=said, occurred_at=at, received_at=at, created_at=at,
    )  # fmt: skip


def _words(n: int) -> str:
    return f"{_WORDS[n % len(_WORDS)]} {_WORDS[n // 7 % len(_WORDS)]} x{n}"


def _state(seq: int) -> str:
    if seq == EVENTS_A_SESSION:
        return states.QUEUED
    return states.FAILED if seq == EVENTS_A_SESSION // 2 else states.COMPLETED


def _job(event: Event, lane: int) -> GenerationJob:
    at = event.occurred_at
    state = _state(event.number or 0)
    return GenerationJob(
        id=new_id(), queue_job_id=kinds.EVENT.job_id(event.pk), lane_id=lane, seq=event.number,
        kind="event", state=state, token=1, attempts=1, due_at=at, team_id=event.team_id,
        project_id=event.project_id, session_id=event.session_id, source_type="agent_event",
        source_id=event.pk, created_at=at, updated_at=at,
        failed_at=at if state == states.FAILED else None,
        last_error={"reason": "the provider refused"} if state == states.FAILED else None,
    )  # fmt: skip


def _history(job: GenerationJob) -> Iterator[GenerationJobEvent]:
    for event in (states.ENQUEUED, states.CLAIMED, job.state):
        yield GenerationJobEvent(
            job=job, event=event, state_after=event, attempt=1, created_at=job.created_at
        )


def _observation(event: Event, job: GenerationJob, number: int) -> Observation:
    words = _words(number)
    return Observation(
        number=number, id=new_id(), team_id=event.team_id, project_id=event.project_id,
        session_id=event.session_id, kind=_KINDS[number % len(_KINDS)],
        title=f"The {words} is bounded", subtitle=f"So that the {words} ends",
        narrative=f"It turned out that the {words} grows. " * 5, content=f"All of {words}",
        facts=[f"{words} is a fact"], concepts=["how-it-works"],
        created_by_job_id=job.pk, occurred_at=event.occurred_at,
        created_at=event.occurred_at, updated_at=event.occurred_at,
    )  # fmt: skip


def _source(row: Observation, made: tuple[Session, Event]) -> ObservationSource:
    _, event = made
    return ObservationSource(
        observation=row, event=event, source_type="agent_event", source_id=event.pk,
        generation_job_id=row.created_by_job_id, created_at=row.created_at,
    )  # fmt: skip
