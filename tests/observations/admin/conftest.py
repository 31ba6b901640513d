"""Memory to be browsed, and somebody who browses it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.utils import timezone

from observations.models import (
    Event,
    Member,
    Observation,
    ObservationSource,
    Project,
    Session,
    Team,
)
from queueing import broker, kinds
from queueing.models import GenerationJob, GenerationJobEvent, Lane

Memory = Callable[..., Session]


@pytest.fixture
def browser(client: Client, db: None) -> Client:
    """Logged in as one who may do everything; without a password, which takes long to hash."""
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would have been sent to workers: there is no queue store here."""
    sent: list[str] = []
    monkeypatch.setattr(broker, "publish", lambda job_id, kind: sent.append(job_id))
    return sent


@pytest.fixture
def memory(project: Project) -> Memory:
    """memory(n, text): a session of n events, each with a job and an observation of it."""
    ours = project

    def _memory(n: int, text: str = "Cap the backoff", project: Project = ours) -> Session:
        now = timezone.now()
        session = Session.objects.create(
            team=project.team, project=project, lane_key=f"lane-{Session.objects.count()}",
            content_session_id=text, started_at=now, last_event_at=now, created_at=now,
            updated_at=now, last_number=n,
        )  # fmt: skip
        lane = Lane.objects.create(key=session.lane_key, project_id=project.id, tail=n)
        for number in range(1, n + 1):
            event = _event(session, number, text)
            job = _job(event, lane, number)
            row = make_observation(event, text, job.id)
            ObservationSource.objects.create(
                observation=row, event=event, source_type="agent_event", source_id=event.id,
                generation_job_id=job.id, created_at=now,
            )  # fmt: skip
        return session

    return _memory


def _event(session: Session, number: int, text: str) -> Event:
    at = session.started_at + timedelta(seconds=number)
    return Event.objects.create(
        team=session.team, project=session.project, session=session, number=number,
        source_adapter="claude-code", dedupe_key=f"{session.pk}-{number}",
        event_type="PostToolUse", removed={"private_span": 2},
        payload={"tool_name": "Bash", "tool_input": {"command": text}},
        occurred_at=at, received_at=at, created_at=at,
    )  # fmt: skip


def _job(event: Event, lane: Lane, seq: int) -> GenerationJob:
    at = event.occurred_at
    job = GenerationJob.objects.create(
        queue_job_id=kinds.EVENT.job_id(event.pk), lane=lane, seq=seq, kind="event", due_at=at,
        team_id=event.team_id, project_id=event.project_id, session_id=event.session_id,
        source_type="agent_event", source_id=event.pk, created_at=at, updated_at=at,
    )  # fmt: skip
    GenerationJobEvent.objects.create(
        job=job, event="queued", state_after="queued", created_at=at, details={"source": "test"}
    )
    return job


def make_observation(event: Event, text: str, job_id: str | None = None) -> Observation:
    return Observation.objects.create(
        team=event.team, project=event.project, session=event.session, kind="bugfix",
        title=text, subtitle=text, narrative=f"why {text}", content=f"all of {text}",
        facts=[text], concepts=["how-it-works"], files_modified=[f"src/{text}.py"],
        created_by_job_id=job_id, occurred_at=event.occurred_at,
        created_at=event.occurred_at, updated_at=event.occurred_at,
    )  # fmt: skip


def page_of(row: Model) -> str:
    """The address of a row's own page."""
    return f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/change/"


def member(client: Client, team: Team, role: str = "admin", name: str = "mia") -> User:
    """Sign in one who is no superuser, but a member of the team."""
    user, _ = User.objects.get_or_create(username=name, defaults={"is_staff": True})
    Member.objects.create(user=user, team=team, role=role)
    client.force_login(user)
    return user
