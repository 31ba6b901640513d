"""What became of a delivery: its event, and the job that observes it."""

from collections.abc import Sequence
from dataclasses import dataclass

from observations.models import Event
from queueing import direct, kinds
from queueing.models import GenerationJob
from queueing.outbox import Enqueued

_OF_EVENTS = (kinds.EVENT, kinds.EVENT_BATCH)


@dataclass(frozen=True, slots=True)
class Captured:
    """What became of one delivery; a duplicate has the event and job of the first."""

    event: Event
    transport: str
    duplicate: bool
    row: Enqueued | None = None
    earlier: GenerationJob | None = None

    @property
    def job(self) -> GenerationJob | None:
        """The job that observes the event, as its row was when it was written."""
        return as_job(self.row) if self.row else self.earlier

    @property
    def job_id(self) -> str | None:
        """Its id, at a hundredth of the cost of its row."""
        return self.row.id if self.row else self.earlier.id if self.earlier else None


def jobs_of(event_ids: Sequence[str]) -> dict[str, GenerationJob]:
    """The jobs that observe these events, by event."""
    if not event_ids:
        return {}
    names = [kind.job_id(event_id) for event_id in event_ids for kind in _OF_EVENTS]
    return {job.source_id: job for job in GenerationJob.objects.filter(queue_job_id__in=names)}


def as_job(row: Enqueued) -> GenerationJob:
    """The job that was just written, as its row, without reading it back."""
    new = row.new
    return direct.instance(GenerationJob, {
        "id": row.id,
        "queue_job_id": new.queue_job_id,
        "seq": row.seq,
        "kind": new.kind.name,
        "max_attempts": new.kind.max_attempts,
        "due_at": row.created_at,
        "team_id": new.team_id,
        "project_id": new.project_id,
        "session_id": new.session_id,
        "source_type": new.kind.source_type,
        "source_id": new.source_id,
        "covers": new.covers,
        "created_at": row.created_at,
        "updated_at": row.created_at,
    })  # fmt: skip
