"""Make broker and rows agree: publish what is due, rescue what is stalled.

Idempotent and bounded; any number may run at once, at every worker's start and from beat. It
changes no job but those that used up their attempts: the claim itself takes expired leases over.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError, transaction

from queueing import broker, canaries, kinds, leases, outbox, pauses, shares
from queueing.errors import QueueStoreAway
from queueing.outbox import Head
from queueing.pauses import Gate
from queueing.statements import fetch, seconds

log = logging.getLogger(__name__)

LIMIT = 500
# A nudge is repeated after so many seconds: soon where fewer messages wait than heads that had
# theirs that long ago, so that some must have been lost; late where only the newest are missing;
# and never while there is a message for each.
GRACE_SHORT = 1.0
GRACE_WAITING = 30.0


def reconcile() -> int:
    """One pass: nudge the heads that want it, if any must be. Returns how many were published.

    Leases of workers of this host that are gone end first, so that their jobs are among those.
    Each pass sees to the canaries as well, last of all.

    Raises QueueStoreAway if the store cannot be asked.
    """
    leases.end_those_of_the_dead()
    heads = _wanting() if broker.can_lose() else _spent()
    exhausted = [leases.bury_exhausted(head.job_id) for head, spent in heads if spent]
    ready = [head for head, spent in heads if not spent]
    published = outbox.nudge([*ready, *(head for head in exhausted if head)])
    canaries.send()
    return published


@dataclass(frozen=True, slots=True)
class _Nudged:
    """How many heads of a kind were nudged and not taken, and how many of them a while ago."""

    kind: str
    all: int
    overdue: int


@dataclass(frozen=True, slots=True)
class _Lacking:
    """The kinds whose nudges are to be repeated soon, and those whose are to be repeated late."""

    soon: list[str]
    late: list[str]


def _nudged() -> list[_Nudged]:
    return [_Nudged(*row) for row in fetch("nudged", [seconds(-GRACE_SHORT)])]


def _lacking(nudged: Sequence[_Nudged], depths: Mapping[str, int]) -> _Lacking:
    """The kinds of which fewer messages wait than heads that were nudged."""
    return _Lacking(
        soon=[each.kind for each in nudged if depths.get(each.kind, 0) < each.overdue],
        late=[each.kind for each in nudged if depths.get(each.kind, 0) < each.all],
    )


def _spent() -> list[tuple[Head, bool]]:
    """Where workers look for heads, only those that no worker would take.

    A nudge puts a lane behind all others: what ran out of its lease, or is due for its retry, would
    give way to whatever came since.
    """
    return [(Head(*row), True) for row in fetch("spent", [LIMIT])]


def _wanting() -> list[tuple[Head, bool]]:
    # Counted before the messages are: those that are sent meanwhile must not seem to be missing.
    nudged = _nudged()
    depths = broker.depths()
    lacking = _lacking(nudged, depths)
    gate = pauses.gate()
    if gate is Gate.SHUT:
        return []
    limit = 1 if gate is Gate.PROBE else LIMIT
    late, soon = (_named(names) for names in (lacking.late, lacking.soon))
    with transaction.atomic():
        rows = fetch(
            "wanting",
            [seconds(-GRACE_WAITING), *late, seconds(-GRACE_SHORT), *soon, limit],
            items=len(kinds.ALL),
        )
        if rows:
            fetch("woken", [row[0] for row in rows], items=len(rows))
    named = [(Head(job_id, kind), bool(spent)) for _, job_id, kind, spent in rows]
    more = shares.unasked(depths) if gate is Gate.OPEN else []
    return named + [(head, False) for head in more]


def _named(names: list[str]) -> list[str]:
    """The names, as many as there are kinds: a statement is prepared once, not once a length."""
    return names + [""] * (len(kinds.ALL) - len(names))


def reconcile_quietly() -> int:
    """As `reconcile`, but what is away is only logged: the next tick tries again."""
    try:
        return reconcile()
    except QueueStoreAway as error:
        log.warning("nothing was reconciled: %s", error)
    except (OperationalError, InterfaceError) as error:
        log.warning("nothing was reconciled, the database failed: %s", error)
    return 0
