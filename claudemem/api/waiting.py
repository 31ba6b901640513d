"""Waiting for jobs within a request: bounded in time, and in how many may do so at once."""

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass

from django.conf import settings
from django.db import close_old_connections, connection

from claudemem import leaving
from queueing import states
from queueing.models import GenerationJob

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.2

# A thread that waits answers nobody else: half of them always stay free.
_seats = threading.BoundedSemaphore(max(settings.WEB_THREADS // 2, 1))


@dataclass(frozen=True, slots=True)
class Waited:
    """The jobs as they are now, by id, and the ids of those that are not settled yet."""

    jobs: dict[str, GenerationJob]
    late: frozenset[str]


def wait(job_ids: Collection[str]) -> Waited:
    """Wait until all are settled, at most `WAIT_SECONDS`; not at all if too many wait already.

    A server that is told to stop waits no longer.
    """
    if _open(job_ids) and _seats.acquire(blocking=False):
        try:
            _poll(job_ids, time.monotonic() + settings.WAIT_SECONDS)
        finally:
            _seats.release()
    jobs = GenerationJob.objects.in_bulk(list(job_ids))
    late = frozenset(job.id for job in jobs.values() if job.state in states.OPEN)
    return Waited(jobs, late)


def _poll(job_ids: Collection[str], until: float) -> None:
    pause = _FIRST_PAUSE
    while (left := until - time.monotonic()) > 0 and _open(job_ids):
        if not connection.in_atomic_block:
            close_old_connections()  # back into the pool, where there is one: others need it
        if leaving.begun.wait(min(pause, left)):
            return
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _open(job_ids: Collection[str]) -> bool:
    return GenerationJob.objects.filter(pk__in=job_ids, state__in=states.OPEN).exists()
