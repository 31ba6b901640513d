"""The PostgreSQL database that is moved to: Django's own connection, to one server, without a pool.

Everything here raises MoveFailed with a sentence, also for what the server says.
"""
# ruff: noqa: S608 - names of tables and columns come from the models

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from django.core.management import call_command
from django.db import DatabaseError, connections, transaction
from django.db.migrations.recorder import MigrationRecorder

from claudemem.move.errors import MoveFailed
from claudemem.move.tables import BOOKKEEPING, Table

OLDEST: Final = 16
# A row may have megabytes.
_ROWS_AT_ONCE: Final = 50
# Moving may take as long as it takes; only others' locks are not waited for.
_PATIENCE: Final = (
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
    "SET LOCAL lock_timeout = '10s'",
)


class Target:
    """The database that settings name."""

    def __init__(self) -> None:
        # One connection is all it takes, and a pool would hide why there is none.
        self._connection: Any = connections["default"]
        self._connection.settings_dict["OPTIONS"]["pool"] = None

    @property
    def place(self) -> str:
        """Where it is, without user and password."""
        server = self._connection.connection.info
        return f"{server.host}:{server.port}/{server.dbname}"

    def check(self) -> None:
        """Raise MoveFailed unless it can be reached, can hold a store of ours, and is empty."""
        with _spoken("cannot be used"):
            self._connection.ensure_connection()
            version = self._connection.pg_version
            if version < OLDEST * 10_000:
                raise MoveFailed(
                    f"the target {self.place} is PostgreSQL {version // 10_000}: {OLDEST} or newer "
                    "is needed"
                )
            self._refuse_rows()

    def migrate(self) -> set[tuple[str, str]]:
        """Make all tables; the migrations that it has then."""
        with _spoken("cannot be migrated"):
            call_command("migrate", verbosity=0, interactive=False)
            return set(MigrationRecorder(self._connection).applied_migrations())

    @contextmanager
    def filling(self, tables: Sequence[Table]) -> Iterator[None]:
        """One transaction for all that is written: at an error, or if we die, none of it is.

        Until its end nobody else may write. Raises MoveFailed if the target is not empty.
        """
        with _spoken("refused the rows"), transaction.atomic():
            with self._connection.cursor() as cursor:
                for setting in _PATIENCE:
                    cursor.execute(setting)
                names = ", ".join(f'"{table.name}"' for table in tables)
                with _spoken("is in use: stop what works on it"):
                    cursor.execute(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")
                self._refuse_rows()
                for table in reversed(tables):
                    if table.name in BOOKKEEPING:
                        cursor.execute(f'DELETE FROM "{table.name}"')
                # At once: the statement that breaks a rule says so itself.
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            yield

    def write(self, table: Table, rows: Iterator[Sequence[Any]]) -> None:
        """Copy these rows into the table, in one stream."""
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        copy = f'COPY "{table.name}" ({names}) FROM STDIN'
        with (
            self._connection.wrap_database_errors,
            self._connection.cursor() as cursor,
            cursor.copy(copy) as stream,
        ):
            for row in rows:
                stream.write_row(row)

    def rows(self, table: Table) -> Iterator[tuple[Any, ...]]:
        """The table's rows, in the order of the bytes of their keys."""
        asked = ", ".join(column.kind.asked.format(f'"{column.name}"') for column in table.columns)
        order = f'"{table.key.name}"' + (' COLLATE "C"' if table.key.sort == "text" else "")
        with self._connection.chunked_cursor() as cursor:
            cursor.execute(f'SELECT {asked} FROM "{table.name}" ORDER BY {order}')
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                yield from rows

    def number_from(self, table: Table, last: int) -> None:
        """Let the rows of the table be numbered from `last` + 1 on."""
        if last:
            serial = f"pg_get_serial_sequence('\"{table.name}\"', '{table.key.name}')"
            self._value(f"SELECT setval({serial}, {last})")

    def analyse(self, tables: Sequence[Table]) -> None:
        """Let the planner know what is there now."""
        with self._connection.cursor() as cursor:
            cursor.execute("ANALYZE " + ", ".join(f'"{table.name}"' for table in tables))

    def _refuse_rows(self) -> None:
        if filled := self._filled():
            raise MoveFailed(
                f"the target {self.place} is not empty, it has rows in {', '.join(filled[:5])}: "
                "name an empty database, for instance one made with CREATE DATABASE"
            )

    def _filled(self) -> list[str]:
        with self._connection.cursor() as cursor:
            there = self._connection.introspection.get_table_list(cursor)
            names = sorted({each.name for each in there if each.type in "tp"} - BOOKKEEPING)
            return [name for name in names if _any_row(cursor, name)]

    def _value(self, statement: str) -> Any:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()[0]


def _any_row(cursor: Any, name: str) -> bool:
    cursor.execute(f'SELECT EXISTS (SELECT 1 FROM "{name}")')
    return bool(cursor.fetchone()[0])


@contextmanager
def _spoken(what: str) -> Iterator[None]:
    """Errors of the database, in this block, as MoveFailed: the target `what`, and why."""
    try:
        yield
    except DatabaseError as error:
        said = ": ".join(filter(None, (str(error).partition("\n")[0], _detail(error))))
        raise MoveFailed(f"the target {what} ({said}): nothing was moved") from error


def _detail(error: DatabaseError) -> str:
    """Which table and row it was about. Not what PostgreSQL says of values: they are the user's."""
    diagnosis = getattr(error.__cause__, "diag", None)
    context = (getattr(diagnosis, "context", None) or "").partition("\n")[0]
    return context.partition(": ")[0]
