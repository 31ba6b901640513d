"""How long a team's single job waits behind another team's backlog, in units of one job's time.

    python -m tests.benchmarks.share [--database sqlite|postgresql] [--engine celery|database]
                                     [--jobs 10000] [--singles 10] [--call 0.5]

Without options it goes through both databases and engines, each with the backlog in a lane a job
and in one lane. A real `claudemem worker start` process with one thread works jobs of which each
call takes `--call` seconds; a single job is enqueued and published as a capture does it, at a
moment when a call is under way. Exits with 1 if one waited for half a second more than a job takes.
"""

import argparse
import os
import random
import sys
import time
from statistics import median
from uuid import uuid4

from tests.benchmarks.drain import (
    DATABASES,
    ENGINES,
    PATIENCE,
    Scene,
    each_combination,
    employed,
    staged,
)
from tests.benchmarks.nothing import CALL
from tests.waiting import until

# What a busy machine adds to the end of a call.
GRACE_SECONDS = 0.5


def main() -> int:
    """Go through what was asked for; 1 if a job waited for too long."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=DATABASES, help="[default: both]")
    parser.add_argument("--engine", choices=ENGINES, help="[default: both]")
    parser.add_argument("--jobs", type=int, default=10_000, help="[default: 10000]")
    parser.add_argument("--singles", type=int, default=10, help="[default: 10]")
    parser.add_argument("--call", type=float, default=0.5, help="seconds [default: 0.5]")
    given = parser.parse_args()
    given.lanes = given.jobs
    return each_combination("share", given, _measured)


def _measured(given: argparse.Namespace) -> int:
    print(f"\n{given.database}, {given.engine} engine: {given.jobs} jobs wait, a call takes "
          f"{given.call} s; load {os.getloadavg()[0]:.1f}")  # fmt: skip
    late: list[float] = []
    with staged(given) as scene:
        for lanes in (given.jobs, 1):
            _fill(given.jobs, lanes)
            waited = _waits(scene, given)
            one = _time_of_a_job()
            late += [each for each in waited if each > one + GRACE_SECONDS]
            jobs = [each / one for each in waited]
            print(f"  in {lanes:>6} lanes: a job takes {one:.2f} s, from claim to claim; a single "
                  f"one waits {median(jobs):.2f} times as long in the median, "
                  f"{max(jobs):.2f} times at most")  # fmt: skip
            _empty()
    return 1 if late else 0


def _waits(scene: Scene, given: argparse.Namespace) -> list[float]:
    more = {CALL: str(given.call), "CLAUDE_MEM_WORKER_THREADS": "1"}
    with employed(scene, 1, **more):
        until(lambda: _done() > 2, PATIENCE)
        return [_waited(given.call) for _ in range(given.singles)]


def _waited(call: float) -> float:
    """Enqueue a single job of another team; the seconds from its commit to its claim."""
    from queueing.models import GenerationJobEvent

    time.sleep(call * (1 + random.random()))
    (job,) = _enqueue("small", 1, 1)
    history = GenerationJobEvent.objects.filter(job_id=job)
    until(lambda: history.filter(event="processing").exists(), PATIENCE)
    times = dict(history.values_list("event", "created_at"))
    return float((times["processing"] - times["queued"]).total_seconds())


def _time_of_a_job() -> float:
    """Seconds from one claim to the next, on average."""
    from queueing.models import GenerationJobEvent

    claims = GenerationJobEvent.objects.filter(event="processing").order_by("id")
    times = list(claims.values_list("created_at", flat=True))
    return float((times[-1] - times[0]).total_seconds()) / (len(times) - 1)


def _fill(jobs: int, lanes: int) -> None:
    for _ in range(0, jobs, 500) if lanes > 1 else range(1):
        _enqueue("big", min(jobs, 500) if lanes > 1 else jobs, 500 if lanes > 1 else 1)


def _enqueue(team: str, jobs: int, lanes: int) -> list[str]:
    from django.db import transaction

    from queueing import kinds, outbox
    from queueing.outbox import NewJob

    run = uuid4().hex
    new = [
        NewJob(kinds.EVENT, f"{run}-{n % lanes}", kinds.EVENT.job_id(run, str(n)), f"source-{n}",
               team, f"of-{team}", origin={"source": "share"})
        for n in range(jobs)
    ]  # fmt: skip
    with transaction.atomic():
        rows = outbox.enqueue(new)
    outbox.publish_enqueued(rows)
    return [row.id for row in rows]


def _done() -> int:
    from queueing.models import GenerationJob

    return GenerationJob.objects.filter(state="completed").count()


def _empty() -> None:
    """Begin again with nothing."""
    from queueing.models import GenerationJob, GenerationJobEvent, Lane

    for model in (GenerationJobEvent, GenerationJob, Lane):
        model.objects.all().delete()


if __name__ == "__main__":
    sys.exit(main())
