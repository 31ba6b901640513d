"""Each entity as it is on the wire: pure functions from the row, with the keys in their order."""

from datetime import datetime

from django.utils.text import slugify

from claudemem.api import wire
from claudemem.api.answers import epoch, epoch_or_none, iso, iso_or_none
from observations import keys
from observations.models import (
    ApiKey,
    AuditEntry,
    Event,
    Observation,
    ObservationSource,
    Project,
    Session,
)
from queueing import kinds, states
from queueing.models import GenerationJob, GenerationJobEvent


def session(row: Session) -> wire.sessions.Session:
    """A session."""
    return {
        "id": row.id,
        "projectId": row.project_id,
        "teamId": row.team_id,
        "externalSessionId": row.external_session_id,
        "contentSessionId": row.content_session_id,
        "agentId": row.agent_id,
        "agentType": row.agent_type,
        "branch": row.branch,
        "part": row.part,
        "platformSource": row.platform_source,
        "generationStatus": row.generation_status,
        "metadata": row.metadata,
        "startedAtEpoch": epoch(row.started_at),
        "endedAtEpoch": epoch_or_none(row.ended_at),
        "lastGeneratedAtEpoch": epoch_or_none(row.last_generated_at),
        "createdAtEpoch": epoch(row.created_at),
        "updatedAtEpoch": epoch(row.updated_at),
    }


def event(row: Event) -> wire.events.Event:
    """An event, as it was stored: after scrubbing."""
    return {
        "id": row.id,
        "projectId": row.project_id,
        "teamId": row.team_id,
        "serverSessionId": row.session_id,
        "sourceAdapter": row.source_adapter,
        "sourceEventId": row.source_event_id,
        "eventType": row.event_type,
        "platformSource": row.platform_source,
        "payload": row.payload,
        "metadata": row.metadata,
        "occurredAtEpoch": epoch(row.occurred_at),
        "receivedAtEpoch": epoch(row.received_at),
        "createdAtEpoch": epoch(row.created_at),
    }


def observation(row: Observation) -> wire.observations.Observation:
    """An observation; on `/v1/memories` it is called a memory."""
    return {
        "id": row.id,
        "projectId": row.project_id,
        "teamId": row.team_id,
        "serverSessionId": row.session_id,
        "kind": row.kind,
        "content": row.content,
        "metadata": row.metadata,
        "createdAtEpoch": epoch(row.created_at),
        "updatedAtEpoch": epoch(row.updated_at),
    }


def whole_observation(row: Observation) -> wire.observations.WholeObservation:
    """An observation with all that is known of it, as `/v1/observations` tells it."""
    return {
        "id": row.id,
        "projectId": row.project_id,
        "teamId": row.team_id,
        "serverSessionId": row.session_id,
        "kind": row.kind,
        "content": row.content,
        "metadata": row.metadata,
        "number": row.number,
        "title": row.title,
        "subtitle": row.subtitle,
        "narrative": row.narrative,
        "facts": row.facts,
        "concepts": row.concepts,
        "filesRead": row.files_read,
        "filesModified": row.files_modified,
        "createdByJobId": row.created_by_job_id,
        "occurredAtEpoch": epoch(row.occurred_at),
        "createdAtEpoch": epoch(row.created_at),
        "updatedAtEpoch": epoch(row.updated_at),
    }


def project(row: Project) -> wire.projects.Project:
    """A project. Once it is made, nothing changes of it here but what it is known by."""
    made = epoch(row.created_at)
    return {
        "id": row.id,
        "teamId": row.team_id,
        "name": row.name,
        "slug": slugify(row.name, allow_unicode=True),
        "rootPath": row.root_path,
        "metadata": row.metadata or {},
        "aliases": [{"sort": each.sort, "key": each.key} for each in row.aliases.all()],
        "mergedInto": row.merged_into_id,
        "createdAtEpoch": made,
        "updatedAtEpoch": made,
    }


def audit_entry(row: AuditEntry) -> wire.audit.AuditEntry:
    """An entry of the audit."""
    return {
        "id": str(row.pk),
        "teamId": row.team_id,
        "projectId": row.project_id,
        "actorId": row.actor_id,
        "apiKeyId": row.api_key_id,
        "action": row.action,
        "resourceType": row.resource_type,
        "resourceId": row.resource_id,
        "details": row.details,
        "createdAtEpoch": epoch(row.created_at),
    }


def sourced_observation(
    row: Observation, source: ObservationSource
) -> wire.observations.SourcedObservation:
    """An observation with one of its sources."""
    return {
        "id": row.id,
        "projectId": row.project_id,
        "teamId": row.team_id,
        "serverSessionId": row.session_id,
        "kind": row.kind,
        "content": row.content,
        "metadata": row.metadata,
        "generationKey": row.generation_key,
        "createdByJobId": row.created_by_job_id,
        "createdAtEpoch": epoch(row.created_at),
        "updatedAtEpoch": epoch(row.updated_at),
        "source": {
            "id": source.id,
            "sourceType": source.source_type,
            "sourceId": source.source_id,
            "generationJobId": source.generation_job_id,
            "createdAtEpoch": epoch(source.created_at),
        },
    }


