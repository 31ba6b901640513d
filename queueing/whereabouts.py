"""Where a job is: its place in line, who has it, what holds it, and so why it does not run."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from queueing import identity, pauses, statements, states
from queueing.errors import JobNotFound
from queueing.models import GenerationJob
from queueing.pauses import Hold, Paused

# So many jobs before one in its lane are counted.
MOST_AHEAD = 500


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """A job, and what it waits for, all at the moment `now` of the database's clock.

    `ahead` are the jobs that must end before it may begin, MOST_AHEAD + 1 at most, the first of
    them `first`. `holds` are an operator's pauses that concern it, `paused` is the provider's own.
    """

    job: GenerationJob
    now: datetime
    ahead: int
    first: GenerationJob | None
    holds: tuple[Hold, ...]
    paused: Paused | None

    @property
    def is_stalled(self) -> bool:
        """Whether whoever had it let its lease run out."""
        until = self.job.lease_until
        return until is not None and until <= self.now

    @property
    def waits_for(self) -> str:
        """Why it does not go on, or what it does, in words."""
        if self.job.state in states.FINAL:
            return f"nothing: it is {self.job.state}"
        if self.job.lease_until is not None and not self.is_stalled:
            return f"{identity.shown(self.job.leased_by)}, who works it"
        return self._obstacle() or self._turn()

    def _obstacle(self) -> str:
        if self.first is not None:
            many = f"more than {MOST_AHEAD}" if self.ahead > MOST_AHEAD else str(self.ahead)
            jobs = "job" if self.ahead == 1 else "jobs"
            return f"{many} {jobs} before it in its lane, first of all {self.first.id}"
        if self.holds:
            paused = [hold.subject for hold in self.holds if hold.subject.kind != "quota"]
            if not paused:
                return f"its team's quota: {self.holds[0].reason}"
            return f"an operator, who paused {' and '.join(map(str, paused))}"
        if self.paused:
            return f"the provider, which is tried again in {self.paused.left:.0f} s"
        if self.job.due_at > self.now:
            return f"its time: it is due at {self.job.due_at.isoformat(timespec='seconds')}"
        return ""

    def _turn(self) -> str:
        if self.is_stalled:
            return "another worker: the one that had it died or hangs"
        return "a worker that is free: it is its turn"


def find(job_id: str, among: QuerySet[GenerationJob] | None = None) -> Whereabouts:
    """Where the job with this id is, if it is `among` these. Raises JobNotFound."""
    rows = GenerationJob.objects.all() if among is None else among
    job = rows.select_related("lane").filter(pk=job_id).first()
    if job is None:
        raise JobNotFound("Generation job not found")
    before = list(_before(job)[: MOST_AHEAD + 1]) if job.state in states.OPEN else []
    concerned = [hold for hold in pauses.held() if hold.subject.covers(job.kind, job.team_id)]
    return Whereabouts(
        job=job,
        now=statements.now(),
        ahead=len(before),
        first=before[0] if before else None,
        holds=tuple(concerned),
        paused=pauses.current(),
    )


def _before(job: GenerationJob) -> QuerySet[GenerationJob]:
    """The jobs that are to end before this one may begin, in their order."""
    line = GenerationJob.objects.filter(lane=job.lane_id, seq__gte=job.lane.head, seq__lt=job.seq)
    return line.filter(state__in=states.OPEN).order_by("seq")
