"""The database's tables: brought up to date by one process at a time, by no older program."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor

from claudemem import databases
from queueing import direct, locks

OURS: Final = ("observations", "queueing")
# The number of the lock on PostgreSQL; any, as long as nothing else in the database uses it.
_LOCK: Final = 5_177_201_906
WAITS: Final = "another process prepares this database; this one waits for it"


def bring_up_to_date() -> bool:
    """Apply what is due; False if nothing was. To be called `alone`.

    Raises ImproperlyConfigured for a database that a newer program has made its own.
    """
    with _unhurried() as database:
        _make_schema(database)
        executor = MigrationExecutor(database)
        refuse_newer(executor.loader.applied_migrations, executor.loader.disk_migrations)
        # Looking costs a tenth of running the command.
        if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return False
        call_command("migrate", verbosity=0, interactive=False)
        return True


def refuse_newer(applied: Iterable[tuple[str, str]], known: Iterable[tuple[str, str]]) -> None:
    """Raise ImproperlyConfigured if migrations of ours were applied that are not `known` here."""
    if unknown := newer(applied, known):
        raise ImproperlyConfigured(
            f"the database was prepared by a newer claudemem (it has {unknown[-1]}, which this one "
            "does not know): install that version here too, or name another database"
        )


def newer(applied: Iterable[tuple[str, str]], known: Iterable[tuple[str, str]]) -> list[str]:
    """The migrations of ours that were applied and are not `known`, in order."""
    return sorted(f"{app}.{name}" for app, name in set(applied) - set(known) if app in OURS)


@contextmanager
def alone(say: Callable[[str], None]) -> Iterator[None]:
    """In this block no other process prepares the same database; `say` tells of a wait for it.

    The lock ends with this process, however that ends.
    """
    usual = connections[DEFAULT_DB_ALIAS]
    yield from _locked_server(usual, say) if usual.vendor == "postgresql" else _locked_file(say)


def drop() -> None:
    """Remove the schema of the settings with all that is in it; nothing where they name none."""
    if settings.DATABASE_URL and settings.DATABASE_SCHEMA:
        with _unhurried() as database, database.cursor() as cursor:
            cursor.execute(f"DROP SCHEMA IF EXISTS {settings.DATABASE_SCHEMA} CASCADE")


def _locked_server(usual: BaseDatabaseWrapper, say: Callable[[str], None]) -> Iterator[None]:
    # Of a transaction, which poolers leave whole: that of a session they would leave behind.
    guard = _copied(usual)
    try:
        guard.set_autocommit(False)
        with guard.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
            if cursor.fetchone() != (True,):
                say(WAITS)
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        yield
    finally:
        guard.close()


def _locked_file(say: Callable[[str], None]) -> Iterator[None]:
    lock = settings.DATA_DIR.root / "migrate.lock"
    with ExitStack() as held:
        try:
            held.enter_context(locks.hold(lock, wait=False))
        except BlockingIOError:
            say(WAITS)
            held.enter_context(locks.hold(lock))
        yield


def _make_schema(database: BaseDatabaseWrapper) -> None:
    wanted = settings.DATABASE_SCHEMA
    if not (settings.DATABASE_URL and wanted):
        return
    with database.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {wanted}")
        cursor.execute("SELECT current_schema()")
        ((found,),) = cursor.fetchall()
    if found != wanted:
        raise ImproperlyConfigured(
            f"tables would lie in the schema {found} and not in {wanted}: something between here "
            "and PostgreSQL, a pooler perhaps, drops the options of a connection; unset "
            "CLAUDE_MEM_POSTGRES_SCHEMA, or name PostgreSQL itself"
        )


@contextmanager
def _unhurried() -> Iterator[BaseDatabaseWrapper]:
    """A connection in the place of the usual one, for statements that may take their time.

    It comes from no pool, so that what is wrong with the server is told at once and in full.
    """
    usual = connections[DEFAULT_DB_ALIAS]
    if usual.vendor != "postgresql":
        yield usual
        return
    own = _copied(usual)
    try:
        with direct.instead(own):
            yield own
    finally:
        own.close()


def _copied(usual: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    own = usual.copy()
    own.settings_dict["OPTIONS"] = databases.unhurried(own.settings_dict["OPTIONS"])
    return own
