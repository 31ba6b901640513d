"""What became of the captures of a step, proven from the rows and from the jobs' history."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count

from observations.models import Event, Observation
from queueing import proof, states
from queueing.models import GenerationJob, GenerationJobEvent


@dataclass(frozen=True, slots=True)
class Counts:
    """How much was lost, done more than once, and done out of order, each with a sentence."""

    lost: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    out_of_order: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether nothing was."""
        return not (self.lost or self.repeated or self.out_of_order)


def settled(project_id: str) -> bool:
    """Whether none of the project's jobs waits or is worked."""
    return not GenerationJob.objects.filter(project_id=project_id, state__in=states.OPEN).exists()


def judge(project_id: str, accepted: Collection[str]) -> Counts:
    """What became of the events that the web accepted, and of everything else in the project."""
    lines = list(
        GenerationJobEvent.objects.filter(job__project_id=project_id)
        .order_by("job__lane_id", "id")
        .values_list("job__lane_id", "job_id", "job__seq", "event", "details")
    )
    history = proof.lanes(
        (lane, job, seq, event, details.get("batch", 0)) for lane, job, seq, event, details in lines
    )
    said = {job: details for _, job, _, event, details in lines if event == states.COMPLETED}
    lost, repeated = _stored(project_id, said)
    return Counts(
        (*_missing(project_id, accepted), *_unfinished(project_id, set(said)), *lost),
        (*_unasked(project_id, accepted), *proof.twice(history), *repeated),
        (*proof.out_of_order(history), *proof.overlaps(history)),
    )


def _missing(project_id: str, accepted: Collection[str]) -> list[str]:
    """Events that were accepted and are not there, or have no job."""
    events = set(Event.objects.filter(project_id=project_id).values_list("pk", flat=True))
    sources = _sources(project_id)
    return [
        f"event {event} was accepted and {'has no job' if event in events else 'is not there'}"
        for event in accepted
        if event not in events or event not in sources
    ]


def _unfinished(project_id: str, completed: Collection[str]) -> list[str]:
    """Jobs that are not completed, by their state and by their history."""
    jobs = GenerationJob.objects.filter(project_id=project_id).values_list("pk", "state")
    return [
        f"job {job} is {state}" + ("" if job in completed else ", and was never completed")
        for job, state in jobs
        if state != states.COMPLETED or job not in completed
    ]


def _unasked(project_id: str, accepted: Collection[str]) -> list[str]:
    """Events that are there beside those accepted, and jobs that an event has too many."""
    events = Event.objects.filter(project_id=project_id).values_list("pk", flat=True)
    extra = [f"event {event} was stored, and nobody sent it" for event in events
             if event not in accepted]  # fmt: skip
    return extra + [
        f"event {event} has {count} jobs"
        for event, count in _sources(project_id).items()
        if count > 1
    ]


def _sources(project_id: str) -> Counter[str]:
    """How many jobs each event has."""
    jobs = GenerationJob.objects.filter(project_id=project_id)
    return Counter(jobs.values_list("source_id", flat=True))


def _stored(project_id: str, said: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Jobs of whose observations some are not there, and jobs that have too many.

    A settlement is one transaction with what it stored: there is one moment of it.
    """
    rows = Observation.objects.filter(project_id=project_id).order_by()
    there = {
        job: (count, moments)
        for job, count, moments in rows.values_list("created_by_job_id").annotate(
            Count("pk"), Count("created_at", distinct=True)
        )
    }
    lost, repeated = [], []
    for job in said.keys() | there.keys():
        wanted = said.get(job, {}).get("observationCount", 0)
        count, moments = there.get(job, (0, 0))
        sentence = f"job {job} stored {wanted} observations, {count} are there"
        if count < wanted:
            lost.append(sentence)
        elif count > wanted or moments > 1:
            repeated.append(f"{sentence}, of {moments} moments")
    return lost, repeated
