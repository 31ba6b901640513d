"""What came of the faults: whether the promise was kept, and how soon work went on."""

import statistics
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from tests import proofs
from tests.benchmarks import history
from tests.benchmarks.history import Line, Stand
from tests.benchmarks.rows import Rows
from tests.benchmarks.scene import Deed, Scene

# What takes longer (seconds) is told line by line.
LONG = 15.0
# So many of those, the longest.
TOLD = 10
ZEROS = {
    "lost": proofs.lost,
    "done twice": proofs.twice,
    "out of order": proofs.out_of_order,
    "overlapping": proofs.overlaps,
}


@dataclass(frozen=True, slots=True)
class Recovery:
    """How soon the jobs that a kind of fault touched went on: seconds, most and median.

    A job that was struck again before it went on counts for the last that struck it. Of the one
    that took longest: how many faults struck anything meanwhile, and how long (seconds) no worker
    began anything.
    """

    kind: str
    times: int
    touched: int
    median: float
    most: float
    meanwhile: int
    idle: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is printed at the end; `wrong` counts what broke the promise, by its name."""

    jobs: int
    seconds: float
    wrong: dict[str, int]
    recoveries: tuple[Recovery, ...]
    stood: float

    @property
    def kept(self) -> bool:
        return not any(self.wrong.values())

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


def faults(rows: Rows, asked: int) -> dict[str, list[str]]:
    """Everything that broke the promise, by its name."""
    with closing(rows.connect()) as database:
        found = {name: look(database) for name, look in ZEROS.items()}
    ((there,),) = rows.query("SELECT count(*) FROM queueing_generationjob")
    if there != asked:
        found["lost"].append(f"{asked} jobs were enqueued, {there} are there")
    return found


def report(scene: Scene, asked: int, seconds: float) -> Outcome:
    """Print the tables, and what broke the promise."""
    wrong = faults(scene.rows, asked)
    ((claims, most),) = scene.query(
        "SELECT count(*), max(attempt) FROM queueing_generationjobevent WHERE event = 'processing'"
    )
    print(
        f"\n{asked} jobs in {seconds:.1f} s; {claims - asked} claims over jobs, at most {most} "
        f"of one job in a row; {scene.deaths} programs ended by themselves and were started again"
    )
    print_wrong(wrong)
    told = history.lines(scene.rows)
    stood = max(history.stands(told), key=lambda stand: stand.seconds)
    found = tuple(_recoveries(scene.deeds, told))
    print_recoveries(found)
    print(f"  a lane with open work stood still for {stood.seconds:.1f} s at most")
    explain(scene.deeds, told)
    counts = {name: len(each) for name, each in wrong.items()}
    return Outcome(asked, seconds, counts, found, stood.seconds)


def print_wrong(wrong: dict[str, list[str]]) -> None:
    """How much there is of each thing that must not be, and the first of it."""
    for name, found in wrong.items():
        print(f"  {name:<14}{len(found):>5}")
    for said in [said for found in wrong.values() for said in found][:50]:
        print(f"    {said}")


def print_recoveries(found: Iterable[Recovery]) -> None:
    """A line for each kind of fault."""
    print("\n  fault               times  jobs touched  until they went on: median s   most s"
          "  (faults meanwhile, nobody worked for s)")  # fmt: skip
    for each in found:
        took = f"{each.median:>30.1f}{each.most:>9.1f}" if each.touched else f"{'-':>30}{'-':>9}"
        told = f"  ({each.meanwhile}, {each.idle:.1f})" if each.touched else ""
        print(f"  {each.kind:<19}{each.times:>6}{each.touched:>14}{took}{told}")


def _recoveries(deeds: Sequence[Deed], told: Sequence[Line]) -> Iterable[Recovery]:
    struck = [deed for deed in deeds if deed.is_fault]
    waits = _waits(struck, told)
    for kind in sorted({deed.what for deed in struck}):
        times = sum(deed.what == kind for deed in struck)
        of_kind = [wait for what, wait in waits if what == kind]
        if not of_kind:
            yield Recovery(kind, times, 0, 0.0, 0.0, 0, 0.0)
            continue
        longest = max(of_kind, key=lambda wait: wait.seconds)
        meanwhile = sum(longest.since < deed.since <= longest.until for deed in struck)
        median = statistics.median(wait.seconds for wait in of_kind)
        idle = history.nobody_worked(told, longest)
        yield Recovery(kind, times, len(of_kind), median, longest.seconds, meanwhile, idle)


def _waits(struck: Sequence[Deed], told: Sequence[Line]) -> list[tuple[str, Stand]]:
    """How long each job that was touched waited to go on: from the last fault that touched it."""
    last: dict[tuple[str, datetime], tuple[str, Stand]] = {}
    for deed in sorted(struck, key=lambda deed: deed.since):
        for job in deed.touched:
            if end := history.went_on(told, job, deed.since):
                last[job, end] = deed.what, Stand(0, job, deed.since, end)
    return list(last.values())


# --- what took long -----------------------------------------------------------------------------


def explain(deeds: Sequence[Deed], told: Sequence[Line]) -> None:
    """Of the lanes that stood still for long: their history about then, and what was done."""
    every = sorted(history.stands(told), key=lambda stand: -stand.seconds)
    long = [stand for stand in every if stand.seconds > LONG]
    for stand in long[:TOLD]:
        still = history.nobody_worked(told, stand)
        print(f"\n  lane {stand.lane} stood still for {stand.seconds:.1f} s")
        print(f"  (in which no worker began anything for {still:.1f} s):")
        story = [*_history_of(stand, told), *_deeds_in(stand, deeds), *_starts_in(stand, told)]
        for at, said in sorted(story):
            print(f"    {(at - stand.since).total_seconds():>8.2f} s  {said}")
    if more := long[TOLD:]:
        print(f"\n  {len(more)} more stood still for longer than {LONG:g} s")


def _history_of(stand: Stand, told: Sequence[Line]) -> Iterable[tuple[datetime, str]]:
    """All of the job that went on at last, and of its lane what was written about then."""
    near = timedelta(seconds=LONG)
    for line in told:
        about = stand.since - near <= line.at <= stand.until + near
        if line.job == stand.job or (line.lane == stand.lane and about):
            attempt = f", attempt {line.attempt}" if line.attempt else ""
            by = f" by {line.worker}" if line.worker else ""
            yield line.at, f"job {line.job[-6:]} {line.event}{by}{attempt} {line.says}".rstrip()


def _deeds_in(stand: Stand, deeds: Iterable[Deed]) -> Iterable[tuple[datetime, str]]:
    """What was done to the system meanwhile, and shortly before."""
    before = stand.since - timedelta(seconds=LONG)
    for deed in deeds:
        if deed.until >= before and deed.since <= stand.until:
            hit = " (this job)" if stand.job in deed.touched else ""
            over = f", for {(deed.until - deed.since).total_seconds():.1f} s"
            yield deed.since, f"-- {deed.what}{hit}{over if deed.is_fault else ''}"


def _starts_in(stand: Stand, told: Sequence[Line]) -> Iterable[tuple[datetime, str]]:
    """When workers made their first claims."""
    first: dict[str, datetime] = {}
    for line in told:
        if line.worker:
            first[line.worker] = min(line.at, first.get(line.worker, line.at))
    for worker, at in first.items():
        if stand.since <= at <= stand.until:
            yield at, f"-- {worker} makes its first claim"
