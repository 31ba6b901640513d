"""The clock by which SQLite's rows are written and read: one that nobody can put forward or back.

SQLite has no clock of its own; each process would ask the host's, and when that jumps by an hour
all leases run out at once, or none does for an hour. So times are counted from the start of the
machine, which all of its processes see alike. When that start was is written down once a boot.

A host's clock that was wrong and was put right later is followed at the next start of the server,
together with everything that waits for a moment (`set_right`).
"""

import logging
import os
import sqlite3
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from django.db import connection, transaction

from queueing import pids

log = logging.getLogger(__name__)

# So often (s) the row is looked at: another process may have written it.
LOOK_SECONDS = 5.0
# So far (s) host and rows may be apart before anything is moved, or said.
TOLERANCE = 1.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENTS = {
    "queueing_generationjob": ("lease_until", "due_at"),
    "queueing_lane": ("woken_at",),
    "queueing_pause": ("until", "since"),
    "queueing_canary": ("sent_at", "seen_at"),
}
# Those of them that name what has happened.
_OVER = (
    ("queueing_lane", "woken_at"),
    ("queueing_pause", "since"),
    ("queueing_canary", "sent_at"),
    ("queueing_canary", "seen_at"),
)


def since_boot() -> float:
    """Seconds since the machine started, asleep or awake, alike in all of its processes."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":  # where Python's own monotonic clock stands still in sleep
        return time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.monotonic()


class Clock:
    """A process's view of it. Without a row it goes by the host's clock as it was at first."""

    def __init__(self) -> None:
        self._started = time.time() - since_boot()
        self._next_look = 0.0
        self._said = False
        # The last whole second that was asked for, and its text.
        self._second = (-1.0, "")

    def now(self) -> datetime:
        """The time."""
        return _EPOCH + timedelta(seconds=self._started + since_boot())

    def text(self) -> str:
        """The time as rows have it: to the millisecond, in six digits, as Django writes times."""
        second, part = divmod(self._started + since_boot(), 1)
        # Each statement asks, and the words for a second take longer than some statements do.
        known, words = self._second
        if known != second:
            words = (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%d %H:%M:%S")
            self._second = (second, words)
        return f"{words}.{int(part * 1000):03d}000"

    def look(self, raw: sqlite3.Connection) -> None:
        """Read the row through the driver's connection, if that was not done lately."""
        elapsed = since_boot()
        if elapsed < self._next_look:
            return
        self._next_look = elapsed + LOOK_SECONDS
        with suppress(sqlite3.OperationalError):  # tables that are older than this one
            for (started,) in raw.execute(_STARTED, [machine()]):
                self.set(started)

    def set(self, started: float) -> None:
        """Go by a machine that started at that moment."""
        self._started = started
        apart = time.time() - since_boot() - started
        if abs(apart) > TOLERANCE and not self._said:
            self._said = True
            log.warning(
                "the host's clock was moved by %+.0f s; the database's times are not, until "
                "everything is started again",
                apart,
            )


_STARTED = "SELECT started FROM queueing_boot WHERE machine = ?"
clock = Clock()


@cache
def machine() -> str:
    """This machine since it started; "" where that cannot be told from what it was before."""
    boot = pids.boot()
    # Of two namespaces of time each has another start of the machine.
    with suppress(OSError):
        return f"{boot} {os.readlink('/proc/self/ns/time')}" if boot else ""
    return boot


def anchor() -> None:
    """Write down when this machine started, unless somebody has already."""
    if _applies():
        with transaction.atomic(), connection.cursor() as cursor:
            _write(cursor)


def set_right() -> float:
    """Follow the host's clock, with all moments that are waited for; by how many seconds.

    Moments too that an earlier boot wrote, whose clock was ahead of what it is today. For when
    nothing runs: another process notices up to five seconds late.
    """
    if not _applies():
        return 0.0
    with transaction.atomic(), connection.cursor() as cursor:
        started = _write(cursor)
        moved = time.time() - since_boot() - started
        if abs(moved) > TOLERANCE:
            _move(cursor, moved)
            cursor.execute(
                "UPDATE queueing_boot SET started = %s WHERE machine = %s",
                [started + moved, machine()],
            )
        else:
            moved = 0.0
        clock.set(started + moved)
        if (ahead := _ahead(cursor)) > TOLERANCE:
            _move(cursor, -ahead)
            moved -= ahead
    return moved


def _move(cursor: Any, seconds: float) -> None:
    for table, columns in _MOMENTS.items():
        moved = ", ".join(f"{column} = {_moved(column)}" for column in columns)
        cursor.execute(f"UPDATE {table} SET {moved}", [f"{seconds:+.3f} seconds"] * len(columns))  # noqa: S608


def _ahead(cursor: Any) -> float:
    """By how many seconds the last moment of those that are over by nature lies in the future."""
    last = " UNION ALL ".join(
        f"SELECT max({column}) AS moment FROM {table}"  # noqa: S608
        for table, column in _OVER
    )
    cursor.execute(
        f"SELECT (julianday(max(moment)) - julianday(%s)) * 86400 FROM ({last})",  # noqa: S608
        [clock.text()],
    )
    ((ahead,),) = cursor.fetchall()
    return float(ahead or 0.0)


def _applies() -> bool:
    return connection.vendor == "sqlite" and bool(machine())


def _write(cursor: Any) -> float:
    cursor.execute(
        "INSERT INTO queueing_boot (machine, started) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        [machine(), time.time() - since_boot()],
    )
    cursor.execute("SELECT started FROM queueing_boot WHERE machine = %s", [machine()])
    (started,) = cursor.fetchone()
    clock.set(float(started))
    return float(started)


def _moved(column: str) -> str:
    return f"strftime('%%Y-%%m-%%d %%H:%%M:%%f000', {column}, %s)"
