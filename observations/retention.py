"""What is not memory goes after its time: jobs that ended, the audit's oldest entries, what nobody
takes from the queue store any more. Observations and events stay, whatever their age.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction

from observations import audit, entries, usage
from observations.entries import BY_PROGRAM, Origin
from queueing import direct, leftovers, retention
from queueing.direct import stored
from queueing.errors import QueueStoreAway
from queueing.retention import Budget
from queueing.statements import now
from queueing.stopping import begun

log = logging.getLogger(__name__)

ALL, AUDIT = "all", "audit"
# So many entries go in one transaction.
PORTION = 1000

_COUNT = "SELECT count(*) FROM {table} WHERE created_at < %s"
# Their numbers are in the order of time, near enough: those of reads may be entered a while later.
_DELETE = """
    DELETE FROM {table} WHERE created_at < %s AND id IN
        (SELECT id FROM {table} ORDER BY id LIMIT %s {unlocked})
    RETURNING id"""
# What another is just removing is left to it.
_UNLOCKED = {"sqlite": "", "postgresql": "FOR UPDATE SKIP LOCKED"}
_AUDIT, _TELLINGS = "observations_auditentry", "observations_telling"


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows went, or would go; `keys` of the queue store are named. `store`: why none."""

    jobs: int
    audit: int
    keys: tuple[str, ...]
    store: str = ""
    usage: int = 0
    tellings: int = 0

    @property
    def all(self) -> int:
        """How much it is together."""
        return self.jobs + self.audit + self.usage + self.tellings + len(self.keys)


def prune_if_due() -> Pruned | None:
    """As `prune`, if nobody did within the last hour; None if somebody did.

    It ends as soon as this worker is to stop.
    """
    if not retention.take_turn(ALL, settings.PRUNE_SECONDS):
        return None
    pruned = prune(retention.budget(stop=begun.is_set))
    if pruned.store:
        log.warning("keys that nobody uses were left there: %s", pruned.store)
    if pruned.all:
        log.info(
            "pruned: %d jobs, %d audit entries, %d rows of use, %d tellings, %d keys", pruned.jobs,
            pruned.audit, pruned.usage, pruned.tellings, len(pruned.keys),
        )  # fmt: skip
    return pruned


def prune(
    allowed: Budget | None = None, *, at: datetime | None = None, by: Origin = BY_PROGRAM
) -> Pruned:
    """Delete what the settings keep no longer, as far as is `allowed`: by default for two minutes.

    `at` is the moment from which is counted, by default now; `by` is who asks. May run any number
    of times at once. Must not be called inside a transaction.
    """
    allowed = allowed or retention.budget()
    at = at or now()
    jobs = retention.prune(retention.cutoffs(at), allowed)
    gone = _prune(_AUDIT, retention.before(settings.RETAIN_AUDIT_DAYS, at), allowed)
    told = _prune(_TELLINGS, retention.before(settings.RETAIN_TELLINGS_DAYS, at), allowed)
    kept_from = retention.before(settings.RETAIN_USAGE_DAYS, at)
    with retention.turn():
        used = usage.prune(kept_from, at)
    keys, away = _keys(remove=True)
    pruned = Pruned(jobs, gone, keys, away, used, told)
    with transaction.atomic():
        retention.note(ALL, pruned.all)
        audit.write([entries.pruned(jobs, gone, by)] if jobs or gone else [])
    return pruned


def pruned_ago() -> float | None:
    """How many seconds ago `prune` was done; None if never."""
    ran_at = retention.ran_at(ALL)
    return (now() - ran_at).total_seconds() if ran_at else None


def look() -> Pruned:
    """What `prune` would delete."""
    at = now()
    old = _old(_AUDIT, retention.before(settings.RETAIN_AUDIT_DAYS, at))
    told = _old(_TELLINGS, retention.before(settings.RETAIN_TELLINGS_DAYS, at))
    used = usage.over(retention.before(settings.RETAIN_USAGE_DAYS, at), at)
    keys, away = _keys(remove=False)
    return Pruned(retention.over(retention.cutoffs(at)), old, keys, away, used, told)


def _old(table: str, before: datetime | None) -> int:
    if before is None:
        return 0
    return int(direct.fetch(_COUNT.replace("{table}", table), [stored(before)])[0][0])


def _prune(table: str, before: datetime | None, allowed: Budget) -> int:
    unlocked = _UNLOCKED[direct.vendor()]
    removed, text = 0, _DELETE.format(table=table, unlocked=unlocked)
    while before is not None and not allowed.is_spent:
        with retention.turn():
            gone = len(direct.fetch(text, [stored(before), PORTION]))
        removed += gone
        if not gone:
            break
    return removed


def _keys(*, remove: bool) -> tuple[tuple[str, ...], str]:
    """Keys of ours that nobody uses any more, and why they are not known."""
    try:
        return (leftovers.remove() if remove else leftovers.find()), ""
    except QueueStoreAway as error:
        return (), str(error)
