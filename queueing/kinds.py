"""The kinds of jobs: each has its Celery queue, its task and its limits.

A kind names its task as a string, so that this package needs no import of what it runs.
"""

from dataclasses import dataclass
from hashlib import sha256

_SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job.

    `max_attempts` counts starts, `batch_jobs` and `batch_tokens` bound how much of a lane's backlog
    one claim takes along. Raises ValueError for batches with a single attempt.
    """

    name: str
    task: str
    prefix: str
    source_type: str
    job_type: str
    max_attempts: int = 3
    batch_jobs: int = 1
    batch_tokens: int = 0

    def __post_init__(self) -> None:
        if self.batch_jobs > 1 and self.max_attempts < 2:
            raise ValueError(
                f"the kind {self.name} must have two attempts or be worked one by one: what came "
                "along with a job that took its worker down is tried again, each job alone"
            )

    @property
    def queue(self) -> str:
        """The Celery queue on which a lane is published whose head is of this kind."""
        return self.name

    def job_id(self, *parts: str) -> str:
        """The deterministic public id of the job for `parts`: the kind's prefix and a SHA-256."""
        return f"{self.prefix}_{sha256(_SEPARATOR.join((self.name, *parts)).encode()).hexdigest()}"


EVENT = Kind(
    name="event",
    task="observations.generate_event",
    prefix="evt",
    source_type="agent_event",
    job_type="observation_generate_for_event",
    batch_jobs=16,
    batch_tokens=24_000,
)
EVENT_BATCH = Kind(
    name="event-batch",
    task="observations.generate_event_batch",
    prefix="evb",
    source_type="agent_event",
    job_type="observation_generate_for_event",
    batch_jobs=16,
    batch_tokens=24_000,
)
SUMMARY = Kind(
    name="summary",
    task="observations.generate_summary",
    prefix="sum",
    source_type="session_summary",
    job_type="observation_generate_session_summary",
)

ALL = (EVENT, SUMMARY, EVENT_BATCH)
BY_NAME = {kind.name: kind for kind in ALL}

# The queue of this package's own periodic work (reconcile, prune).
UPKEEP = "upkeep"
# The task that says of a canary that it came through its queue.
CANARY = "queueing.canary"
