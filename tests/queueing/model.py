"""What is known of lanes and their jobs after each operation, and what follows from it."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import F

from queueing import leases, states
from queueing.direct import fetch
from queueing.kinds import Kind
from queueing.leases import Lease
from queueing.models import GenerationJob, GenerationJobEvent, Lane

LONG = timedelta(hours=1)

ROWS = """
    SELECT job.id, lane.key, seq, state, token, attempts
    FROM queueing_generationjob job JOIN queueing_lane lane ON lane.id = lane_id"""
HEADS = "SELECT key, head, tail FROM queueing_lane"


@dataclass(slots=True)
class Known:
    """What the model knows of a job. `expired` says that its lease ran out."""

    id: str
    lane: str
    seq: int
    kind: Kind
    size: int
    state: str = states.QUEUED
    token: int = 0
    attempts: int = 0
    due: bool = True
    expired: bool = False

    @property
    def is_open(self) -> bool:
        return self.state in states.OPEN

    @property
    def spent(self) -> bool:
        return self.attempts >= self.kind.max_attempts

    @property
    def passable(self) -> bool:
        """Whether a lane may go on with it: not if it was tried, and has one start left."""
        return self.claimable and (not self.attempts or self.attempts < self.kind.max_attempts - 1)

    @property
    def claimable(self) -> bool:
        waits = self.state == states.QUEUED and self.due
        return (waits or (self.state == states.PROCESSING and self.expired)) and not self.spent

    def go(self, state: str) -> None:
        self.state, self.due, self.expired = state, True, False

    def give_back(self) -> None:
        self.go(states.QUEUED)
        self.attempts -= 1


class Model:
    """The jobs as they must be by now, who has which, and what was published."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, Known] = {}
        self.tails: Counter[str] = Counter()
        self.leases: list[Lease] = []
        self.published: list[str] = []

    # --- what always holds ----------------------------------------------------------------------

    def _look(self) -> None:
        self._the_rows_are_what_the_model_says()
        self._a_lanes_head_is_its_first_open_job()
        self._no_lane_has_two_live_claims()

    def _the_rows_are_what_the_model_says(self) -> None:
        known = self.jobs.values()
        assert set(fetch(ROWS)) == {
            (j.id, j.lane, j.seq, j.state, j.token, j.attempts) for j in known
        }
        assert all(0 <= j.attempts <= min(j.token, j.kind.max_attempts) for j in known)
        assert not any(j.spent for j in known if j.state == states.QUEUED)

    def _a_lanes_head_is_its_first_open_job(self) -> None:
        for lane, first, last in fetch(HEADS):
            head = self._head(lane)
            assert last == self.tails[lane]
            assert first == (head.seq if head else last + 1)

    def _no_lane_has_two_live_claims(self) -> None:
        live = Counter(
            self.jobs[at_work[0].id].lane
            for lease in self.leases
            if (at_work := [j for j in lease.jobs if self._holds(j) and self._is_live(j)])
        )
        assert not live or max(live.values()) == 1

    def _prove_the_history(self) -> None:
        rows = GenerationJobEvent.objects.order_by("id")
        last = {row.job_id: row.state_after for row in rows}
        now = dict(GenerationJob.objects.values_list("id", "state"))
        assert last == now
        done: dict[int, list[int]] = defaultdict(list)
        completed = rows.filter(event=states.COMPLETED)
        for lane_id, seq in completed.values_list("job__lane_id", "job__seq"):
            done[lane_id].append(seq)
        assert all(seqs == sorted(set(seqs)) for seqs in done.values())
        assert completed.count() == GenerationJob.objects.filter(state=states.COMPLETED).count()

    # --- the model ------------------------------------------------------------------------------

    def _has_published(self, jobs: list[str]) -> None:
        assert self.published == jobs
        self.published.clear()

    def _job(self, pick: int) -> Known:
        return list(self.jobs.values())[pick % len(self.jobs)]

    def _lease(self, pick: int) -> Lease:
        """Nobody uses a lease again that was settled, failed or given back."""
        return self.leases.pop(pick % len(self.leases))

    def _lane(self, lane: str) -> list[Known]:
        return sorted((j for j in self.jobs.values() if j.lane == lane), key=lambda job: job.seq)

    def _head(self, lane: str | int) -> Known | None:
        if isinstance(lane, int):
            found = Lane.objects.filter(pk=lane).first()
            lane = found.key if found else ""
        return next((job for job in self._lane(lane) if job.is_open), None)

    def _ready(self, head: Known | None) -> leases.Head | None:
        if head and head.state == states.QUEUED and head.due:
            return leases.Head(head.id, head.kind.name)
        return None

    def _holds(self, job: leases.Job) -> bool:
        known = self.jobs.get(job.id)
        return bool(known) and (known.state, known.token) == (states.PROCESSING, job.token)

    def _is_live(self, job: leases.Job) -> bool:
        return not self.jobs[job.id].expired

    def _claim(self, job_id: str) -> bool:
        job = self.jobs.get(job_id)
        may = job is not None and job.claimable and job is self._head(job.lane)
        lease = leases.claim(job_id, "w")
        assert (lease is not None) is may
        if lease:
            assert lease.head.id == job_id
            self._adopt(lease)
        return may

    def _adopt(self, lease: Lease) -> None:
        """A lease of the lane's head, and of an unbroken run of what may come along."""
        head = self.jobs[lease.head.id]
        assert head is self._head(head.lane)
        assert head.claimable
        behind = [job for job in self._lane(head.lane) if job.seq > head.seq and job.is_open]
        alone = head.attempts > 0
        company = [] if alone else self._company(head, behind)
        assert [job.id for job in lease.jobs[1:]] == [
            job.id for job in company[: len(lease.jobs) - 1]
        ]
        for job in lease.jobs:
            known = self.jobs[job.id]
            known.go(states.PROCESSING)
            known.token += 1
            known.attempts += 1
            assert (job.token, job.attempts) == (known.token, known.attempts)
        for job in behind if alone else ():
            if job.state == states.PROCESSING and job.expired:
                job.go(states.QUEUED)
        self.leases.append(lease)

    def _company(self, head: Known, behind: list[Known]) -> list[Known]:
        company: list[Known] = []
        tokens = head.kind.batch_tokens - head.size
        for job in behind:
            tokens -= job.size
            fresh = job.state == states.QUEUED and job.due and not job.attempts
            if job.kind is not head.kind or not fresh or tokens < 0:
                break
            company.append(job)
        return company[: head.kind.batch_jobs - 1]

    def _release(self, lease: Lease) -> None:
        held = [job for job in lease.jobs if self._holds(job)]
        leases.release(lease)
        for job in held:
            self.jobs[job.id].give_back()

    def _expire(self, lease: Lease) -> None:
        for job in lease.jobs:
            if self._holds(job):
                row = GenerationJob.objects.filter(pk=job.id)
                row.update(lease_until=F("created_at") - LONG)
                self.jobs[job.id].expired = True
