"""The SQLite file that is moved: opened for reading alone, seen as it was at one moment."""
# ruff: noqa: S608 - names of tables and columns come from the models

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claudemem.move.errors import MoveFailed
from claudemem.move.tables import LEFT_OUT, Column, Table


@dataclass(frozen=True, slots=True)
class Fault:
    """A value that PostgreSQL would not take; `replaceable` if by a character that it would."""

    table: str
    key: object
    column: str
    what: str
    replaceable: bool


class Source:
    """The rows of the file as they were when it was opened."""

    def __init__(self, path: Path, reader: sqlite3.Connection, watcher: sqlite3.Connection) -> None:
        self.path = path
        self._reader = reader
        self._watcher = watcher
        self._version = self._data_version()
        # The first statement that reads fixes what the others see.
        self._reader.execute("BEGIN")
        self._names = {name for (name,) in self._ask("SELECT name FROM sqlite_master "
                                                     "WHERE type = 'table'")}  # fmt: skip

    def changed(self) -> bool:
        """Whether anybody has written to the file since it was opened."""
        return self._data_version() != self._version

    def migrations(self) -> set[tuple[str, str]]:
        """The migrations that were applied: app and name. Raises MoveFailed if it has none."""
        if "django_migrations" not in self._names:
            raise MoveFailed(f"{self.path} is no database of claudemem: name another --data-dir")
        return set(self._ask("SELECT app, name FROM django_migrations"))

    def strangers(self, tables: Iterable[Table]) -> list[str]:
        """Tables that are neither moved nor ours: somebody made them by hand."""
        known = {table.name for table in tables} | set(LEFT_OUT)
        inner = ("sqlite_", "observation_index_")
        return sorted(n for n in self._names - known if not n.startswith(inner))

    def count(self, table: Table) -> int:
        """How many rows the table has."""
        ((rows,),) = self._ask(f'SELECT count(*) FROM "{table.name}"')
        return int(rows)

    def rows(self, table: Table) -> Iterator[tuple[Any, ...]]:
        """The table's rows, in the order of the bytes of their keys."""
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        yield from self._ask(f'SELECT {names} FROM "{table.name}" ORDER BY "{table.key.name}"')

    def last_number(self, table: Table) -> int:
        """The highest number that a row of the table ever had; 0 if none had one."""
        highest = self._ask(f'SELECT max("{table.key.name}") FROM "{table.name}"')
        given = self._ask(f"SELECT seq FROM sqlite_sequence WHERE name = '{table.name}'")
        return max((int(number) for (number,) in (*highest, *given) if number), default=0)

    def faults(self, table: Table) -> Iterator[Fault]:
        """The values of the table that PostgreSQL would not take."""
        for column in table.columns:
            if suspicion := _suspicion(column):
                found = self._ask(
                    f'SELECT "{table.key.name}", "{column.name}" FROM "{table.name}" '
                    f"WHERE {suspicion}"
                )
                for key, value in found:
                    yield from _faults(table, key, column, value)

    def _ask(self, statement: str) -> Iterator[tuple[Any, ...]]:
        with closing(self._reader.execute(statement)) as cursor:
            yield from cursor

    def _data_version(self) -> int:
        return int(self._watcher.execute("PRAGMA data_version").fetchone()[0])


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """The file at `path` until the end of this block. Raises MoveFailed if it cannot be read."""
    if not path.is_file():
        raise MoveFailed(f"there is no database at {path}: name another directory with --data-dir")
    try:
        with closing(_connect(path)) as reader, closing(_connect(path)) as watcher:
            yield Source(path, reader, watcher)
    except sqlite3.Error as error:
        raise MoveFailed(
            f"{path} cannot be read ({error}): nothing was moved; restore it from a backup"
        ) from error


def users(path: Path) -> list[int]:
    """The other processes that have the file open, as far as we may know."""
    import psutil  # type: ignore[import-untyped]

    real, found = str(path.resolve()), []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and any(f.path == real for f in process.open_files()):
                found.append(int(process.pid))
        except (psutil.Error, OSError):  # it has ended, or is another user's
            continue
    return found


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)


def _suspicion(column: Column) -> str:
    """The condition of rows that are worth a look, or "" where nothing can be wrong."""
    name = f'"{column.name}"'
    if column.sort == "json":
        return f"instr({name}, '\\u0000') OR instr({name}, '\\ud') OR instr({name}, '\\uD')"
    if column.sort == "text":
        limit = f" OR length({name}) > {column.longest}" if column.longest else ""
        return f"instr({name}, char(0)){limit}"
    return ""


def _faults(table: Table, key: object, column: Column, value: str) -> Iterator[Fault]:
    if column.kind.storable(value) != value:
        yield Fault(table.name, key, column.name, "holds a character that it cannot store", True)
    if column.longest and len(value) > column.longest:
        what = f"has {len(value)} characters, {column.longest} are allowed"
        yield Fault(table.name, key, column.name, what, False)
