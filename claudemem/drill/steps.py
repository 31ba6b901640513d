"""The steps of a drill: each makes one fault, and waits until everything is as if there were none.

A step has a project of its own in the scratch team, so that what is found can be laid at its door.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from django.conf import settings

from claudemem import storechoice
from claudemem.drill import scratch as rows
from claudemem.drill import verdict
from claudemem.drill.crew import Crew
from claudemem.drill.cuts import Cut
from claudemem.drill.errors import CannotRun, NotHere
from claudemem.drill.scratch import Scratch
from claudemem.drill.traffic import Taken, Traffic, payloads
from claudemem.drill.verdict import Counts
from observations import keys
from queueing import states
from queueing.models import GenerationJob

KEPT, BROKEN, SKIPPED = "kept", "broken", "skipped"
# What was accepted must be settled so long (s) after a fault, on a busy machine too, and so many
# leases of whoever died.
_PATIENCE_SECONDS = 60.0
_PATIENCE_LEASES = 5
_LOOK_SECONDS = 0.05

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step did and found. `seconds`: from the end of its fault until all was settled.

    Of one that was skipped `said` is why.
    """

    step: str
    said: str
    result: str = KEPT
    accepted: int = 0
    seconds: float | None = None
    counts: Counts = field(default_factory=Counts)


@dataclass(frozen=True, slots=True)
class Drill:
    """All that a step needs."""

    scratch: Scratch
    traffic: Traffic
    crew: Crew
    cut: Cut


class _Step:
    """One step under way: its project, its key, and what the web has accepted for it."""

    def __init__(self, drill: Drill, name: str) -> None:
        self.drill = drill
        self.name = name
        self.project = rows.project(drill.scratch, name)
        self.key = rows.key(self.project)
        self.accepted: set[str] = set()

    def send(self, sessions: int, each: int) -> None:
        """Send so many sessions with so many events each, as hooks."""
        self.take(self.drill.traffic.hooks(self.key, payloads(sessions, each)))

    def take(self, taken: Sequence[Taken]) -> None:
        """Note what was accepted."""
        self.accepted |= {one.event_id for one in taken}

    def in_hand(self, worker: int | None = None) -> int:
        """How many of its jobs are being worked, by that worker or by any."""
        held = GenerationJob.objects.filter(
            project_id=self.project.pk, state=states.PROCESSING
        ).values_list("leased_by", flat=True)
        return sum(worker in (None, process_of(name)) for name in held)

    def open(self) -> int:
        """How many of its jobs wait or are worked."""
        return GenerationJob.objects.filter(
            project_id=self.project.pk, state__in=states.OPEN
        ).count()

    def ended(self, said: str) -> Outcome:
        """What came of it, once all is settled or the patience is over. The fault ends now."""
        began = time.monotonic()
        done = _awaited(lambda: verdict.settled(self.project.pk), _patience())
        seconds = time.monotonic() - began
        counts = verdict.judge(self.project.pk, self.accepted)
        result = KEPT if counts.kept else BROKEN
        return Outcome(
            self.name, said, result, len(self.accepted), seconds if done else None, counts
        )


def process_of(worker: str) -> int:
    """The number of the process that a lease is said to be held by."""
    return int(worker.rpartition(":")[2])


def sound(drill: Drill) -> None:
    """See that the drill's workers work at all. Raises CannotRun."""
    step = _Step(drill, "sound check")
    step.send(sessions=4, each=1)
    if not _awaited(lambda: verdict.settled(step.project.pk), _patience()):
        raise CannotRun(f"the drill's workers did not work; they said:\n{drill.crew.said}")


def kill_worker(step: _Step) -> Outcome:
    """Kill a worker while the provider is asked, and start another in its place."""
    step.send(sessions=6, each=3)
    pid, jobs = _caught(step, lambda: _killed(step))
    return step.ended(f"process {pid} was killed while the provider was asked about {jobs} events")


