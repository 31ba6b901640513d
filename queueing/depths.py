"""How much waits, is worked and was done: what a look at the queues is made of.

What is open is counted anew each time, by an index of states, at a cost that grows with what is
open and not with all that was ever done. The other states are counted less often the longer it
takes, so that looking never becomes the work.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Count, QuerySet

from queueing import canaries, kinds, pauses, statements, states
from queueing.canaries import Canary
from queueing.direct import moment
from queueing.models import GenerationJob
from queueing.pauses import Hold, Paused
from queueing.statements import fetch, seconds

Counts = Counter[tuple[str, str]]
Counted = TypeVar("Counted")

# A count that took longer than FREE_SECONDS is taken again after so many times as long.
FREE_SECONDS = 0.02
RARITY = 50
# So many lines of history are looked through for what was done last: all that was done since
# the oldest of them is among them.
LINES = 5_000
# A call that was left behind is told of for so long.
HUNG_SECONDS = 300.0
# A head that was nudged and not taken for so long, without a message, lacks one.
LACKING_SECONDS = 60.0
# A head that is due is taken within this, unless all who could take it are at work.
TAKEN_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Heads:
    """The heads of the lanes of one kind: how many there are, how many of them may run now.

    `lacking`: how many were nudged a while ago and not taken; `overdue`: how many might have run
    for a while; `paused`: how many an operator holds, which are none of these. `oldest`: the age in
    seconds of the one that has waited longest and is not held.
    """

    kind: str
    all: int
    due: int
    lacking: int
    oldest: float
    overdue: int = 0
    paused: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """How many jobs of a kind a worker has in hand under leases that are in force."""

    kind: str
    worker: str
    jobs: int


@dataclass(frozen=True, slots=True)
class Table:
    """What the database tells of the queues. Ages are in seconds.

    `open` has the jobs by kind and state. `done_age` is None where nothing was done lately.
    `pause` is the provider's own, `holds` are what operators pause.
    `hung` is how many calls were left behind in the last `HUNG_SECONDS`.
    """

    open: Counts
    heads: Sequence[Heads]
    held: Sequence[Held]
    done_age: float | None
    canaries: Sequence[Canary]
    pause: Paused | None
    holds: Sequence[Hold] = ()
    hung: int = 0


def table() -> Table:
    """Read it all."""
    return Table(
        open_jobs(), heads(), held(), done_age(), canaries.latest(), pauses.current(),
        pauses.held(), hung(),
    )  # fmt: skip


def open_jobs() -> Counts:
    """How many jobs wait or are worked, by kind and state."""
    return Counter({(kind, state): count for kind, state, count in fetch("open_jobs", [])})


def heads() -> list[Heads]:
    """The heads of busy lanes, by kind: as much work as a pass of reconcile."""
    ago = [seconds(-LACKING_SECONDS), seconds(-TAKEN_SECONDS)]
    return [
        Heads(kind, count, due, lacking, _age(since, now), overdue, paused)
        for kind, count, due, lacking, overdue, paused, since, now in fetch("heads", ago)
    ]


def _age(since: Any, now: Any) -> float:
    return (moment(now) - moment(since)).total_seconds() if since else 0.0


def held() -> list[Held]:
    """Who has how many jobs in hand."""
    return [Held(*row) for row in fetch("held", [])]


def done_age() -> float | None:
    """How many seconds ago a job was completed; None if that is not among the latest history."""
    for last, now in fetch("last_done", [LINES]):
        return (moment(now) - moment(last)).total_seconds() if last else None
    return None


def hung() -> int:
    """How many calls hung of late and were left behind, as the latest history says."""
    ((count,),) = fetch("hung", [LINES, seconds(-HUNG_SECONDS)])
    return int(count)


def counts() -> Counts:
    """How many jobs there are by kind and state, and by kind how many are `delayed` or `stalled`.

    Delayed ones are queued and not due yet, stalled ones are processing and their lease is over.
    """
    return _final.value() + _open()


def counts_of(rows: QuerySet[GenerationJob]) -> Counts:
    """The same of these jobs alone."""
    by_state = rows.order_by().values_list("kind", "state").annotate(count=Count("pk"))
    counted = Counter({(kind, state): count for kind, state, count in by_state})
    return counted + _apart(rows)


def forget() -> None:
    """Have everything counted anew."""
    _final.forget()


def _open() -> Counts:
    return open_jobs() + _apart(GenerationJob.objects.all())


def _apart(rows: QuerySet[GenerationJob]) -> Counts:
    """How many of the jobs are delayed and how many stalled, by kind."""
    at = statements.now()
    delayed = rows.filter(state=states.QUEUED, due_at__gt=at)
    stalled = rows.filter(state=states.PROCESSING, lease_until__lte=at)
    return Counter(
        {
            (kind, word): count
            for word, those in (("delayed", delayed), ("stalled", stalled))
            for kind, count in those.order_by().values_list("kind").annotate(count=Count("pk"))
        }
    )


def _ended() -> Counts:
    rows = GenerationJob.objects.filter(state__in=states.FINAL, kind__in=kinds.BY_NAME)
    by_state = rows.order_by().values_list("kind", "state").annotate(count=Count("pk"))
    return Counter({(kind, state): count for kind, state, count in by_state})


class Kept(Generic[Counted]):
    """A count that is taken again after `RARITY` times as long as it took, by one at a time."""

    def __init__(self, take: Callable[[], Counted]) -> None:
        self._take = take
        self._lock = threading.Lock()
        self._known: Counted | None = None
        self._until = 0.0

    def value(self) -> Counted:
        """The count, not older than that; the last one while another caller counts."""
        known = self._known
        if known is not None and time.monotonic() < self._until:
            return known
        if not self._lock.acquire(blocking=known is None):
            assert known is not None
            return known
        try:
            return self._taken()
        finally:
            self._lock.release()

    def forget(self) -> None:
        """Have it taken anew."""
        self._known = None

    def _taken(self) -> Counted:
        if self._known is not None and time.monotonic() < self._until:
            return self._known
        started = time.monotonic()
        taken = self._take()
        took = time.monotonic() - started
        self._until = time.monotonic() + (took * RARITY if took > FREE_SECONDS else 0.0)
        self._known = taken
        return taken


_final = Kept(_ended)
