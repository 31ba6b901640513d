"""Transactions whose commit waits for no disk: for counts, of which a power cut may take the last.

What they wrote is seen by all at once, as always, and survives every end of a process. It is on the
disk with the next ordinary commit, or a moment later; a machine that loses its power before that
forgets it, and nothing else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    InterfaceError,
    OperationalError,
    connections,
)
from django.db import transaction as ordinary

from queueing import direct, faults

# To be selected by a statement that is a transaction by itself, on PostgreSQL.
SOON: Final = "set_config('synchronous_commit', 'off', true)"


class Unanswered(OperationalError):
    """PostgreSQL was lost over the commit: nobody knows whether it went through."""


@contextmanager
def transaction(*, patience: float | None = None) -> Iterator[None]:
    """Such a transaction; within another one it is a part of that.

    SQLite's turn to write is waited for `patience` seconds, where that is less than usual. Raises
    Django's OperationalError where it does not come, and Unanswered where a commit is in doubt.
    """
    database = connections[DEFAULT_DB_ALIAS]
    if database.in_atomic_block:
        with ordinary.atomic():
            yield
    elif direct.vendor() == "postgresql":
        with _hasty():
            yield
    else:
        with _hurried(database, patience), ordinary.atomic():
            yield


@contextmanager
def _hasty() -> Iterator[None]:
    """Without waiting for the disk of PostgreSQL. Raises Unanswered."""
    is_written = False
    try:
        with ordinary.atomic():
            direct.fetch(f"SELECT {SOON}")
            yield
            is_written = True
    except (OperationalError, InterfaceError) as error:
        if is_written and faults.was_lost(error):
            raise Unanswered(*error.args) from error.__cause__
        raise


@contextmanager
def _hurried(database: Any, patience: float | None) -> Iterator[None]:
    """Without waiting for the disk, in a file that has a log ahead of it, which keeps it whole."""
    database.ensure_connection()
    database.patience = patience
    try:
        _wait_for_the_disk(database, "NORMAL")
        yield
    finally:
        database.patience = None
        if database.connection is not None:
            _wait_for_the_disk(database, "FULL")


def _wait_for_the_disk(database: Any, how: str) -> None:
    try:
        with database.wrap_database_errors:
            database.connection.execute(f"PRAGMA synchronous = {how}")
    except DatabaseError:
        # The next one begins as connections do: a capture must be on the disk.
        database.close()
        raise
