"""The soft end of a worker: nothing more is begun, and what does not end in time is given back.

What is given back keeps its attempt and is published at once, so another worker takes it without
waiting for a lease to run out. The call that was under way may be paid twice; what it answers to
the worker that is about to be gone is fenced off like any late result.
"""

import logging
import threading

from django.db import InterfaceError, OperationalError, close_old_connections

from queueing import leases, outbox
from queueing.heartbeat import heartbeat
from queueing.leases import Lease
from queueing.models import GenerationJob
from queueing.outbox import Head

log = logging.getLogger(__name__)

STOPPED = "worker_stopped"

# Set when this process was told to stop: what is in hand is finished, nothing more is claimed.
begun = threading.Event()


def pass_on(job_id: str) -> None:
    """Have another worker hear of a message that came to this one too late.

    Whatever became of the job that it names: it is leave to work any head, perhaps one whose own
    message was spent on this job.
    """
    named = GenerationJob.objects.filter(pk=job_id)
    outbox.publish(Head(job_id, kind) for kind in named.values_list("kind", flat=True))


def give_back(lease: Lease, reason: str) -> None:
    """Let another worker have these jobs at once, and tell their histories why."""
    note = {"reason": reason, "classification": STOPPED}
    if leases.release(lease, note=note, nudged=True):
        outbox.publish([Head(lease.head.id, lease.head.kind)])


def give_all_back() -> bool:
    """Let other workers have whatever this process has in hand; whether the database took it."""
    try:
        close_old_connections()
        for lease in heartbeat.held():
            give_back(lease, "its worker was stopped, and the work did not end within the grace")
            log.warning("job %s was given back unfinished", lease.head.id)
    except (OperationalError, InterfaceError) as error:
        log.warning("what is in hand waits for its leases to run out: %s", error)
        return False
    return True
