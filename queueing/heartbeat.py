"""One thread a process renews the leases of the jobs that its other threads are working.

Each lease is renewed only until its job's deadline: a thread cannot be killed, so a job that hangs
has to lose its lease instead, for another worker to take it over.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.db import connection

from queueing import leases, threads
from queueing.clock import since_boot
from queueing.leases import Lease
from queueing.lulls import lull

log = logging.getLogger(__name__)

# What a machine was asleep for less than this (seconds) was no sleep.
_NAP = 1.0
# So many intervals after it woke, each of its processes has had its beat.
_BEATS = 1.5


@dataclass(frozen=True, slots=True)
class _Held:
    lease: Lease
    deadline: float


class Heartbeat:
    """Renews what is registered with it, every `interval` seconds.

    Its thread lives while there is something to keep alive.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._held: dict[int, _Held] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._asleep = _asleep()
        self._rests_until = 0.0

    @contextmanager
    def keeping(self, lease: Lease, timeout: float) -> Iterator[None]:
        """Keep `lease` alive in this block, for at most `timeout` seconds.

        Raises NoThread where the system has none for it.
        """
        held = _Held(lease, time.monotonic() + timeout)
        with self._lock:
            self._ensure_thread()
            self._held[id(held)] = held
        try:
            yield
        finally:
            with self._lock:
                self._held.pop(id(held), None)

    def held(self) -> list[Lease]:
        """What is kept alive now: everything that is within its deadline."""
        now = time.monotonic()
        with self._lock:
            return [held.lease for held in self._held.values() if held.deadline > now]

    def holds(self, job_id: str) -> bool:
        """Whether this head of a lane is kept alive here, whatever its row says of its lease."""
        return any(lease.head.id == job_id for lease in self.held())

    def await_others(self) -> None:
        """Wait, where the machine woke a moment ago, until all of its processes had a beat.

        In its sleep their leases ran out, and they work on all the same.
        """
        asleep = _asleep()
        if asleep - self._asleep > _NAP:
            self._rests_until = time.monotonic() + _BEATS * self._interval
            self._asleep = asleep
        if (left := self._rests_until - time.monotonic()) > 0:
            time.sleep(left)

    def beat(self) -> None:
        """Renew everything that is held and within its deadline, in one statement."""
        kept = self.held()
        if pairs := {pair for lease in kept for pair in lease.pairs}:
            for job_id, _ in pairs - leases.renew(kept):
                log.info("job %s was settled, or its lease was lost", job_id)

    def _ensure_thread(self) -> None:
        if self._thread is None:
            self._thread = threads.start(self._run, name="heartbeat")

    def _run(self) -> None:
        try:
            while self._wanted():
                try:
                    # On a connection that it keeps: leases must not wait where all are in use.
                    self.beat()
                    leave_the_last()
                except Exception as error:
                    # The leases run out by themselves if this lasts; nothing may stop the thread.
                    lull.seen(error)
                    log.exception("leases could not be renewed")
                    connection.close()
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread = None
            connection.close()

    def _wanted(self) -> bool:
        """Wait for the next beat; whether there is still something to keep alive then."""
        time.sleep(self._interval)
        with self._lock:
            if not self._held:
                self._thread = None
            return bool(self._held)


def _asleep() -> float:
    """For how many seconds the machine has slept since it was started."""
    return since_boot() - time.monotonic()


def leave_the_last() -> None:
    """Give the connection back if its pool has no other: without it no job could be settled."""
    pool = getattr(connection, "pool", None)
    if pool and pool.max_size == 1:
        connection.close()


heartbeat = Heartbeat(settings.HEARTBEAT_SECONDS)
