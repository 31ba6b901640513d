"""The database brought up to date, by one process at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

# The number of the lock on PostgreSQL; any, as long as nothing else in the database uses it.
_LOCK = 5_177_201_906


def bring_up_to_date() -> bool:
    """Apply the migrations that are due; False if none was. Waits for another that is at it."""
    if not due():
        return False
    with _alone():
        if not due():
            return False
        call_command("migrate", verbosity=0, interactive=False)
    return True


def due() -> bool:
    """Whether migrations are due. Costs a tenth of running the command."""
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


@contextmanager
def _alone() -> Iterator[None]:
    if connection.vendor == "postgresql":
        yield from _locked_server()
    else:
        yield from _locked_file()


def _locked_server() -> Iterator[None]:
    # Rewriting a table, or waiting for who does, takes longer than any statement in use may.
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
            cursor.execute("RESET statement_timeout")


def _locked_file() -> Iterator[None]:
    import fcntl  # there is none on Windows

    file = os.open(settings.DATA_DIR.root / "migrate.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
