"""Times what a process does within its database's driver. Python runs this by itself as it starts.

For benchmarks: with this directory on the path of modules, and `METER` the path of a file of zeros,
the processor time of each thread within calls of the driver (statements, rows and commits, and what
the driver's library does in them) is added up in the file, while its first number is not zero. So
the same process can be driven with the meter and without it.
"""

import mmap
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Any


class Meter:
    """The numbers in the file: whether to measure, then seconds for each thread that was there."""

    def __init__(self, path: str) -> None:
        with open(path, "r+b") as file:
            self._numbers = memoryview(mmap.mmap(file.fileno(), 0)).cast("d")
        self._here, self._free = threading.local(), count(1)

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call`, measured; calls within it are part of it."""
        numbers, here = self._numbers, self._here

        def measured(*args: Any, **kwargs: Any) -> Any:
            if not numbers[0] or getattr(here, "inside", False):
                return call(*args, **kwargs)
            if not hasattr(here, "place"):
                here.place = next(self._free)
            here.inside, began = True, time.thread_time()
            try:
                return call(*args, **kwargs)
            finally:
                numbers[here.place] += time.thread_time() - began
                here.inside = False

        return measured

    def patch(self, of: Any, *names: str) -> None:
        """Have these functions of a class measured."""
        for name in names:
            setattr(of, name, self.wrap(getattr(of, name)))


class Cursor(sqlite3.Cursor):
    """One whose methods can be patched."""


class Connection(sqlite3.Connection):
    """The same, with such cursors."""

    def cursor(self, factory: Any = Cursor) -> Any:
        """A cursor of the class that is asked for."""
        return super().cursor(factory)

    def execute(self, *given: Any) -> Any:
        """As sqlite3's own."""
        return self.cursor().execute(*given)


_FETCHES = ("fetchall", "fetchone", "fetchmany")


def _meter_sqlite(meter: Meter) -> None:
    from django.db.backends.sqlite3.base import SQLiteCursorWrapper

    meter.patch(Connection, "execute", "executemany", "commit", "rollback")
    for cursor in (Cursor, SQLiteCursorWrapper):
        meter.patch(cursor, "execute", "executemany", *_FETCHES)
    connect = sqlite3.dbapi2.connect
    sqlite3.dbapi2.connect = lambda *given, **named: connect(
        *given, **{"factory": Connection, **named}
    )


def _meter_postgresql(meter: Meter) -> None:
    import psycopg
    import psycopg_pool

    from queueing import prepared

    # The driver's pool is the driver's as well.
    meter.patch(psycopg_pool.ConnectionPool, "getconn", "putconn")
    meter.patch(psycopg.Cursor, "execute", "executemany", *_FETCHES)
    meter.patch(psycopg.Connection, "execute", "commit", "rollback")
    # What stands for a cursor where a statement is known.
    meter.patch(prepared, "ask")


if (path := os.environ.get("METER")) and "web" in sys.orig_argv:
    _start = _meter_sqlite if os.environ["METERED"] == "sqlite" else _meter_postgresql
    _start(Meter(path))
