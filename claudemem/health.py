"""Alive, able to accept, and how each part is. Nothing here waits for what is dead."""

import os
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from functools import cache
from importlib import metadata
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Count, F
from django.utils import timezone

from claudemem import databases, storechoice, upgrade
from observations import commits
from queueing import broker, kinds, pauses, states
from queueing.errors import QueueStoreAway
from queueing.models import GenerationJob

# Words that clients look for, whatever this server is made of.
RUNTIME: Final = "server-beta"
# By engine: its name on the wire, which clients know, and what carries the work.
_ENGINES: Final = {
    storechoice.CELERY: ("bullmq", "celery"),
    storechoice.DATABASE: ("database", "database"),
}

# How long a probe waits (seconds) for a SQLite that is locked.
_IMPATIENT: Final = {"timeout": 0.5}
# A job that is due begins within this, unless all who could begin it are at work.
_TAKEN_WITHIN = timedelta(seconds=15)
_STARTED = time.monotonic()

Status = Literal["active", "disabled", "errored"]


@dataclass(frozen=True, slots=True)
class Boundary:
    """How one part is, and why; `details` are for people and dashboards."""

    status: Status
    reason: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Database:
    """Whether the database answers and has every migration; how many of ours it has."""

    initialized: bool
    schema_version: int
    reason: str


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


def database(*, in_full: bool = False) -> Database:
    """Ask the database, on a connection of its own that gives up soon.

    `in_full` adds what it said itself, which may name hosts and users: for operators alone.
    """
    if commits.shared.is_stuck:
        return Database(False, 0, "the database is locked or very slow: nothing can be stored now")
    probe = _probe()
    try:
        return _migrated(probe)
    except Error as error:
        said = str(error).partition("\n")[0] if in_full else type(error).__name__
        return Database(False, 0, f"the database does not answer: {said}")
    finally:
        probe.close()


def queue(known: Database) -> Boundary:
    """What brings work to workers: the queue store, asked within half a second, or the database."""
    if not _has_store():
        status: Status = "active" if known.initialized else "errored"
        return Boundary(status, f"the database: {known.reason}", _queue_details())
    try:
        seconds = broker.ping()
    except QueueStoreAway as error:
        return Boundary("errored", str(error), _queue_details())
    return Boundary("active", f"answers in {seconds * 1000:.1f} ms", _queue_details())


def workers() -> Boundary:
    """Whether anything works the jobs, as far as the queues and leases show it."""
    details = {"provider": settings.PROVIDER}
    if settings.GENERATION_DISABLED:
        return Boundary("disabled", "generation is switched off by configuration", details)
    try:
        since = broker.seconds_since_tick()
        leased, overdue = _leased(), _overdue()
    except QueueStoreAway as error:
        return Boundary("errored", f"workers cannot be reached: {error}", details)
    except Error:
        return Boundary("errored", "workers have no database to work with", details)
    if leased:
        return Boundary("active", f"{leased} jobs are being worked", details)
    if since is None and _has_store():
        reason = "no worker has reported for a minute: run `claudemem worker start` and beat"
        return Boundary("errored", reason, details)
    if overdue and not pause():
        return Boundary("errored", "work waits and nobody takes it: see the worker's log", details)
    if since is None:
        return Boundary("active", "no work waits for a worker", details)
    return Boundary("active", f"a worker reported {since:.0f} s ago", details)


def provider() -> Boundary:
    """The configured provider."""
    # Only workers need providers: the web process does without them until it is asked.
    from observations.providers import Options, UnknownProvider, provider_named

    try:
        chosen = provider_named(settings.PROVIDER, Options(**settings.PROVIDER_OPTIONS))
    except UnknownProvider as error:
        return Boundary("errored", str(error))
    details = {"provider": chosen.name, "model": chosen.model}
    if paused := pause():
        return Boundary("errored", f"paused: {paused}", details)
    return Boundary("active", "configured", details)


def pause() -> str:
    """Why nothing is asked of the provider just now, and until when; empty where it is."""
    try:
        paused = pauses.current()
    except Error:
        return ""
    if paused is None:
        return ""
    return f"{paused.reason}; jobs wait, and the next try is in {paused.left:.0f} s"


def broadcaster() -> Boundary:
    """The stream of live events."""
    return Boundary("disabled", "live events are not served")


