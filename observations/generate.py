"""Events in, observations stored: load → complete → validate → store.

The handler that the queue's runner works jobs with. Loading and storing use the database; the
provider call between them holds no connection and no transaction.
"""

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.db.models import Max
from django.utils import timezone

from observations import evidence, modes, rendering
from observations.drafts import Completion, ObservationDraft, Source, SourceEvent, SummaryDraft
from observations.identity import generation_key
from observations.models import Event, Observation, ObservationSource, Project, Session, new_id
from observations.modes import Mode
from observations.providers import Provider, ProviderError, provider_named
from observations.search.terms import parts
from queueing import kinds
from queueing.errors import JobFailed
from queueing.leases import Job
from queueing.models import GenerationJob

log = logging.getLogger(__name__)

# A summary is asked of at most so many events, the newest.
SUMMARY_EVENTS = 500
# A new observation is compared with so many of its session, the latest.
REMEMBERED = 50

Draft = ObservationDraft | SummaryDraft


@dataclass(frozen=True, slots=True)
class Work:
    """What one provider call is about: its input, and which job each event belongs to."""

    source: Source
    job_of: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Made:
    """A validated completion, ready to be stored."""

    completion: Completion
    drafts: tuple[Draft, ...]
    work: Work


class ObserveEvents:
    """Makes observations of the events of its jobs."""

    def prepare(self, jobs: Sequence[Job]) -> Work:
        """The jobs' events. Raises JobFailed if one of them is gone."""
        events = Event.objects.in_bulk([job.source_id for job in jobs])
        missing = [job.source_id for job in jobs if job.source_id not in events]
        if missing:
            raise JobFailed(
                f"event {missing[0]} is no longer there", classification="unrecoverable",
                transient=False,
            )  # fmt: skip
        return Work(
            _source("observe", jobs[0], [events[job.source_id] for job in jobs]),
            {job.source_id: job.id for job in jobs},
        )

    def perform(self, work: Work, timeout: float) -> Made:
        """Ask the provider; keep what the events show. Raises JobFailed."""
        return _made(work, timeout)

    def store(self, jobs: Sequence[Job], made: Made) -> dict[str, dict[str, Any]]:
        """Write the observations; notes for each job's history."""
        return _store(jobs, made, "agent_event")


class SummariseSession(ObserveEvents):
    """Makes one summary of a session's events since its last summary."""

    def prepare(self, jobs: Sequence[Job]) -> Work:
        """The events that the job covers, and the titles of what was made of them."""
        (job,) = jobs
        since = _covered_before(job)
        events = list(
            Event.objects.filter(
                session_id=job.session_id, number__gt=since, number__lte=job.covers
            ).order_by("-number")[:SUMMARY_EVENTS]
        )[::-1]
        titles = Observation.objects.filter(
            sources__event__in=[event.id for event in events]
        ).order_by("number")
        source = _source("summarise", job, events, tuple(titles.values_list("title", flat=True)))
        return Work(source, dict.fromkeys((event.id for event in events), job.id))

    def store(self, jobs: Sequence[Job], made: Made) -> dict[str, dict[str, Any]]:
        """Write the summary; a note for the job's history."""
        notes = _store(jobs, made, "session_summary")
        Session.objects.filter(pk=jobs[0].session_id).update(
            last_generated_at=timezone.now(), generation_status="completed"
        )
        return notes


def _covered_before(job: Job) -> int:
    earlier = GenerationJob.objects.filter(
        source_id=job.source_id, kind=kinds.SUMMARY.name, covers__lt=job.covers
    )
    return earlier.aggregate(last=Max("covers"))["last"] or 0


def _source(task: Any, job: Job, events: Sequence[Event], known: tuple[str, ...] = ()) -> Source:
    name = Project.objects.values_list("name", flat=True).get(pk=job.project_id)
    return Source(
        task=task,
        request_id=job.id,
        project=name,
        session_id=job.session_id,
        events=tuple(
            SourceEvent(e.id, e.number, e.event_type, e.occurred_at, e.payload) for e in events
        ),
        known=known,
    )


@cache
def provider() -> Provider:
    """The provider in force. Raises UnknownProvider."""
    return provider_named(settings.PROVIDER)


@cache
def mode() -> Mode:
    """The mode in force. Raises ModeError."""
    return modes.load(settings.MODE, [*settings.MODE_DIRECTORIES, modes.PACKAGED])


def _made(work: Work, timeout: float) -> Made:
    if not work.source.events:
        return Made(Completion((), provider().name, provider().model, 0, 0), (), work)
    if settings.PROVIDER_DELAY_MS:
        time.sleep(settings.PROVIDER_DELAY_MS / 1000)
    try:
        completion = provider().complete(work.source, mode(), timeout=timeout)
    except ProviderError as error:
        raise JobFailed(
            error.reason,
            classification=error.classification,
            transient=error.retryable,
            retry_after=error.retry_after,
        ) from error
    kept = (_validated(draft, work.source) for draft in completion.drafts)
    return Made(completion, tuple(draft for draft in kept if draft), work)


