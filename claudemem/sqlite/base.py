"""Django's SQLite backend, with turns: writers do not sleep through theirs.

SQLite lets one connection write at a time. Others find the lock taken and sleep 1 to 100 ms a try,
most of which it is free again: with a web and a worker of many threads most of the time went to
such sleeps. Here the threads of a process take turns by a lock that wakes them, and only the one
whose turn it is asks SQLite, every half millisecond, against the few other processes.
"""

import random
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final, TypeVar

from django.db import transaction
from django.db.backends.sqlite3 import base
from django.db.utils import Error, OperationalError

Result = TypeVar("Result")

# Seconds between two tries for a lock that another process holds: it is held for about as long.
PAUSE: Final = 0.0004
_BUSY: Final = "database is locked by another thread of this process"

_turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection whose transactions begin in turn.

    A turn that does not come within the configured `timeout` (seconds) is Django's
    OperationalError, as a locked database always was. Who sets `patience` (seconds) waits no longer
    than that, where it is less.
    """

    patience: float | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turn = _turns[str(self.settings_dict["NAME"])]
        self._has_turn = False
        self._waits = True

    def get_new_connection(self, conn_params: Any) -> Any:
        """A new connection; it waits for locks as SQLite does until its first transaction."""
        self._waits = True
        return super().get_new_connection(conn_params)

    def create_cursor(self, name: Any = None) -> Any:
        """A cursor; outside a transaction its statements wait for locks as SQLite does."""
        if not self._waits and not self._has_turn:
            self._wait(float(self.settings_dict["OPTIONS"].get("timeout", 5.0)))
        return super().create_cursor(name)

    def _wait(self, seconds: float) -> None:
        self.connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
        self._waits = seconds > 0

    def within(self, work: Callable[[], Result]) -> Result:
        """What `work` returns, done within a transaction: `atomic`, at a third of its cost.

        Raises whatever `work` does, with nothing written, and Django's errors of the database.
        """
        self.ensure_connection()
        if self.in_atomic_block or not self.autocommit:
            with transaction.atomic():
                return work()
        self._start_transaction_under_autocommit()
        self.needs_rollback, self.commit_on_exit = False, True
        self.autocommit, self.in_atomic_block = False, True
        try:
            result = work()
            self._finish()
        except BaseException:
            self._undo()
            raise
        finally:
            self.autocommit, self.in_atomic_block = True, False
            if self.closed_in_transaction:
                self.connection = None
        return result

    def _finish(self) -> None:
        if self.needs_rollback or self.closed_in_transaction:
            raise OperationalError("the transaction was undone")
        try:
            self.connection.commit()
        except sqlite3.Error:
            with self.wrap_database_errors:
                raise
        self._end_turn()

    def _undo(self) -> None:
        """Roll back; where even that fails nothing of the connection is to be used any more."""
        self.in_atomic_block = False
        try:
            self.rollback()
        except Error:
            self.close()

    def _start_transaction_under_autocommit(self) -> None:
        patience = float(self.settings_dict["OPTIONS"].get("timeout", 5.0))
        if self.patience is not None:
            patience = min(patience, self.patience)
        until = time.monotonic() + patience
        if not self._turn.acquire(timeout=patience):
            raise OperationalError(_BUSY) from _busy()
        self._has_turn = True
        try:
            self._begin(until)
        except BaseException:
            self._end_turn()
            raise

    def _begin(self, until: float) -> None:
        # SQLite's own waiting stays off until a statement outside a transaction wants it: none
        # inside one can meet a taken lock.
        if self._waits:
            self._wait(0)
        while not _begun(self.connection, until):
            time.sleep(PAUSE * random.uniform(0.5, 1.5))  # noqa: S311

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]
        self._end_turn()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _end_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._turn.release()


def _busy() -> sqlite3.OperationalError:
    """What SQLite would say: there are those who go by its code."""
    error = sqlite3.OperationalError(_BUSY)
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return error


def _begun(raw: sqlite3.Connection, until: float) -> bool:
    try:
        raw.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
            raise OperationalError(*error.args) from error
        return False
    return True
