"""Make broker and rows agree: publish what is due, rescue what is stalled.

Idempotent and bounded; any number may run at once, at every worker's start and from beat. It
changes no job but those that used up their attempts: the claim itself takes expired leases over.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError, transaction

from queueing import broker, canaries, kinds, leases, outbox, pauses, shares
from queueing.errors import QueueStoreAway
from queueing.heartbeat import heartbeat
from queueing.lulls import lull
from queueing.outbox import Head
from queueing.pauses import Gate
from queueing.statements import fetch, seconds

log = logging.getLogger(__name__)

LIMIT = 500
# So many at most go before all others: what a few workers had in hand, or what is due for a retry.
FEW = 50
# A nudge is repeated after so many seconds: soon where fewer messages wait than heads that had
# theirs that long ago, so that some must have been lost; later where only newer ones are missing,
# and last where other queues have as many too much; never while there is a message for each.
GRACE_SHORT = 1.0
GRACE_WAITING = 5.0
GRACE_STRANDED = 30.0


def reconcile() -> int:
    """One pass: nudge the heads that want it, if any must be. Returns how many were published.

    Leases of workers of this host that are gone end first, so that their jobs are among those.
    Each pass sees to the canaries as well, last of all. After a sleep of the machine it waits
    first: no job in hand is out of attempts because its lease ran out meanwhile.

    Raises QueueStoreAway if the store cannot be asked.
    """
    heartbeat.await_others()
    leases.end_those_of_the_dead()
    heads = _wanting() if broker.can_lose() else _spent()
    exhausted = [leases.bury_exhausted(head.job_id) for head, spent in heads if spent]
    ready = [head for head, spent in heads if not spent]
    published = _sent([*ready, *(head for head in exhausted if head)])
    canaries.send()
    return published


def _sent(due: Sequence[Head]) -> int:
    """Nudge those that wait longest first; how many were published.

    All of it had its turn, if only with a worker that is no more, or it was due a while ago, and
    goes before all others. Of what is sent so the last is the very first. But a line that was lost
    is sent again in many passes: each would go before the one that sent those who waited longer.
    """
    if len(due) > FEW:
        return outbox.nudge(due)
    return outbox.nudge(due[::-1], first=True)


@dataclass(frozen=True, slots=True)
class _Nudged:
    """How many heads of a kind were nudged and not taken, and how many of them a while ago."""

    kind: str
    all: int
    overdue: int


@dataclass(frozen=True, slots=True)
class _Lost:
    """So many nudges of a kind came to nothing: of those that are older than `grace` seconds."""

    kind: str
    grace: float
    count: int


def _lost(nudged: Sequence[_Nudged], depths: Mapping[str, int]) -> Iterator[_Lost]:
    """The nudges for which there is no message, of each kind. Pure.

    One that was taken to work a head of another kind left that one's message, which does the same:
    what there is too much of one kind is soon not lacking of another; at last it is, for that
    kind's queue may be served by nobody. No more are repeated than are missing. Each one too many
    would stand for one that was lost later on, which would then seem to be there.
    """
    all_of = {each.kind: each.all for each in nudged}
    spare = sum(max(0, depths.get(name, 0) - all_of.get(name, 0)) for name in kinds.BY_NAME)
    for each in nudged:
        lacking = each.all - depths.get(each.kind, 0)
        newer = each.all - each.overdue
        counts = {
            GRACE_SHORT: lacking - newer - spare,
            GRACE_WAITING: lacking - spare,
            GRACE_STRANDED: lacking,
        }
        if found := next(((grace, count) for grace, count in counts.items() if count > 0), None):
            yield _Lost(each.kind, *found)


def _spent() -> list[tuple[Head, bool]]:
    """Where workers look for heads, only those that no worker would take.

    A nudge puts a lane behind all others: what ran out of its lease, or is due for its retry, would
    give way to whatever came since.
    """
    return [(Head(*row), True) for row in fetch("spent", [LIMIT])]


def _wanting() -> list[tuple[Head, bool]]:
    gate = pauses.gate()
    # Counted before the heads are: what a worker takes meanwhile must not seem to be missing.
    depths = broker.depths()
    if gate is Gate.SHUT:
        return []
    nudged = [_Nudged(*row) for row in fetch("nudged", [seconds(-GRACE_SHORT)])]
    limit = 1 if gate is Gate.PROBE else LIMIT
    with transaction.atomic():
        rows = fetch("wanting", [limit])
        for lost in _lost(nudged, depths):
            most = min(lost.count, limit - len(rows))
            if most > 0:
                rows += fetch("unheard", [seconds(-lost.grace), lost.kind, most])
        if rows:
            fetch("woken", [row[0] for row in rows], items=len(rows))
    named = [(Head(job_id, kind), bool(spent)) for _, job_id, kind, spent in rows]
    more = shares.unasked(depths) if gate is Gate.OPEN else []
    return named + [(head, False) for head in more]


def reconcile_quietly() -> int:
    """As `reconcile`, but what is away is only logged: the next tick tries again."""
    try:
        return reconcile()
    except QueueStoreAway as error:
        log.warning("nothing was reconciled: %s", error)
    except (OperationalError, InterfaceError) as error:
        lull.seen(error)
        log.warning("nothing was reconciled, the database failed: %s", error)
    return 0
