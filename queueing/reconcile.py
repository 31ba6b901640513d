"""Make broker and rows agree: publish what is due, rescue what is stalled.

Idempotent and bounded; any number may run at once, at every worker's start and from beat. It
changes no job but those that used up their attempts: the claim itself takes expired leases over.
"""

import logging
from collections.abc import Mapping

from django.db import InterfaceError, OperationalError, transaction

from queueing import broker, leases, outbox, pauses
from queueing.errors import QueueStoreAway
from queueing.outbox import Head
from queueing.pauses import Gate
from queueing.statements import fetch, seconds

log = logging.getLogger(__name__)

LIMIT = 500
# A nudge is repeated after so many seconds: soon where fewer messages wait than heads, so that
# some must have been lost; late where it may still be waiting its turn.
GRACE_SHORT = 1.0
GRACE_WAITING = 30.0


def reconcile() -> int:
    """One pass: nudge the heads that want it. Returns how many were published.

    Each pass leaves word in the store that upkeep is done.

    Raises QueueStoreAway if the store cannot be asked.
    """
    broker.tick()
    heads = _wanting(_short_of_messages(broker.depths()))
    exhausted = [leases.bury_exhausted(head.job_id) for head, spent in heads if spent]
    ready = [head for head, spent in heads if not spent]
    return outbox.publish([*ready, *(head for head in exhausted if head)])


def _short_of_messages(depths: Mapping[str, int]) -> list[str]:
    """The kinds of which more nudged heads wait than messages: some nudges must have been lost."""
    waiting = dict(fetch("overdue", [seconds(-GRACE_SHORT)]))
    return [kind for kind, count in waiting.items() if depths.get(kind, 0) < count]


def _wanting(kinds: list[str]) -> list[tuple[Head, bool]]:
    gate = pauses.gate()
    if gate is Gate.SHUT:
        return []
    limit = 1 if gate is Gate.PROBE else LIMIT
    names = kinds or [""]
    with transaction.atomic():
        rows = fetch(
            "wanting",
            [seconds(-GRACE_WAITING), seconds(-GRACE_SHORT), *names, limit],
            items=len(names),
        )
        if rows:
            fetch("woken", [row[0] for row in rows], items=len(rows))
    return [(Head(job_id, kind), bool(spent)) for _, job_id, kind, spent in rows]


def reconcile_quietly() -> int:
    """As `reconcile`, but what is away is only logged: the next tick tries again."""
    try:
        return reconcile()
    except QueueStoreAway as error:
        log.warning("nothing was reconciled: %s", error)
    except (OperationalError, InterfaceError) as error:
        log.warning("nothing was reconciled, the database failed: %s", error)
    return 0
