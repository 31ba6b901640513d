"""How long a team's single job waits behind the backlogs of others, in units of one job's time.

    python -m tests.benchmarks.share [--database sqlite|postgresql] [--engine celery|database]
                                     [--jobs 10000] [--singles 10] [--call 0.5]
                                     [--threads 1] [--teams 1] [--limit N] [--weight N]
                                     [--backlog lanes|lane|kinds|flood]

Without options it goes through both databases and engines, each with four backlogs: a lane a job,
all in one lane, a lane a job of all kinds in turn, and a lane a job of which a part arrives just
after each single one. A real `claudemem worker start` process works jobs of which each call takes
`--call` seconds; single jobs, each of a team of its own, events and summaries in turn, are enqueued
and published as a capture does it, at a moment when calls are under way. Of the one that waited
longest it prints what was begun before it. Exits with 1 if one waited for half a second more than a
job takes.
"""

import argparse
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from statistics import median
from typing import TYPE_CHECKING
from uuid import uuid4

from tests.benchmarks.drain import (
    DATABASES,
    ENGINES,
    Scene,
    each_combination,
    employed,
    staged,
)
from tests.benchmarks.nothing import CALL

if TYPE_CHECKING:
    from queueing.kinds import Kind

# What a busy machine adds to the end of a call.
GRACE_SECONDS = 0.5
BACKLOGS = ("lanes", "lane", "kinds", "flood")
# So many jobs a transaction, and so many arrive just after a single one.
AT_ONCE = 500
_numbers = count()


@dataclass(frozen=True, slots=True)
class Wait:
    """A single job's wait from its commit to its claim, and what else was claimed meanwhile.

    Of those there may be one a thread, which looked whose turn it was just before that commit.
    """

    seconds: float
    kind: str
    others: tuple[str, ...]


