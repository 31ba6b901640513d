"""How each part is, in the words that older clients know. Nothing here waits for what is dead."""

import os
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any, Final, Literal

from django.conf import settings

from claudemem import broadcast, condition, monitor, storechoice, verdicts
from claudemem.condition import Database
from claudemem.verdicts import Readings, Store
from queueing import addresses, kinds, states
from queueing.depths import Table
from queueing.pauses import PROVIDER, Paused

# Words that clients look for, whatever this server is made of.
RUNTIME: Final = "server-beta"
# By engine: its name on the wire, which clients know, and what carries the work.
_ENGINES: Final = {
    storechoice.CELERY: ("bullmq", "celery"),
    storechoice.DATABASE: ("database", "database"),
}


Status = Literal["active", "disabled", "errored"]


@dataclass(frozen=True, slots=True)
class Boundary:
    """How one part is, and why; `details` are for people and dashboards."""

    status: Status
    reason: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueueLane:
    """How many jobs of a kind are in each state. `stalled` ones wait for a new worker."""

    kind: str
    name: str
    waiting: int
    active: int
    completed: int
    failed: int
    delayed: int
    stalled: int
    unavailable: bool


def version() -> str:
    """The version of this program, or `development` where it was not installed."""
    try:
        return metadata.version("claudemem")
    except metadata.PackageNotFoundError:
        return "development"


def told_version() -> str:
    """The version that older clients are told: one that they expect, where it is configured."""
    return settings.WORKER_VERSION or version()


def queue(known: Database, store: Store | None) -> Boundary:
    """What brings work to workers: the queue store, or the database where there is none."""
    if store is None:
        status: Status = "active" if known.initialized else "errored"
        return Boundary(status, f"the database: {known.reason}", _queue_details())
    if store.away:
        return Boundary("errored", store.away, _queue_details())
    return Boundary("active", f"answers in {store.seconds * 1000:.1f} ms", _queue_details())


def workers(seen: Readings) -> Boundary:
    """Whether anything works the jobs, as far as the queues and leases show it."""
    details = {"provider": settings.PROVIDER}
    if settings.GENERATION_DISABLED:
        return Boundary("disabled", "generation is switched off by configuration", details)
    if seen.table is None:
        return Boundary("errored", "workers have no database to work with", details)
    if seen.store and seen.store.away:
        return Boundary("errored", f"workers cannot be reached: {seen.store.away}", details)
    found = verdicts.workers(seen, monitor.limits())
    if found.verdict not in (verdicts.OK, verdicts.LATE):
        return Boundary("errored", found.reason, details)
    overdue = any(each.overdue for each in seen.table.heads)
    if overdue and not (seen.table.held or seen.table.pause):
        return Boundary("errored", "work waits and nobody takes it: see the worker's log", details)
    return Boundary("active", found.reason, details)


def provider(pause: Paused | None, *, held: bool = False) -> Boundary:
    """The configured provider, which nothing is asked of during a `pause`.

    `held`: an operator paused it, which is no fault.
    """
    # Only workers need providers: the web process does without them until it is asked.
    from observations.providers import Options, UnknownProvider, provider_named

    try:
        chosen = provider_named(settings.PROVIDER, Options(**settings.PROVIDER_OPTIONS))
    except UnknownProvider as error:
        return Boundary("errored", str(error))
    details = {"provider": chosen.name, "model": chosen.model}
    if held:
        return Boundary("disabled", "an operator paused it, until it is resumed", details)
    if pause is None:
        return Boundary("active", "configured", details)
    reason = f"paused: {pause.reason}; jobs wait, and the next try is in {pause.left:.0f} s"
    return Boundary("errored", reason, details)


def provider_in(table: Table | None) -> Boundary:
    """The configured provider, as the queues' table has it."""
    if table is None:
        return provider(None)
    return provider(table.pause, held=any(each.subject == PROVIDER for each in table.holds))


def broadcaster() -> Boundary:
    """The stream of live events, as this process serves it."""
    here = broadcast.here
    details = {"listeners": here.listeners, "lagSeconds": round(here.behind, 1)}
    if here.away:
        return Boundary("errored", f"waits for the database: {here.away}", details)
    return Boundary("active", f"{here.listeners} listening", details)


