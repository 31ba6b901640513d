"""Transcripts captured as if hooks had told of them: once, whichever came first."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from observations import backfill, ingest, switches, transcript_files
from observations.globs import Globs
from observations.hook_policies import Policies
from observations.models import Event, Observation, Project, Session
from observations.places import Place
from observations.transcript_files import Transcript
from queueing import broker
from queueing.models import GenerationJob
from tests.observations.test_transcripts import SESSION, asked, came, said, used
from tests.observations.transcribed import NAMES, hooks, keep

pytestmark = pytest.mark.django_db

ORIGIN = {"source": "test"}
RETRY = "08896821-bb12-4dd4-97b2-ba180f81edf3"
SECRETS = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI", "correct-horse", "release manager")


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    sent: list[str] = []
    monkeypatch.setattr(broker, "publish", lambda job_id, kind: sent.append(job_id))
    return sent


@pytest.fixture
def transcripts(tmp_path: Path) -> Path:
    """The recorded transcripts where Claude Code keeps them."""
    keep(tmp_path)
    return tmp_path


def replay(project: Project, payloads: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> None:
    for payload in payloads:
        ingest.capture_hook(project.team_id, project.id, payload, origin=ORIGIN)


def take(project: Project, transcript: Transcript) -> int:
    found = backfill.plan(project.team_id, transcript)
    done = list(backfill.take(project.team_id, found, origin=ORIGIN))
    return sum(one.stored for one in done)


def everything(project: Project, root: Path) -> int:
    return sum(take(project, each) for each in transcript_files.found(root))


def counts() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (Event, Session, GenerationJob, Observation))


def told(session: str | None = None) -> list[tuple[Any, ...]]:
    """What is stored of each event, but for what no transcript tells."""
    unknown = {
        "timestamp", "transcript_path", "duration_ms", "effort", "is_interrupt", "reason",
        "stop_hook_active", "background_tasks", "session_crons",
    }  # fmt: skip
    rows = Event.objects.order_by("session__external_session_id", "number")
    return [
        (
            one.session.external_session_id if one.session else None, one.number, one.event_type,
            one.dedupe_key, {k: v for k, v in one.payload.items() if k not in unknown},
        )
        for one in rows.select_related("session")
    ]  # fmt: skip


def test_transcripts_of_sessions_that_hooks_captured_add_nothing(
    project: Project, transcripts: Path
) -> None:
    for name in NAMES:
        replay(project, hooks(name))
    before = counts()
    assert everything(project, transcripts) == 0
    assert counts() == before


def test_hooks_that_come_after_the_transcript_add_nothing(
    project: Project, transcripts: Path
) -> None:
    assert everything(project, transcripts) > 0
    before = counts()
    for name in NAMES:
        replay(project, hooks(name))
    assert counts() == before


def test_transcripts_alone_make_the_sessions_that_hooks_make(
    project: Project, transcripts: Path
) -> None:
    for name in NAMES:
        replay(project, hooks(name))
    of_hooks, jobs = told(), sorted(GenerationJob.objects.values_list("source_type", flat=True))
    Session.objects.all().delete()
    GenerationJob.objects.all().delete()
    assert everything(project, transcripts) == len(of_hooks)
    assert told() == of_hooks
    assert sorted(GenerationJob.objects.values_list("source_type", flat=True)) == jobs


def test_sessions_have_the_times_of_the_transcript_and_one_summary_each(
    project: Project, transcripts: Path
) -> None:
    everything(project, transcripts)
    for session in Session.objects.all():
        events = list(session.events.order_by("number"))
        assert session.started_at == events[0].occurred_at
        assert session.ended_at == session.last_event_at == events[-1].occurred_at
        assert {one.occurred_at.date().isoformat() for one in events} == {"2026-11-22"}
        jobs = GenerationJob.objects.filter(session_id=session.id).order_by("seq")
        assert [job.kind for job in jobs][-1] == "summary"
        assert {job.kind for job in list(jobs)[:-1]} == {"event-batch"}


def test_nothing_private_or_secret_is_stored(project: Project, transcripts: Path) -> None:
    everything(project, transcripts)
    stored = "".join(str(payload) for payload in Event.objects.values_list("payload", flat=True))
    assert "Document max_wait in the retry how-to." in stored
    assert not [secret for secret in SECRETS if secret in stored]


@pytest.mark.parametrize("after", [1, 2, 5])
def test_what_was_broken_off_goes_on_where_it_was(
    project: Project, transcripts: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "AT_ONCE", 3)
    first = transcript_files.found(transcripts)[0]
    found = backfill.plan(project.team_id, first)
    for _ in islice(backfill.take(project.team_id, found, origin=ORIGIN), after):
        pass
    assert Event.objects.count() == min(3 * after, found.events)
    assert everything(project, transcripts) == 44 - min(3 * after, found.events)
    whole = counts()
    assert everything(project, transcripts) == 0
    assert counts() == whole
    assert GenerationJob.objects.filter(kind="summary").count() == 3


def test_what_hooks_lost_is_brought_in_and_the_session_stays_ended(
    project: Project, transcripts: Path
) -> None:
    payloads = hooks("retry-max-wait")
    replay(project, [one for place, one in enumerate(payloads) if place not in (1, 7, 12, 13)])
    session = Session.objects.get()
    summaries = GenerationJob.objects.filter(kind="summary").count()
    transcript = transcript_files.of_session(transcripts, session.content_session_id or "")
    assert transcript
    assert take(project, transcript) == 4
    again = Session.objects.get()
    assert again.ended_at == session.ended_at
    assert again.end_reason == "other"
    assert again.started_at <= session.started_at
    assert sorted(one[2] for one in told()) == sorted(p["hook_event_name"] for p in payloads)
    assert GenerationJob.objects.filter(kind="summary").count() == summaries + 1


def test_a_session_that_goes_on_stays_open(project: Project, tmp_path: Path) -> None:
    file = tmp_path / f"{SESSION}.jsonl"
    now = datetime.now(UTC).isoformat()
    file.write_text("".join(
        json.dumps({**each, "timestamp": now}) + "\n" for each in (asked("go"), said("I look"))
    ))  # fmt: skip
    assert everything(project, tmp_path) == 3
    session = Session.objects.get()
    assert session.ended_at is None
    assert session.project.name == "widgets"
    assert not GenerationJob.objects.exists()


def test_a_payload_that_cannot_be_stored_is_told_and_the_others_are_stored(
    project: Project, tmp_path: Path
) -> None:
    deep: Any = "x"
    for _ in range(300):
        deep = [deep]
    (tmp_path / f"{SESSION}.jsonl").write_text("".join(
        json.dumps(each) + "\n"
        for each in (asked("go"), used("Bash"), came(toolUseResult=deep), said("done"))
    ))  # fmt: skip
    found = backfill.plan(project.team_id, transcript_files.found(tmp_path)[0])
    (done,) = backfill.take(project.team_id, found, origin=ORIGIN)
    assert (done.stored, len(done.refused)) == (5, 1)
    assert "nested" in done.refused[0] or "JSON" in done.refused[0]


def test_two_who_capture_the_same_transcript_store_it_once(
    project: Project, transcripts: Path
) -> None:
    first = transcript_files.found(transcripts)[0]
    plans = [backfill.plan(project.team_id, first) for _ in range(2)]
    done = [list(backfill.take(project.team_id, one, origin=ORIGIN)) for one in plans]
    assert [sum(one.stored for one in each) for each in done] == [plans[0].events, 0]
    assert sum(one.known for one in done[1]) == plans[0].events


def test_an_estimate_says_how_much_a_provider_will_be_asked(
    project: Project, transcripts: Path
) -> None:
    plans = [backfill.plan(project.team_id, each) for each in transcript_files.found(transcripts)]
    everything(project, transcripts)
    jobs = GenerationJob.objects.filter(kind="event-batch")
    assert sum(each.observed for each in plans) == jobs.count()
    real = sum(jobs.values_list("size", flat=True))
    assert 0.7 * real < sum(each.tokens for each in plans) < 1.5 * real


def test_what_settings_and_switches_keep_out_is_not_missing(
    project: Project, transcripts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies = Policies(paths=Globs(("**/tests/**",)))
    monkeypatch.setattr(settings, "HOOK_POLICIES", policies)
    transcript = transcript_files.of_session(transcripts, RETRY)
    assert transcript
    plan = backfill.plan(project.team_id, transcript)
    assert plan.events < len(hooks("retry-max-wait"))
    assert take(project, transcript) == plan.events
    assert not Event.objects.filter(payload__tool_input__file_path__icontains="/tests/").exists()
    monkeypatch.setattr(settings, "HOOK_POLICIES", Policies(projects=Globs(("procrastinate",))))
    assert everything(project, transcripts) == 0


def test_nothing_is_brought_into_a_project_whose_captures_are_off(
    project: Project, transcripts: Path
) -> None:
    Project.objects.update(capture=False)
    switches.known.forget()
    plans = [backfill.plan(project.team_id, each) for each in transcript_files.found(transcripts)]
    done = [each for one in plans for each in backfill.take(project.team_id, one, origin=ORIGIN)]
    switches.known.forget()
    assert sum(one.kept_out for one in done) == 44
    assert not Event.objects.exists()


def test_a_session_belongs_to_the_project_of_its_place(project: Project, transcripts: Path) -> None:
    place = Place(remote="https://git.example.org/ada/queue.git")
    for each in transcript_files.found(transcripts):
        plan = backfill.plan(project.team_id, each)
        list(backfill.take(project.team_id, plan, origin=ORIGIN, look=lambda cwd: place))
    assert set(Session.objects.values_list("project__aliases__key", flat=True)) >= {
        "git.example.org/ada/queue"
    }
    assert Session.objects.values("project").distinct().count() == 1
