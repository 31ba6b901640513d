"""Whether the database answers, is up to date and takes writes; asked so that nobody waits long."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from django.db import DEFAULT_DB_ALIAS, Error, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from claudemem import databases, upgrade
from claudemem.patience import Question
from observations import commits
from queueing import direct

# How long a probe waits (seconds) for a SQLite that is locked.
_IMPATIENT: Final = {"timeout": 0.5}
PATIENCE: Final = 0.5
_STUCK = "the database is locked or very slow: nothing can be stored now"
SILENT = "the database did not answer in time: see that it runs and has room on its disk"


@dataclass(frozen=True, slots=True)
class Database:
    """Whether the database answers and has every migration; how many of ours it has.

    `seconds` is how long it took to say so, where that was measured. `newer`: it has migrations
    that this program does not know.
    """

    initialized: bool
    schema_version: int
    reason: str
    seconds: float = 0.0
    newer: bool = False


def database(*, in_full: bool = False) -> Database:
    """Ask the database, on a connection of its own that gives up soon.

    `in_full` adds what it said itself, which may name hosts and users: for operators alone.
    """
    if commits.shared.is_stuck:
        return Database(False, 0, _STUCK)
    with hurried():
        try:
            return _migrated()
        except Error as error:
            return Database(False, 0, _said(error, in_full=in_full))


def begin() -> None:
    """Ask what `known` tells, and do not wait."""
    _known.begin()


def known() -> Database:
    """The same, as it was within the last second, and measured; known within half a second."""
    return _known.answer() or Database(False, 0, SILENT, PATIENCE)


def obstacle() -> str:
    """Why no event can be accepted, or "" where one can; known within half a second."""
    answer = _accepting.answer()
    return SILENT if answer is None else answer


def forget() -> None:
    """Have it asked anew."""
    _known.forget()
    _accepting.forget()
    _accepted.clear()


@contextmanager
def hurried() -> Iterator[None]:
    """All that this thread asks the database in this block is asked so that it gives up soon."""
    probe = _probe()
    try:
        with direct.instead(probe):
            yield
    finally:
        probe.close()


def _measured() -> Database:
    started = time.perf_counter()
    found = database()
    return replace(found, seconds=time.perf_counter() - started)


def _accept() -> str:
    if commits.shared.is_stuck:
        return _STUCK
    with hurried():
        try:
            found = _migrated()
            # In the middle of an upgrade those of before must serve until they are replaced.
            if not found.initialized and not (found.newer and _accepted.is_set()):
                return found.reason
            refusal = _refusal()
        except Error as error:
            return _said(error, in_full=False)
    if not refusal:
        _accepted.set()
    return refusal


def _refusal() -> str:
    """Why the database takes no writes, or "". Nothing is written."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SHOW transaction_read_only")
            ((read_only,),) = cursor.fetchall()
        return "the database takes no writes: it is read-only" if read_only == "on" else ""
    # It takes the lock of writers.
    with transaction.atomic():
        return ""


def _said(error: Error, *, in_full: bool) -> str:
    said = str(error).partition("\n")[0] if in_full else type(error).__name__
    return f"the database does not answer: {said}"


def _probe() -> BaseDatabaseWrapper:
    probe = connections[DEFAULT_DB_ALIAS].copy()
    options = probe.settings_dict["OPTIONS"]
    on_sqlite = probe.vendor == "sqlite"
    options.update(_IMPATIENT if on_sqlite else databases.hurried(options))
    return probe


def _migrated() -> Database:
    # It asks by the name of the connection, whichever it is given.
    applied = MigrationRecorder(connections[DEFAULT_DB_ALIAS]).applied_migrations().keys()
    ours = sum(app in upgrade.OURS for app, _ in applied)
    if unknown := upgrade.newer(applied, _migrations()):
        reason = f"a newer claudemem has prepared it (it has {unknown[-1]})"
        return Database(False, ours, reason, newer=True)
    missing = _migrations() - applied
    if missing:
        return Database(False, ours, f"{len(missing)} migrations are missing: `claudemem migrate`")
    return Database(True, ours, "answers")


@cache
def _migrations() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).disk_migrations)


# Whether this process has been able to accept events.
_accepted = threading.Event()
_known = Question(_measured, patience=PATIENCE)
_accepting = Question(_accept, patience=PATIENCE)
