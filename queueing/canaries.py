"""Canaries: each queue is probed from end to end, so that one that nobody serves shows soon.

Reconcile sends them, as messages between those that name jobs; the worker that takes one says so in
its row. At most one waits in each queue. On an engine without messages the row itself is what is
sent, and a worker that looks for jobs answers for the queues that it serves.
"""

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction

from queueing import broker, kinds
from queueing.direct import moment
from queueing.statements import fetch

log = logging.getLogger(__name__)

# One that was neither seen nor waits any more was lost, if that has lasted for so long (s).
LOST_SECONDS = 10.0
# A worker that answers without messages looks for canaries so often (s).
ANSWER_SECONDS = 1.0
QUEUES = (*kinds.BY_NAME, kinds.UPKEEP)


@dataclass(frozen=True, slots=True)
class Canary:
    """A queue's latest canary: `age` and `seen_age` are how long ago it was sent and one was seen.

    `seen_age` is None where none ever was. `number` is 0 where none was ever sent.
    """

    queue: str
    number: int = 0
    age: float | None = None
    seen_age: float | None = None
    seen_by: str = ""
    sent_at: datetime | None = None
    seen_at: datetime | None = None

    @property
    def has_jobs(self) -> bool:
        """Whether its queue is one of jobs."""
        return self.queue in kinds.BY_NAME

    @property
    def is_first(self) -> bool:
        """Whether it is the first that was ever sent, and under way."""
        return self.number == 1 and self.under_way

    @property
    def under_way(self) -> bool:
        """Whether it was sent and not seen yet."""
        return self.sent_at is not None and (self.seen_at is None or self.seen_at < self.sent_at)


def latest() -> list[Canary]:
    """The latest canary of each queue, in the order of the queues."""
    rows = {row[0]: _read(*row) for row in fetch("canaries", [])}
    return [rows.get(queue, Canary(queue)) for queue in QUEUES]


def _read(queue: str, number: int, sent: str, seen: str | None, seen_by: str, now: str) -> Canary:
    at, sent_at, seen_at = moment(now), moment(sent), moment(seen) if seen else None
    seen_age = (at - seen_at).total_seconds() if seen_at else None
    age = (at - sent_at).total_seconds()
    return Canary(queue, number, age, seen_age, seen_by, sent_at, seen_at)


def send() -> list[str]:
    """Send the canaries that are due, any number of callers at once; the queues of those sent.

    One is due `CANARY_SECONDS` after the last, or when the last was lost. Raises QueueStoreAway.
    """
    if settings.ONLY_TEAM:
        return []  # its queues are none of those that are watched
    due = sorted((each.queue, each.number) for each in latest() if _is_due(each))
    if not due:
        return []
    with transaction.atomic():
        sent = [row for each in due for row in fetch("canary_sent", list(each))]
    for queue, number in sent:
        broker.send_canary(queue, number)
    return [queue for queue, _ in sent]


def _is_due(canary: Canary) -> bool:
    if canary.age is None:
        return True
    if canary.age < 0:
        return True  # The clock was put back, and would not tell of one for as long.
    if not canary.under_way:
        return canary.age >= settings.CANARY_SECONDS
    return canary.age >= LOST_SECONDS and not broker.canary_waits(canary.queue, canary.number)


def see(queue: str, number: int, worker: str) -> bool:
    """Note that `worker` took the canary of that number; whether it was the one to be seen."""
    # A writer takes its turn by beginning a transaction.
    with transaction.atomic():
        return bool(fetch("canary_seen", [worker, queue, number]))


def answer(queues: Collection[str], worker: str) -> int:
    """Note that `worker` serves `queues`, for canaries that are sent without messages; how many.

    Where none is under way it only reads, and little: it may be called several times a second.
    """
    waiting = [each for each in latest() if each.under_way and each.queue in queues]
    if not waiting or settings.ONLY_TEAM:
        return 0
    with transaction.atomic():  # one for all
        return sum(see(each.queue, each.number, worker) for each in waiting)


class Answering:
    """Answers for `queues` when it is called, but once a second at most; for a worker's loop.

    A database that fails ends no loop: the canary waits for the next call.
    """

    def __init__(self, queues: Collection[str], worker: str) -> None:
        self._queues = tuple(queues)
        self._worker = worker
        self._next = 0.0

    def __call__(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + ANSWER_SECONDS
        try:
            answer(self._queues, self._worker)
        except (OperationalError, InterfaceError) as error:
            log.warning("the database failed as canaries were answered: %s", error)
