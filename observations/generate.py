"""Events in, observations stored: load → complete → validate → store.

The handler that the queue's runner works jobs with. Loading and storing use the database; the
provider call between them holds no connection and no transaction.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.db.models import Max, QuerySet

from observations import audit, entries, evidence, findings, modes, usage
from observations.agents import asks_memory
from observations.answers import Task
from observations.drafts import Completion, Source, SourceEvent, SummaryDraft, Tokens
from observations.findings import Draft, Finding, Outcome
from observations.models import Event, Observation, Session
from observations.modes import Mode
from observations.providers import Options, Provider, ProviderError, UnknownProvider, provider_named
from queueing import direct, kinds, states
from queueing.errors import JobFailed
from queueing.leases import Job
from queueing.models import GenerationJob

log = logging.getLogger(__name__)

# A summary is asked of at most so many events, the newest.
SUMMARY_EVENTS = 500


@dataclass(frozen=True, slots=True)
class Work:
    """What one provider call is about: its input, and which job each event belongs to."""

    source: Source
    jobs: Mapping[str, Job]


@dataclass(frozen=True, slots=True)
class Made:
    """A validated completion, ready to be stored."""

    completion: Completion
    findings: tuple[Finding, ...]


class ObserveEvents:
    """Makes observations of the events of its jobs."""

    def prepare(self, jobs: Sequence[Job]) -> Work:
        """The jobs' events. Raises JobFailed if one of them is gone."""
        by_event = {job.source_id: job for job in jobs}
        project, events = _told(Event.objects.filter(pk__in=list(by_event)))
        found = {event.id: event for event in events}
        missing = [event_id for event_id in by_event if event_id not in found]
        if missing:
            raise findings.gone(missing[0])
        in_order = [found[event_id] for event_id in by_event]
        return Work(_source("observe", jobs[0], project, in_order), by_event)

    def perform(self, work: Work, timeout: float) -> Made:
        """Ask the provider; keep what the events show. Raises JobFailed."""
        return _made(work, timeout)

    def store(self, jobs: Sequence[Job], made: Made) -> dict[str, dict[str, Any]]:
        """Write the observations and enter them in the audit; notes for each job's history."""
        return _stored(jobs, made, "agent_event")


class SummariseSession(ObserveEvents):
    """Makes one summary of a session's events since its last summary."""

    def prepare(self, jobs: Sequence[Job]) -> Work:
        """The events that the job covers, and the titles of what was made of them."""
        (job,) = jobs
        since = _covered_before(job)
        covered = Event.objects.filter(
            session_id=job.session_id, number__gt=since, number__lte=job.covers
        )
        project, newest = _told(covered.order_by("-number")[:SUMMARY_EVENTS])
        events = [event for event in newest[::-1] if not asks_memory(event.payload)]
        titles = Observation.objects.filter(
            sources__event__in=[event.id for event in events]
        ).order_by("number")
        known = tuple(titles.values_list("title", flat=True))
        source = _source("summarise", job, project, events, known)
        return Work(source, dict.fromkeys((event.id for event in events), job))

    def store(self, jobs: Sequence[Job], made: Made) -> dict[str, dict[str, Any]]:
        """Write the summary and enter it in the audit; a note for the job's history."""
        # First: who waits for the session must not have what others count in.
        Session.objects.filter(pk=jobs[0].session_id).update(
            last_generated_at=direct.now(), generation_status="completed"
        )
        return _stored(jobs, made, "session_summary")


def account(jobs: Sequence[Job], outcome: "Made | JobFailed") -> None:
    """Enter the tokens of a call for the jobs, which made something or failed."""
    spent = outcome.cost if isinstance(outcome, JobFailed) else outcome.completion.tokens
    if isinstance(spent, Tokens):
        usage.spend(jobs[0], spent)


def _covered_before(job: Job) -> int:
    earlier = GenerationJob.objects.filter(
        source_id=job.source_id,
        kind=kinds.SUMMARY.name,
        state=states.COMPLETED,
        covers__lt=job.covers,
    )
    return earlier.aggregate(last=Max("covers"))["last"] or 0


def _told(events: QuerySet[Event]) -> tuple[str, list[SourceEvent]]:
    """The name of the events' project, and what a provider is told of them, in one query."""
    columns = ("project__name", "id", "number", "event_type", "occurred_at", "payload")
    rows = list(events.values_list(*columns))
    return rows[0][0] if rows else "", [SourceEvent(*told) for _, *told in rows]


def _source(
    task: Task, job: Job, project: str, events: Sequence[SourceEvent], known: tuple[str, ...] = ()
) -> Source:
    return Source(
        task=task,
        request_id=job.id,
        project=project,
        session_id=job.session_id,
        events=tuple(events),
        known=known,
    )


@cache
def provider() -> Provider:
    """The provider in force. Raises UnknownProvider."""
    return provider_named(settings.PROVIDER, Options(**settings.PROVIDER_OPTIONS))


@cache
def mode() -> Mode:
    """The mode in force. Raises ModeError."""
    return modes.load(settings.MODE, [*settings.MODE_DIRECTORIES, modes.PACKAGED])


def _made(work: Work, timeout: float) -> Made:
    asked = _provider()
    if not work.source.events:
        return Made(Completion((), asked.name, asked.model, 0, 0), ())
    if settings.PROVIDER_DELAY_MS:
        time.sleep(settings.PROVIDER_DELAY_MS / 1000)
    try:
        completion = asked.complete(work.source, mode(), timeout=timeout)
    except ProviderError as error:
        raise JobFailed(
            error.reason,
            classification=error.classification,
            transient=error.retryable,
            retry_after=error.retry_after,
            pauses=error.pauses,
            cost=error.spent,
        ) from error
    kept = (_validated(draft, work.source) for draft in completion.drafts)
    drafts = [draft for draft in kept if draft]
    return Made(completion, findings.prepared(drafts, completion, work.source, work.jobs))


def _provider() -> Provider:
    try:
        return provider()
    except UnknownProvider as error:
        raise JobFailed(
            str(error), classification="misconfigured", transient=False, pauses=True
        ) from error


def _validated(draft: Draft, source: Source) -> Draft | None:
    if isinstance(draft, SummaryDraft):
        return draft
    return evidence.supported(draft, source.events)


def _stored(jobs: Sequence[Job], made: Made, source_type: str) -> dict[str, dict[str, Any]]:
    outcomes = findings.write(made.findings, source_type)
    usage.observed(jobs, {job_id: len(outcome.made) for job_id, outcome in outcomes.items()})
    audit.write(entries.settled(jobs, made.completion, outcomes))
    return _notes(jobs, made, outcomes)


def _notes(
    jobs: Sequence[Job], made: Made, outcomes: Mapping[str, Outcome]
) -> dict[str, dict[str, Any]]:
    nothing = Outcome()
    return {
        job.id: {
            "provider": made.completion.provider,
            "model": made.completion.model,
            "observationCount": len(outcomes.get(job.id, nothing).made),
            "mergedCount": outcomes.get(job.id, nothing).merged,
            **(_usage(made.completion) if job is jobs[0] else {}),
        }
        for job in jobs
    }


def _usage(completion: Completion) -> dict[str, int]:
    """What a completion cost, told once for all the jobs that it was for; nothing if nothing."""
    used = {"inputTokens": completion.input_tokens, "outputTokens": completion.output_tokens}
    return used if any(used.values()) else {}
