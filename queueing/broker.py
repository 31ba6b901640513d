"""How workers hear of jobs that may run: by messages, or by being woken to look at the table.

Which of the two is `settings.QUEUE_ENGINE`, a choice of the user's that nothing here departs from.
The rows are the truth with both; what is lost here changes when something happens, never what.
"""

from typing import Protocol

from django.conf import settings

DATABASE = "database"


class Broker(Protocol):
    """What an engine has to offer. `messages` and `wakes` are the two that there are.

    Whatever cannot be reached raises QueueStoreAway, and within a second.
    """

    def publish(self, job_id: str, kind: str) -> None:
        """Let a worker that serves the kind's queue know that this job may run."""

    def publish_first(self, job_id: str, kind: str) -> None:
        """The same; it is heard of before all that waits."""

    def depths(self) -> dict[str, int]:
        """How much waits in each queue to be taken by a worker."""

    def can_lose(self) -> bool:
        """Whether what is published waits as messages, of which some may be lost."""

    def faults(self) -> tuple[str, ...]:
        """Why what carries the work must not be used, though it answers."""

    def send_canary(self, queue: str, number: int) -> None:
        """Send the canary of that number down the queue, after its row was written."""

    def canary_waits(self, queue: str, number: int) -> bool:
        """Whether the canary of that number is still there to be taken."""


def publish(job_id: str, kind: str) -> None:
    """Let a worker know that the job `job_id`, the head of its lane, may run.

    Raises QueueStoreAway when the engine did not take it, within a second.
    """
    _chosen().publish(job_id, kind)


def publish_first(job_id: str, kind: str) -> None:
    """The same for one that had its turn before: it is heard of before all that waits."""
    _chosen().publish_first(job_id, kind)


def depths() -> dict[str, int]:
    """How many heads wait in each queue for a worker to take them. Raises QueueStoreAway."""
    return _chosen().depths()


def can_lose() -> bool:
    """Whether what is published waits as messages, which the engine may lose."""
    return _chosen().can_lose()


def faults() -> tuple[str, ...]:
    """Why what carries the work must not be used, though it answers: sentences that name no place.

    Raises QueueStoreAway, or StoreUnfit where it refuses us. It costs a connection: for those who
    look now and then.
    """
    return _chosen().faults()


def send_canary(queue: str, number: int) -> None:
    """Send the canary of that number down the queue. Raises QueueStoreAway."""
    _chosen().send_canary(queue, number)


def canary_waits(queue: str, number: int) -> bool:
    """Whether the canary of that number is still there to be taken. Raises QueueStoreAway."""
    return _chosen().canary_waits(queue, number)


def _chosen() -> Broker:
    # Imported when it is wanted: clients of the queue store cost the others 10 MB.
    if settings.QUEUE_ENGINE == DATABASE:
        from queueing import wakes

        return wakes
    from queueing import messages

    return messages
