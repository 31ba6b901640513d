"""What is entered in the audit, and in which words. Ids, counts and names; never what was said."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from queueing import states, witness

if TYPE_CHECKING:
    from observations.drafts import Completion
    from observations.findings import Outcome
    from observations.models import ApiKey, Event, Observation, ProjectMerge, Session
    from queueing.leases import Job
    from queueing.models import GenerationJob, Share
    from queueing.outbox import Enqueued
    from queueing.pauses import Subject

Origin = Mapping[str, Any]
# Who asks where nobody came through a door: a script, or the program itself.
BY_PROGRAM: Final[Origin] = {"source": "program"}

SESSION, EVENT, OBSERVATION = "server_session", "agent_event", "observation"
PROJECT, AUDIT = "project", "audit_log"
JOB, KEY = "observation_generation_job", "api_key"

SESSION_WRITE, SESSION_END = "session.write", "session.end"
EVENT_RECEIVED, BATCH_RECEIVED = "event.received", "event.batch_received"
MEMORY_WRITE, MEMORY_IMPORTED = "memory.write", "memory.imported"
OBSERVATION_READ = "observation.read"
OBSERVATION_CREATED, OBSERVATION_DELETED = "observation.created", "observation.deleted"
OBSERVATION_UPDATED = "observation.updated"
PROJECT_CREATE, MEMORY_PURGED = "project.create", "project.memory_purged"
PROJECT_MERGED, MERGE_UNDONE = "project.merged", "project.merge_undone"
JOB_PROCESSING, JOB_COMPLETED = "generation_job.processing", "generation_job.completed"
JOB_STALLED, JOB_FAILED = "generation_job.stalled", "generation_job.failed"
JOB_RETRIED = "generation_job.retried_by_operator"
JOB_CANCELLED = "generation_job.cancelled_by_operator"
KEY_CREATE, KEY_REVOKE = "api_key.create", "api_key.revoke"
KEY_ROTATE, KEY_SCOPES = "api_key.rotate", "api_key.migrate_scopes"
WORK_PAUSED, WORK_RESUMED = "work.paused_by_operator", "work.resumed_by_operator"
SHARE_SET, SHARE_CLEARED = "share.set_by_operator", "share.cleared_by_operator"
PRUNED, RETENTION = "retention.pruned", "retention"

ACTIONS: Final = (
    SESSION_WRITE, SESSION_END, EVENT_RECEIVED, BATCH_RECEIVED, MEMORY_WRITE, MEMORY_IMPORTED,
    OBSERVATION_UPDATED, OBSERVATION_DELETED, MEMORY_PURGED, PROJECT_MERGED, MERGE_UNDONE,
    OBSERVATION_READ, OBSERVATION_CREATED, JOB_PROCESSING, JOB_COMPLETED, JOB_STALLED, JOB_FAILED,
    JOB_RETRIED, JOB_CANCELLED, PROJECT_CREATE, KEY_CREATE, KEY_REVOKE, KEY_ROTATE, KEY_SCOPES,
    WORK_PAUSED, WORK_RESUMED, SHARE_SET, SHARE_CLEARED, PRUNED,
)  # fmt: skip

# What clients call their events is theirs to choose, and may be long.
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the audit: what was done to what, whose it is, and on whose behalf.

    `origin` is who asked, as it is kept with a job: `api_key_id` and `request_id`, or `actor_id`
    and `source`.
    """

    action: str
    resource_type: str
    resource_id: str | None
    team_id: str | None
    project_id: str | None
    origin: Origin = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


def captured(events: Sequence["Event"], rows: Sequence["Enqueued"], origin: Origin) -> list[Entry]:
    """Events that were stored, and the jobs that they made; one entry each."""
    jobs = {row.new.asked_by or row.new.source_id: row.id for row in rows}
    return [
        Entry(
            EVENT_RECEIVED,
            EVENT,
            event.id,
            event.team_id,
            event.project_id,
            origin,
            {
                "sourceAdapter": event.source_adapter,
                "sourceEventId": event.source_event_id,
                "eventType": event.event_type[:_LONGEST_NAME],
                "serverSessionId": event.session_id,
                "generationJobId": jobs.get(event.id),
            },
        )
        for event in events
    ]


def batch_captured(
    events: Sequence["Event"], rows: Sequence["Enqueued"], origin: Origin
) -> list[Entry]:
    """Events that were stored together: one entry for all, none where all were known."""
    if not events:
        return []
    projects = {event.project_id for event in events}
    project = projects.pop() if len(projects) == 1 else None
    details = {"eventCount": len(events), "eventIds": [event.id for event in events],
               "generationJobIds": [row.id for row in rows]}  # fmt: skip
    return [Entry(BATCH_RECEIVED, EVENT, None, events[0].team_id, project, origin, details)]


def session(action: str, row: "Session", origin: Origin) -> Entry:
    """A session that was written or ended."""
    return Entry(action, SESSION, row.id, row.team_id, row.project_id, origin)


def memory(action: str, row: "Observation", origin: Origin, **details: Any) -> Entry:
    """A memory that somebody wrote, changed or deleted."""
    return Entry(action, OBSERVATION, row.id, row.team_id, row.project_id, origin, details)


def imported(team_id: str, rows: Sequence["Observation"], origin: Origin) -> list[Entry]:
    """Memories that were taken over from elsewhere together: one entry for all of a project."""
    ids: dict[str, list[str]] = {}
    for row in rows:
        ids.setdefault(row.project_id, []).append(row.id)
    return [
        Entry(MEMORY_IMPORTED, OBSERVATION, None, team_id, project_id, origin,
              {"observationCount": len(those), "observationIds": those})
        for project_id, those in ids.items()
    ]  # fmt: skip