def job_descriptor(row: GenerationJob, transport: str) -> wire.jobs.JobDescriptor:
    """A job as told to whoever caused it."""
    return {
        "id": row.id,
        "status": row.state,
        "bullmqJobId": row.queue_job_id,
        "sourceType": row.source_type,
        "sourceId": row.source_id,
        "transport": transport,
        "createdAtEpoch": epoch(row.created_at),
        "updatedAtEpoch": epoch(row.updated_at),
    }


def waited_job(row: GenerationJob, transport: str) -> wire.jobs.WaitedJob:
    """A job as told to whoever waited for it."""
    return {
        "id": row.id,
        "status": row.state,
        "transport": transport,
        "bullmqJobId": row.queue_job_id,
        "sourceType": row.source_type,
        "sourceId": row.source_id,
        "attempts": row.attempts,
        "maxAttempts": row.max_attempts,
        "createdAtEpoch": epoch(row.created_at),
        "updatedAtEpoch": epoch(row.updated_at),
    }


def job_status(row: GenerationJob) -> wire.jobs.Job:
    """A job in full."""
    return {
        "id": row.id,
        "projectId": row.project_id,
        "teamId": row.team_id,
        "sourceType": row.source_type,
        "sourceId": row.source_id,
        "agentEventId": row.source_id if row.source_type == "agent_event" else None,
        "serverSessionId": row.session_id,
        "jobType": _job_type(row),
        "status": row.state,
        "bullmqJobId": row.queue_job_id,
        "attempts": row.attempts,
        "maxAttempts": row.max_attempts,
        "nextAttemptAtEpoch": epoch(row.due_at) if _awaits_retry(row) else None,
        "completedAtEpoch": epoch_or_none(row.completed_at),
        "failedAtEpoch": epoch_or_none(row.failed_at),
        "cancelledAtEpoch": epoch_or_none(row.cancelled_at),
        "lastError": _last_error(row),
        "createdAtEpoch": epoch(row.created_at),
        "updatedAtEpoch": epoch(row.updated_at),
    }


def job_entry(row: GenerationJob) -> wire.jobs.JobEntry:
    """A job in a list."""
    return {
        "id": row.id,
        "projectId": row.project_id,
        "teamId": row.team_id,
        "sourceType": row.source_type,
        "sourceId": row.source_id,
        "status": row.state,
        "attempts": row.attempts,
        "maxAttempts": row.max_attempts,
        "createdAtEpoch": epoch(row.created_at),
        "completedAtEpoch": epoch_or_none(row.completed_at),
        "failedAtEpoch": epoch_or_none(row.failed_at),
        "lastError": _last_error(row),
    }


def job_entry_with_payload(row: GenerationJob) -> wire.jobs.JobEntry:
    """A job in an administrator's list: also what it works on, and who asked for it."""
    return {
        **job_entry(row),
        "payload": {
            "kind": row.kind,
            "team_id": row.team_id,
            "project_id": row.project_id,
            "source_type": row.source_type,
            "source_id": row.source_id,
            "server_session_id": row.session_id,
            "generation_job_id": row.id,
            "retried_count": row.retried_count,
            **row.origin,
        },
    }


# What a job's history says of the machines that worked it.
_OF_WORKERS = ("worker", "task")


def job_event(row: GenerationJobEvent, place: int, in_full: bool) -> wire.jobs.JobEvent:
    """A line of a job's history; which worker it was is told `in_full` alone.

    Its id is its `place` in the history: the row's own number counts those of other teams too.
    """
    details = row.details if in_full else {
        name: value for name, value in row.details.items() if name not in _OF_WORKERS
    }  # fmt: skip
    return {
        "id": str(place),
        "generationJobId": row.job_id,
        "eventType": row.event,
        "statusAfter": row.state_after,
        "attempt": row.attempt,
        "details": details,
        "createdAtEpoch": epoch(row.created_at),
    }


def _job_type(row: GenerationJob) -> str:
    kind = kinds.BY_NAME.get(row.kind)
    return kind.job_type if kind else row.kind


def _awaits_retry(row: GenerationJob) -> bool:
    return row.state == states.QUEUED and row.attempts > 0


def _last_error(row: GenerationJob) -> wire.jobs.LastError | None:
    if not row.last_error:
        return None
    return {
        "reason": row.last_error.get("reason", ""),
        "classification": row.last_error.get("classification"),
    }


def key(row: ApiKey, now: datetime) -> wire.keys.Key:
    """A key, as it is `now`; never its hash."""
    return {
        "id": row.id,
        "name": row.name,
        "teamId": row.team_id,
        "projectId": row.project_id,
        "scopes": row.scopes,
        "status": keys.status(row, now),
        "lastUsedAt": iso_or_none(row.last_used_at),
        "expiresAt": iso_or_none(row.expires_at),
        "createdAt": iso(row.created_at),
    }
