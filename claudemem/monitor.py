"""How everything goes, measured against its limits: the readings behind `/v1/health` and `status`.

Database and queue store are asked at once, each in a thread that nobody waits for longer than half
a second, and once a second at most however many want to know.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import Any

from django.conf import settings
from django.db import Error, connection

from claudemem import condition, storechoice, verdicts
from claudemem.patience import Question
from claudemem.verdicts import Check, Limits, Readings, Store
from observations.errors import StorageAway
from queueing import broker, depths
from queueing.depths import Counts, Table
from queueing.errors import QueueingError, QueueStoreAway

ANSWER_SECONDS = condition.PATIENCE
# What is long in the counting is told as it was so long ago at most.
WORTH_SECONDS = 30.0
# Whether the queue store may be used is looked at so often, while somebody wants to know.
FITNESS_SECONDS = 30.0
_IN_GROUPS = ("canaries", "queues")
STARTED = time.monotonic()


def limits() -> Limits:
    """What is still well, as it is configured."""
    return Limits(
        answer=ANSWER_SECONDS,
        lag=settings.HEALTH_LAG_SECONDS,
        success=settings.HEALTH_SUCCESS_SECONDS,
        canary=settings.HEALTH_CANARY_SECONDS,
        canary_every=settings.CANARY_SECONDS,
        upkeep_every=settings.RECONCILE_SECONDS,
        depth=settings.HEALTH_DEPTH,
    )


def look() -> Readings:
    """See how everything is, within about a second whatever does not answer."""
    condition.begin()
    _table.begin()
    _fitness.begin()
    answered, known = store(), condition.known()
    return Readings(
        table=_table.answer() if known.initialized else None,
        database="" if known.initialized else known.reason,
        database_seconds=known.seconds,
        store=replace(answered, faults=_fitness.answer() or ()) if answered else None,
        provider=provider_fault(),
        idle=settings.GENERATION_DISABLED,
        up=time.monotonic() - STARTED,
    )


def store() -> Store | None:
    """What the queue store answered within the last second; None under an engine without one."""
    if not _uses_store():
        return None
    silent = f"the queue store did not answer within {ANSWER_SECONDS:g} s"
    return _store.answer() or Store(ANSWER_SECONDS, away=silent)


def lanes() -> Counts | None:
    """How many jobs there are by kind and state, as of the last second; None if it is not told."""
    return _jobs.answer()


def open_jobs() -> Counts:
    """How many jobs wait or are worked, by kind and state. Raises StorageAway if it is not told."""
    counted = _open.answer()
    if counted is None:
        raise StorageAway(condition.SILENT)
    return counted


def here(
    table: Table | None, reason: str, up: float, *, faults: Sequence[str], stopped: bool
) -> Readings:
    """The readings, with what the caller read from the database; `reason` why that is nothing.

    `up` is for how many seconds the server runs, infinite where nobody knows; `faults` are those of
    the queue store; `stopped` says that whoever could work has ended.
    """
    return Readings(
        table=table,
        database="" if table else reason,
        database_seconds=0.0,
        store=replace(_asked(str), faults=faults) if _uses_store() else None,
        provider="",
        idle=settings.GENERATION_DISABLED,
        up=up,
        stopped=stopped,
    )


def report() -> dict[str, Any]:
    """How everything is, for `/v1/health`: the overall verdict, and each part with its own."""
    checks = verdicts.checks(look(), limits())
    return {
        "status": verdicts.overall(checks),
        "checkedAtEpoch": int(time.time() * 1000),
        "engine": settings.QUEUE_ENGINE,
        "checks": told(checks),
    }


def forget() -> None:
    """Have everything asked anew."""
    for question in (_store, _fitness, _table, _open, _jobs):
        question.forget()


def provider_fault() -> str:
    """Why the configured provider cannot be asked, or ""."""
    # Only workers need providers: the web process does without them until it is asked.
    from observations.providers import Options, UnknownProvider, provider_named

    try:
        provider_named(settings.PROVIDER, Options(**settings.PROVIDER_OPTIONS))
    except UnknownProvider as error:
        return str(error)
    return ""


def _uses_store() -> bool:
    return bool(settings.QUEUE_ENGINE != storechoice.DATABASE)


def _asked(say: Callable[[QueueStoreAway], str]) -> Store:
    started = time.perf_counter()
    try:
        messages = broker.depths()
    except QueueStoreAway as away:
        return Store(time.perf_counter() - started, away=say(away))
    return Store(time.perf_counter() - started, messages)


def _unfit() -> Sequence[str]:
    try:
        return broker.faults() if _uses_store() else ()
    except QueueingError:
        return ()  # That it is away is told by who asks each second.


def _read() -> Table | None:
    with condition.hurried():
        try:
            return depths.table()
        except Error:
            return None


def _count() -> Counts | None:
    # Not in a hurry: of a long table the first count may take a while, and is kept then.
    try:
        return depths.counts()
    except Error:
        return None
    finally:
        connection.close()


def _count_open() -> Counts | None:
    with condition.hurried():
        try:
            return depths.open_jobs()
        except Error:
            return None


def told(checks: Sequence[Check]) -> dict[str, Any]:
    """The checks by name; of those that there are several of, a list."""
    wire: dict[str, Any] = {}
    for check in checks:
        if check.name in _IN_GROUPS:
            wire.setdefault(check.name, []).append(_shown(check))
        else:
            wire[check.name] = _shown(check)
    return wire


def _shown(check: Check) -> dict[str, Any]:
    shown: dict[str, Any] = {"verdict": check.verdict, "reason": check.reason}
    shown[check.unit] = None if check.measure is None else round(check.measure, 3)
    shown["limit"] = check.limit
    for name, value in check.details.items():
        if hasattr(value, "timestamp"):
            value = int(value.timestamp() * 1000)
        shown[f"{name}AtEpoch" if name in ("sent", "seen") else name] = value
    return shown


# Anybody may read this one's answer: it names no host and no path.
_store = Question(partial(_asked, attrgetter("plainly")), patience=ANSWER_SECONDS)
# What an operator changes there shows within a minute, and costs no capture anything.
_fitness = Question(_unfit, patience=ANSWER_SECONDS, keep=FITNESS_SECONDS, worth=FITNESS_SECONDS)
# A million jobs that wait take a while to be looked at, and are no fault of the database.
_table = Question(_read, patience=ANSWER_SECONDS, worth=WORTH_SECONDS)
# An answer to this one is good for whoever waited for it, and for nobody else.
_open = Question(_count_open, patience=ANSWER_SECONDS, keep=0.0)
_jobs = Question(_count, patience=ANSWER_SECONDS, worth=WORTH_SECONDS)