def project(
    action: str, project_id: str, team_id: str, origin: Origin, details: Mapping[str, Any]
) -> Entry:
    """A project that was made, or whose memory was emptied: what it is called, or what went."""
    return Entry(action, PROJECT, project_id, team_id, project_id, origin, details)


def merge(action: str, row: "ProjectMerge", origin: Origin) -> Entry:
    """That a project was put into another, or brought out of it again."""
    details = {"mergeId": row.id, "intoProjectId": row.target_id}
    return Entry(action, PROJECT, row.source_id, row.team_id, row.source_id, origin, details)


def read(
    mode: str,
    team_id: str | None,
    project_id: str | None,
    origin: Origin,
    *,
    resource_id: str | None = None,
    **details: Any,
) -> Entry:
    """An answer that shows memory or jobs; `details` say how much was shown, not what was asked."""
    told = {"mode": mode, **details}
    return Entry(OBSERVATION_READ, OBSERVATION, resource_id, team_id, project_id, origin, told)


def settled(
    jobs: Sequence["Job"], completion: "Completion", outcomes: Mapping[str, "Outcome"]
) -> Iterable[Entry]:
    """Jobs that are completed, each after the observations that it made."""
    made_by = {"provider": completion.provider, "model": completion.model}
    for job in jobs:
        made = outcomes[job.id].made if job.id in outcomes else ()
        for index, (observation_id, kind) in enumerate(made):
            made_of = {"generationJobId": job.id, "sourceId": job.source_id, "kind": kind,
                       "parsedObservationIndex": index}  # fmt: skip
            entry = _of_job(OBSERVATION_CREATED, job, {**made_by, **made_of})
            yield replace(entry, resource_type=OBSERVATION, resource_id=observation_id)
        ids = [observation_id for observation_id, _ in made]
        counted = {"observationCount": len(ids), "observationIds": ids}
        yield _of_job(JOB_COMPLETED, job, {**made_by, **counted})


# What is done to jobs without their handler, by its word in `states`.
_DEEDS: Final = {
    states.CLAIMED: JOB_PROCESSING,
    states.STALLED: JOB_STALLED,
    states.FAILED: JOB_FAILED,
    states.RETRIED: JOB_RETRIED,
    states.CANCELLED: JOB_CANCELLED,
}
# Of what is known of a deed, that which is no free text: a failure's reason may quote a payload.
_TOLD: Final = (
    "batch", "classification", "previousStatus", "currentStatus", "retriedCount", "outcome",
)  # fmt: skip


def of_jobs(
    deed: str,
    jobs: "Sequence[Job | GenerationJob]",
    details: Mapping[str, Any],
    by: Origin | None = None,
) -> list[Entry]:
    """What was done to jobs, by a worker or by whom `by` names; one entry each."""
    told = {name: details[name] for name in _TOLD if name in details}
    return [
        _of_job(
            _DEEDS[deed],
            job,
            {"sourceId": job.source_id, "attempt": job.attempts, **_queued(deed, job), **told},
            by,
        )
        for job in jobs
    ]


def _queued(deed: str, job: "Job | GenerationJob") -> dict[str, str]:
    if deed != states.STALLED:
        return {}
    return {"lane": job.kind, "bullmqJobId": job.queue_job_id}


def _of_job(
    action: str,
    job: "Job | GenerationJob",
    details: Mapping[str, Any],
    by: Origin | None = None,
) -> Entry:
    """Without `by` it is done on behalf of whoever asked for the job."""
    asked = orjson.loads(job.origin) if isinstance(job.origin, str) else job.origin
    told = {"sourceType": job.source_type, **details}
    return Entry(action, JOB, job.id, job.team_id, job.project_id, by or asked, told)


def pruned(jobs: int, audit: int, origin: Origin) -> Entry:
    """Jobs and entries of all teams that were deleted because their time was over."""
    details = {"jobs": jobs, "auditEntries": audit}
    return Entry(PRUNED, RETENTION, None, None, None, origin, details)


def of_key(action: str, key: "ApiKey", origin: Origin, **more: Any) -> Entry:
    """What was done to a key: which one, what it may do and till when, and `more`."""
    ends = key.expires_at.isoformat(timespec="seconds") if key.expires_at else None
    details = {"name": key.name, "scopes": key.scopes, "expiresAt": ends, **more}
    return Entry(action, KEY, key.id, key.team_id, key.project_id, origin, details)


# What is done to pauses, by its word in `witness`.
_PAUSE_DEEDS: Final = {witness.PAUSED: WORK_PAUSED, witness.RESUMED: WORK_RESUMED}


def of_pause(deed: str, subject: "Subject", by: Origin) -> Entry:
    """What an operator paused or resumed: a team, a queue or the provider."""
    team = subject.name if subject.kind == "team" else None
    return Entry(_PAUSE_DEEDS[deed], subject.kind, subject.name or None, team, None, by)


def of_share(action: str, share: "Share", by: Origin) -> Entry:
    """What of the workers an operator gave a team, or one of its projects."""
    project = share.project_id or None
    sort = "project" if project else "team"
    said = {"weight": share.weight, "maxInFlight": share.max_in_flight}
    details = said if action == SHARE_SET else {}
    return Entry(action, sort, project or share.team_id, share.team_id, project, by, details)
