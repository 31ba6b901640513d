"""What must be true of the history of lanes, whatever went wrong. Pure.

Nothing in the tables of jobs and history forbids what is looked for here, so a fault would show.
A lane's history has its ids in the order of its commits: each is written under a lock of the lane
or of the job.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter

from queueing import states

_ENDS = {
    states.COMPLETED, states.FAILED, states.RELEASED, states.RETRY_SCHEDULED, states.CANCELLED,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a lane's history: what happened to the job at the place `seq`.

    `batch` is how many jobs a claim took; every one of them has such a line.
    """

    job: str
    seq: int
    event: str
    batch: int = 0


Lanes = Sequence[Sequence[Line]]


def lanes(rows: Iterable[tuple[object, str, int, str, int]]) -> list[list[Line]]:
    """Each lane's history from rows (lane, job, seq, event, batch), which are in that order."""
    return [[Line(*row[1:]) for row in lane] for _, lane in groupby(rows, key=itemgetter(0))]


def twice(history: Lanes) -> list[str]:
    """Jobs that were completed more than once."""
    done = Counter(line.job for line in _completions(history))
    return [f"{job} completed {times} times" for job, times in done.items() if times > 1]


def out_of_order(history: Lanes) -> list[str]:
    """Jobs that were completed before another that stood before them in their lane."""
    return [
        f"{after.job} completed after {before.job}, which stood behind it"
        for lane in history
        for before, after in pairwise(_completions([lane]))
        if after.seq < before.seq
    ]


def overlaps(history: Lanes) -> list[str]:
    """Claims of a lane that were made while another was in flight and not taken over."""
    return [fault for lane in history for fault in _overlaps(lane)]


def _completions(history: Lanes) -> Iterator[Line]:
    return (line for lane in history for line in lane if line.event == states.COMPLETED)


def _overlaps(lane: Iterable[Line]) -> Iterator[str]:
    in_flight: set[str] = set()
    expected = 0
    for line in lane:
        if line.event == states.CLAIMED:
            if expected == 0:
                # The head of a new claim. Its own claim may have run out; no other job's may last.
                expected = line.batch
                if in_flight - {line.job}:
                    yield f"{line.job} was claimed while {sorted(in_flight)} were in flight"
            in_flight.add(line.job)
            expected -= 1
        elif line.event in _ENDS:
            in_flight.discard(line.job)