def lanes() -> list[QueueLane]:
    """Each kind's jobs, counted by state."""
    try:
        counted = _counts()
    except Error:
        return [QueueLane(name, name, 0, 0, 0, 0, 0, 0, True) for name in kinds.BY_NAME]
    return [_lane(name, counted) for name in kinds.BY_NAME]


def info() -> dict[str, Any]:
    """What this server is and how its parts are, for `/v1/info`."""
    known = database()
    return {
        "name": "claude-mem-server",
        "runtime": RUNTIME,
        "authMode": "api-key",
        "postgres": {"initialized": known.initialized, "schemaVersion": known.schema_version},
        "boundaries": {
            "queueManager": asdict(queue(known)),
            "generationWorkerManager": asdict(workers()),
            "providerRegistry": asdict(provider()),
            "eventBroadcaster": asdict(broadcaster()),
        },
        "queueLanes": [asdict(lane) for lane in lanes()],
    }


def summary() -> dict[str, Any]:
    """The state of everything, for `/api/health`; `status` is `ok` or `degraded`."""
    known = database()
    store_state = queue(known)
    sound = known.initialized and store_state.status == "active"
    return {
        "status": "ok" if sound else "degraded",
        "runtime": RUNTIME,
        "version": version(),
        "workerPath": "",
        "uptime": int(time.monotonic() - _STARTED),
        "managed": False,
        "hasIpc": False,
        "platform": sys.platform,
        "pid": os.getpid(),
        "initialized": known.initialized,
        "mcpReady": True,
        "ai": {"provider": settings.PROVIDER, "authMethod": "api-key", "lastInteraction": None},
        "dependencies": {"degraded": not sound, "statuses": _statuses(known, store_state)},
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


def _statuses(known: Database, store_state: Boundary) -> list[dict[str, str]]:
    found = [("database", known.initialized, known.reason)]
    if _has_store():
        found.append(("queue store", store_state.status == "active", store_state.reason))
    return [
        {"name": name, "status": "ok" if sound else "error", "message": reason}
        for name, sound, reason in found
    ]


def _probe() -> BaseDatabaseWrapper:
    probe = connections[DEFAULT_DB_ALIAS].copy()
    options = probe.settings_dict["OPTIONS"]
    on_sqlite = probe.vendor == "sqlite"
    options.update(_IMPATIENT if on_sqlite else databases.hurried(options))
    return probe


def _migrated(probe: BaseDatabaseWrapper) -> Database:
    applied = MigrationRecorder(probe).applied_migrations().keys()
    ours = sum(app in upgrade.OURS for app, _ in applied)
    if unknown := upgrade.newer(applied, _migrations()):
        return Database(False, ours, f"a newer claudemem has prepared it (it has {unknown[-1]})")
    missing = _migrations() - applied
    if missing:
        return Database(False, ours, f"{len(missing)} migrations are missing: `claudemem migrate`")
    return Database(True, ours, "answers")


@cache
def _migrations() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).disk_migrations)


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
    url = urlsplit(settings.QUEUE_STORE_URL)
    return {
        "mode": settings.STORE_MODE,
        "host": url.hostname,
        "port": url.port,
        "prefix": "",
    }


def _leased() -> int:
    live = GenerationJob.objects.filter(state=states.PROCESSING, lease_until__gt=timezone.now())
    return live.count()


def _overdue() -> bool:
    long_ago = timezone.now() - _TAKEN_WITHIN
    # Only the head of a lane is anybody's to take; those behind it wait for it.
    heads = GenerationJob.objects.filter(seq=F("lane__head"), state=states.QUEUED)
    return heads.filter(due_at__lt=long_ago).exists()


def _counts() -> Counter[tuple[str, str]]:
    now = timezone.now()
    by_state = GenerationJob.objects.values_list("kind", "state").order_by()
    late = GenerationJob.objects.values_list("kind").order_by()
    counted: Counter[tuple[str, str]] = Counter()
    for kind, state, count in by_state.annotate(count=Count("pk")):
        counted[kind, state] = count
    delayed = late.filter(state=states.QUEUED, due_at__gt=now)
    stalled = late.filter(state=states.PROCESSING, lease_until__lte=now)
    for word, rows in (("delayed", delayed), ("stalled", stalled)):
        for kind, count in rows.annotate(count=Count("pk")):
            counted[kind, word] = count
    return counted


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