def _killed(step: _Step) -> tuple[int, int] | None:
    """The process that was killed, and how many jobs it had then; None if it had none any more."""
    crew = step.drill.crew
    pid = next(filter(step.in_hand, crew.pids), 0)
    if not pid:
        return None
    crew.kill(pid)
    jobs = step.in_hand(pid)
    crew.add()
    return (pid, jobs) if jobs else None


def stop_store(step: _Step) -> Outcome:
    """Take the queue store away while there is work, and go on capturing."""
    step.send(sessions=8, each=2)
    _caught(step, step.in_hand)
    step.drill.cut.take()
    try:
        step.send(sessions=4, each=2)
    finally:
        step.drill.cut.give()
    return step.ended(f"{step.drill.cut.done}, and captures went on")


def lose_messages(step: _Step) -> Outcome:
    """Delete all messages of the drill's queues while some wait."""
    if settings.QUEUE_ENGINE != storechoice.CELERY:
        raise NotHere("there are no messages: workers look at the database")
    step.send(sessions=32, each=1)
    _caught(step, lambda: rows.waiting(step.drill.scratch))
    lost = rows.sweep(step.drill.scratch)
    return step.ended(f"{lost} messages that waited were deleted, and all else in those queues")


def fill_queue(step: _Step) -> Outcome:
    """Send many events at once, as an import does."""
    step.take(step.drill.traffic.batch(step.key, payloads(sessions=20, each=20)))
    return step.ended(f"{len(step.accepted)} events of 20 sessions came at once")


def deliver_twice(step: _Step) -> Outcome:
    """Deliver each hook two times at the same time."""
    taken = step.drill.traffic.twice(step.key, sent := payloads(sessions=4, each=4))
    step.take(taken)
    known = sum(one.duplicate for one in taken)
    return step.ended(f"{len(sent)} hooks came two times each, {known} of them were known")


def rotate_key(step: _Step) -> Outcome:
    """Revoke the key under which jobs wait, and go on with another."""
    step.send(sessions=12, each=2)
    old, step.key = step.key, rows.key(step.project)
    left = _caught(step, step.open)
    keys.revoke(old.key.id, origin=rows.BY_DRILL)
    if not step.drill.traffic.refused(old):
        raise CannotRun("the server takes a key that was revoked: it uses another database")
    step.send(sessions=4, each=1)
    return step.ended(f"a key was revoked while {left} of its jobs waited")


STEPS: dict[str, tuple[str, Callable[[_Step], Outcome]]] = {
    "worker": ("worker killed", kill_worker),
    "store": ("store stopped", stop_store),
    "messages": ("messages deleted", lose_messages),
    "queue": ("queue filled", fill_queue),
    "hooks": ("hooks twice", deliver_twice),
    "key": ("key rotated", rotate_key),
}


def held(drill: Drill, chosen: Sequence[str]) -> Iterator[Outcome]:
    """Take the steps of these names, and tell of each when it is over."""
    sound(drill)
    for name in chosen:
        title, take = STEPS[name]
        try:
            yield take(_Step(drill, title))
        except NotHere as reason:
            yield Outcome(title, str(reason), SKIPPED)


def _caught(step: _Step, found: Callable[[], Found | None]) -> Found:
    """What is to be met by the fault. Raises CannotRun where it never comes."""
    if caught := _awaited(found, _patience()):
        return caught
    raise CannotRun(
        f"{step.name}: nothing was under way that the fault could have met; the drill's workers "
        f"said:\n{step.drill.crew.said}"
    )


def _patience() -> float:
    leases: float = _PATIENCE_LEASES * settings.LEASE_SECONDS
    return _PATIENCE_SECONDS + leases


def _awaited(found: Callable[[], Found | None], seconds: float) -> Found | None:
    until = time.monotonic() + seconds
    while not (result := found()):
        if time.monotonic() > until:
            return None
        time.sleep(_LOOK_SECONDS)
    return result