def main() -> int:
    """Go through what was asked for; 1 if a job waited for too long."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=DATABASES, help="[default: both]")
    parser.add_argument("--engine", choices=ENGINES, help="[default: both]")
    parser.add_argument("--jobs", type=int, default=10_000, help="[default: 10000]")
    parser.add_argument("--singles", type=int, default=10, help="[default: 10]")
    parser.add_argument("--call", type=float, default=0.5, help="seconds [default: 0.5]")
    parser.add_argument("--threads", type=int, default=1, help="of the worker [default: 1]")
    parser.add_argument("--teams", type=int, default=1, help="with a backlog [default: 1]")
    parser.add_argument("--limit", type=int, help="of each such team's calls [default: none]")
    parser.add_argument("--weight", type=int, default=1, help="of each such team [default: 1]")
    parser.add_argument(
        "--backlog", choices=BACKLOGS, action="append", help="[default: each in turn]"
    )
    given = parser.parse_args()
    given.lanes = given.jobs
    return each_combination("share", given, _measured)


def _measured(given: argparse.Namespace) -> int:
    print(f"\n{given.database}, {given.engine} engine: {given.jobs} jobs of {given.teams} teams "
          f"wait, a call takes {given.call} s, {given.threads} threads; "
          f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
    late = 0
    with staged(given) as scene:
        for backlog in given.backlog or BACKLOGS:
            _fill(given, backlog)
            waits = _waits(scene, given, backlog)
            one = _time_of_a_job(given.threads)
            late += sum(each.seconds > one + GRACE_SECONDS for each in waits)
            _tell(backlog, waits, one)
            _empty()
    return 1 if late else 0


def _tell(backlog: str, waits: Sequence[Wait], one: float) -> None:
    longest = max(waits, key=lambda wait: wait.seconds)
    jobs = [each.seconds / one for each in waits]
    print(
        f"  {backlog:>6}: a job takes {one:.2f} s, from claim to claim; a single one waits "
        f"{median(jobs):.2f} times as long in the median, {max(jobs):.2f} times at most"
    )
    begun = ", ".join(longest.others) or "nothing"
    most = max(len(each.others) for each in waits)
    print(
        f"          ({longest.kind}, {longest.seconds:.2f} s, before it was begun: {begun}; "
        f"{most} before any)"
    )


def _waits(scene: Scene, given: argparse.Namespace, backlog: str) -> list[Wait]:
    more = {CALL: str(given.call), "CLAUDE_MEM_WORKER_THREADS": str(given.threads)}
    with employed(scene, 1, **more):
        scene.until("SELECT count(*) > 2 FROM queueing_generationjob WHERE state = 'completed'")
        return [_waited(scene, given.call, backlog) for _ in range(given.singles)]


def _waited(scene: Scene, call: float, backlog: str) -> Wait:
    """Enqueue a single job of another team, and wait until it is claimed."""
    from queueing import kinds

    time.sleep(call * (1 + random.random()))
    number = next(_numbers)
    kind = (kinds.EVENT, kinds.SUMMARY)[number % 2]
    (job,), began = _enqueue(f"small-{number}", [kind], 1)
    if backlog == "flood":
        _enqueue("big-0", [kinds.EVENT] * AT_ONCE, AT_ONCE)
    scene.until(f"SELECT state <> 'queued' FROM queueing_generationjob WHERE id = '{job}'")
    claims = _claims()
    ended = next(at for at, claimed, *_ in claims if claimed == job)
    others = [f"{team} {kind} after {(at - began).total_seconds():.2f} s"
              for at, other, team, kind in claims
              if began < at <= ended and other != job]  # fmt: skip
    return Wait((ended - began).total_seconds(), kind.name, tuple(others))


def _claims() -> list[tuple[datetime, str, str, str]]:
    """The newest: when, of which job, whose, and of what kind."""
    from queueing.models import GenerationJobEvent

    columns = ("created_at", "job_id", "job__team_id", "job__kind")
    claims = GenerationJobEvent.objects.filter(event="processing").order_by("-id")
    return list(claims.values_list(*columns)[:100])[::-1]


def _time_of_a_job(threads: int) -> float:
    """Seconds from one claim of a thread to its next, on average."""
    from queueing.models import GenerationJobEvent

    claims = GenerationJobEvent.objects.filter(event="processing").order_by("id")
    times = list(claims.values_list("created_at", flat=True))
    return float((times[-1] - times[0]).total_seconds()) / (len(times) - 1) * threads


def _fill(given: argparse.Namespace, backlog: str) -> None:
    from queueing import kinds
    from queueing.models import Share

    each = given.jobs // given.teams
    chosen = kinds.ALL if backlog == "kinds" else (kinds.EVENT,)
    for team in range(given.teams):
        Share.objects.update_or_create(
            team_id=f"big-{team}", defaults={"weight": given.weight, "max_in_flight": given.limit}
        )
        jobs = [chosen[n % len(chosen)] for n in range(each)]
        for first in range(0, each, each if backlog == "lane" else AT_ONCE):
            part = jobs[first : first + (each if backlog == "lane" else AT_ONCE)]
            _enqueue(f"big-{team}", part, 1 if backlog == "lane" else AT_ONCE)


def _enqueue(team: str, jobs: "Sequence[Kind]", lanes: int) -> tuple[list[str], datetime]:
    """Write and publish them; their ids, and when they were there for all to see."""
    from django.db import transaction

    from queueing import outbox
    from queueing.outbox import NewJob

    run = uuid4().hex
    new = [
        NewJob(kind, f"{run}-{n % lanes}", kind.job_id(run, str(n)), f"source-{n}",
               team, f"of-{team}", origin={"source": "share"})
        for n, kind in enumerate(jobs)
    ]  # fmt: skip
    with transaction.atomic():
        rows = outbox.enqueue(new)
    # The database's clock is this machine's.
    committed = datetime.now(UTC)
    outbox.publish_enqueued(rows)
    return [row.id for row in rows], committed


def _empty() -> None:
    """Begin again with nothing."""
    from queueing.models import GenerationJob, GenerationJobEvent, Lane

    for model in (GenerationJobEvent, GenerationJob, Lane):
        model.objects.all().delete()


if __name__ == "__main__":
    sys.exit(main())
