"""Make broker and rows agree: publish what is due, rescue what is stalled.

Idempotent and bounded; any number may run at once, at every worker's start and from beat. It
changes no job but those that used up their attempts: the claim itself takes expired leases over.
"""

import logging

from django.db import transaction

from queueing import broker, leases, outbox
from queueing.errors import QueueStoreAway
from queueing.outbox import Head
from queueing.statements import fetch, seconds

log = logging.getLogger(__name__)

LIMIT = 500
# A nudge is repeated after so many seconds: soon where the queue is empty, so that the message
# must have been lost; late where it may still be waiting its turn.
GRACE_EMPTY = 1.0
GRACE_WAITING = 30.0


def reconcile() -> int:
    """One pass: nudge the heads that want it. Returns how many were published.

    Each pass leaves word in the store that upkeep is done.

    Raises QueueStoreAway if the store cannot be asked.
    """
    broker.tick()
    empty = [name for name, depth in broker.depths().items() if depth == 0]
    heads = _wanting(empty)
    exhausted = [leases.bury_exhausted(head.job_id) for head, spent in heads if spent]
    ready = [head for head, spent in heads if not spent]
    return outbox.publish([*ready, *(head for head in exhausted if head)])


def _wanting(empty: list[str]) -> list[tuple[Head, bool]]:
    names = empty or [""]
    with transaction.atomic():
        rows = fetch(
            "wanting",
            [seconds(-GRACE_WAITING), seconds(-GRACE_EMPTY), *names, LIMIT],
            items=len(names),
        )
        if rows:
            fetch("woken", [row[0] for row in rows], items=len(rows))
    return [(Head(job_id, kind), bool(spent)) for _, job_id, kind, spent in rows]


def reconcile_quietly() -> int:
    """As `reconcile`, but a store that is away is only logged: the next tick tries again."""
    try:
        return reconcile()
    except QueueStoreAway as error:
        log.warning("nothing was reconciled: %s", error)
        return 0