def lanes() -> list[QueueLane]:
    """Each kind's jobs, counted by state."""
    counted = monitor.lanes()
    if counted is None:
        return [QueueLane(name, name, 0, 0, 0, 0, 0, 0, True) for name in kinds.BY_NAME]
    return [_lane(name, counted) for name in kinds.BY_NAME]


def info() -> dict[str, Any]:
    """What this server is and how its parts are, for `/v1/info`."""
    known, seen = condition.known(), monitor.look()
    return {
        "name": "claude-mem-server",
        "runtime": RUNTIME,
        "authMode": settings.AUTH_MODE,
        "postgres": {"initialized": known.initialized, "schemaVersion": known.schema_version},
        "boundaries": {
            "queueManager": asdict(queue(known, seen.store)),
            "generationWorkerManager": asdict(workers(seen)),
            "providerRegistry": asdict(provider_in(seen.table)),
            "eventBroadcaster": asdict(broadcaster()),
        },
        "queueLanes": [asdict(lane) for lane in lanes()],
    }


def summary() -> dict[str, Any]:
    """The state of everything, for `/api/health`; `status` is `ok` or `degraded`."""
    known = condition.known()
    store_state = queue(known, monitor.store())
    sound = known.initialized and store_state.status == "active"
    return {
        "status": "ok" if sound else "degraded",
        "runtime": RUNTIME,
        "version": told_version(),
        "workerPath": "",
        "uptime": int(time.monotonic() - monitor.STARTED),
        "managed": False,
        "hasIpc": False,
        "platform": sys.platform,
        "pid": os.getpid(),
        "initialized": known.initialized,
        "mcpReady": True,
        "ai": {
            "provider": settings.PROVIDER,
            "authMethod": settings.AUTH_MODE,
            "lastInteraction": None,
        },
        "dependencies": {"degraded": not sound, "statuses": statuses(known, store_state)},
        "rateLimits": {},
        "queue": {
            **_engine(),
            **_redis(store_state),
            "lanes": [asdict(lane) for lane in lanes()],
        },
    }


def _redis(store_state: Boundary) -> dict[str, Any]:
    if not _has_store():
        return {}
    status = "ok" if store_state.status == "active" else "error"
    return {"redis": {"status": status, **_address()}}


def statuses(known: Database, store_state: Boundary) -> list[dict[str, str]]:
    """How database and queue store are, each with why."""
    found = [("database", known.initialized, known.reason)]
    if _has_store():
        found.append(("queue store", store_state.status == "active", store_state.reason))
    return [
        {"name": name, "status": "ok" if sound else "error", "message": reason}
        for name, sound, reason in found
    ]


def _queue_details() -> dict[str, Any]:
    return {
        **_engine(),
        **(_address() if _has_store() else {}),
        "lanes": [{"kind": name, "name": kind.queue} for name, kind in kinds.BY_NAME.items()],
    }


def _has_store() -> bool:
    return bool(settings.QUEUE_ENGINE == storechoice.CELERY)


def _engine() -> dict[str, str]:
    name, transport = _ENGINES[settings.QUEUE_ENGINE]
    return {"engine": name, "transport": transport}


def _address() -> dict[str, Any]:
    address = addresses.parse(settings.QUEUE_STORE_URL) if settings.QUEUE_STORE_URL else None
    # The first of several Sentinels; none where it is a socket.
    ((host, port),) = (address.hosts[:1] if address else ()) or ((None, None),)
    return {
        "mode": settings.STORE_MODE,
        "host": host,
        "port": port,
        "prefix": settings.QUEUE_PREFIX,
    }


def _lane(name: str, counted: Counter[tuple[str, str]]) -> QueueLane:
    delayed, stalled = counted[name, "delayed"], counted[name, "stalled"]
    return QueueLane(
        kind=name,
        name=kinds.BY_NAME[name].queue,
        waiting=counted[name, states.QUEUED] - delayed,
        active=counted[name, states.PROCESSING] - stalled,
        completed=counted[name, states.COMPLETED],
        failed=counted[name, states.FAILED],
        delayed=delayed,
        stalled=stalled,
        unavailable=False,
    )
