"""Processes that stand still, but not with what all others wait for in their hands."""

import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import psutil

from tests.waiting import until

# So long (seconds) a transaction of somebody else may take meanwhile.
_PATIENCE = 1.0


def stop(pid: int, is_free: Callable[[], bool]) -> None:
    """Have a process stand still, at a moment at which the database `is_free` all the same."""
    until(lambda: _stopped(pid, is_free))


def _stopped(pid: int, is_free: Callable[[], bool]) -> bool:
    os.kill(pid, signal.SIGSTOP)
    with suppress(AssertionError):
        until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
        until(is_free, _PATIENCE)
        return True
    os.kill(pid, signal.SIGCONT)
    return False


def sqlite_is_free(file: Path) -> bool:
    """Whether nobody writes to this database."""
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
    return True