def _validated(draft: Draft, source: Source) -> Draft | None:
    if isinstance(draft, SummaryDraft):
        return draft
    return evidence.supported(draft, source.events)


def _store(jobs: Sequence[Job], made: Made, source_type: str) -> dict[str, dict[str, Any]]:
    now = timezone.now()
    by_id = {job.id: job for job in jobs}
    counts = {job.id: Counter[str]() for job in jobs}
    known = _said_before(jobs[0].session_id) if made.drafts else {}
    links: list[ObservationSource] = []
    fresh: list[Observation] = []
    for job_id, index, draft in _placed(made):
        content = _content(draft)
        row = known.get(content)
        if row is None:
            row = known[content] = _row(by_id[job_id], index, draft, content, made, now)
            fresh.append(row)
        counts[job_id]["made" if row in fresh else "merged"] += 1
        links += _links(row, by_id[job_id], draft, made.work, source_type, now)
    Observation.objects.bulk_create(fresh)
    # Two drafts of a batch can cite the same event for the same memory: one link is enough.
    ObservationSource.objects.bulk_create(links, ignore_conflicts=True)
    return {job_id: _note(made.completion, count) for job_id, count in counts.items()}


def _said_before(session_id: str | None) -> dict[str, Observation]:
    """The session's latest observations by their content.

    What is said again in the same words is the same memory with one more source: an agent that
    tries a thing five times must not fill five places of a search.
    """
    if session_id is None:
        return {}
    latest = Observation.objects.filter(session_id=session_id).order_by("-occurred_at", "-number")
    return {row.content: row for row in latest.only("number", "content")[:REMEMBERED]}


def _placed(made: Made) -> list[tuple[str, int, Draft]]:
    """Each draft with the job of the first event that it cites, and its place among that job's."""
    default = made.work.source.request_id
    taken: dict[str, int] = {}
    placed = []
    for draft in made.drafts:
        owner = made.work.job_of.get(draft.event_ids[0], default) if draft.event_ids else default
        placed.append((owner, taken.get(owner, 0), draft))
        taken[owner] = taken.get(owner, 0) + 1
    return placed


def _row(
    job: Job, index: int, draft: Draft, content: str, made: Made, now: datetime
) -> Observation:
    row = Observation(
        id=new_id(),
        team_id=job.team_id,
        project_id=job.project_id,
        session_id=job.session_id,
        content=content,
        generation_key=generation_key(job.id, index, content),
        created_by_job_id=job.id,
        occurred_at=_occurred_at(draft, made.work.source, now),
        created_at=now,
        updated_at=now,
        metadata={**_fields(draft), "provider": made.completion.provider,
                  "model": made.completion.model},
    )  # fmt: skip
    if isinstance(draft, SummaryDraft):
        _fill_summary(row, draft)
    else:
        _fill_observation(row, draft)
    row.parts = parts(row.title, row.narrative, " ".join(row.facts), " ".join(row.files_read),
                      " ".join(row.files_modified))  # fmt: skip
    return row


def _fill_summary(row: Observation, draft: SummaryDraft) -> None:
    row.kind = "summary"
    row.title = draft.request
    row.narrative = row.content


def _fill_observation(row: Observation, draft: ObservationDraft) -> None:
    row.kind = draft.type
    row.title, row.subtitle, row.narrative = draft.title, draft.subtitle, draft.narrative
    row.facts, row.concepts = list(draft.facts), list(draft.concepts)
    row.files_read, row.files_modified = list(draft.files_read), list(draft.files_modified)


def _content(draft: Draft) -> str:
    if isinstance(draft, SummaryDraft):
        return rendering.summary_text(draft)
    return rendering.observation_text(draft)


def _fields(draft: Draft) -> dict[str, Any]:
    names = [name for name in draft.__dataclass_fields__ if name not in ("type", "event_ids")]
    values = {name: getattr(draft, name) for name in names}
    return {n: list(v) if isinstance(v, tuple) else v for n, v in values.items()}


def _occurred_at(draft: Draft, source: Source, now: datetime) -> datetime:
    cited = [e.occurred_at for e in source.events if e.id in draft.event_ids]
    return max(cited or [e.occurred_at for e in source.events], default=now)


def _links(
    row: Observation, job: Job, draft: Draft, work: Work, source_type: str, now: datetime
) -> list[ObservationSource]:
    def link(kind: str, source_id: str, event_id: str | None) -> ObservationSource:
        return ObservationSource(
            observation=row,
            event_id=event_id,
            source_type=kind,
            source_id=source_id,
            generation_job_id=job.id,
            created_at=now,
        )

    if source_type == "session_summary":
        return [link(source_type, job.source_id, None)]
    cited = [event_id for event_id in draft.event_ids if event_id in work.job_of]
    return [link(source_type, event_id, event_id) for event_id in cited or [job.source_id]]


def _note(completion: Completion, count: Mapping[str, int]) -> dict[str, Any]:
    return {
        "provider": completion.provider,
        "model": completion.model,
        "observationCount": count["made"],
        "mergedCount": count["merged"],
    }
