"""Statements straight to the database driver, for the few that every capture and claim runs.

Django's cursor wrappers cost several times what such a statement does; here they are skipped.
Errors are Django's all the same, and so are transactions. Texts are in Django's style (`%s`, `%%`).
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from itertools import accumulate
from typing import Any, TypeAlias, TypeVar

from django.db import (
    DEFAULT_DB_ALIAS,
    InterfaceError,
    InternalError,
    OperationalError,
    close_old_connections,
    connection,
    connections,
)
from django.db.models import Model
from django.db.models.base import ModelState

from queueing.clock import clock, since_boot

# The database's fault and no statement's: it is locked, full, read-only or away.
AWAY = (OperationalError, InterfaceError, InternalError)

# What a statement takes is what its column does; the driver checks it.
Params: TypeAlias = Sequence[Any]
Row = TypeVar("Row", bound=Model)
Result = TypeVar("Result")

_ROWS_AT_ONCE = 100
# Where a text for SQLite wants the time.
NOW = ":now"
# So often (s) PostgreSQL is asked for its time.
ASK_SECONDS = 10.0


@cache
def vendor() -> str:
    """Which database this process uses: `sqlite` or `postgresql`."""
    return connection.vendor


def fetch(text: str, params: Params = (), *, anew: bool = False) -> list[tuple[Any, ...]]:
    """Run the statement and return its rows, if it has any.

    PostgreSQL plans it once a connection, or `anew` each time, by how large its tables are then.
    """
    database = _connected()
    if vendor() == "postgresql":
        return _prepared(database, text, params, prepare=False if anew else None)
    statement, raw = _numbered(text), database.connection
    try:
        # Whatever is asked: by its answer a caller may go on to ask the clock itself.
        clock.look(raw)
        found = raw.execute(statement.text, statement.given(params, raw))
        rows: list[tuple[Any, ...]] = found.fetchall()
    except sqlite3.Error:
        # Only where there is one: to be ready for it costs as much as a small statement.
        with database.wrap_database_errors:
            raise
    return rows


def execute(text: str, params: Params) -> None:
    """Run a statement that has no rows, on SQLite."""
    database, statement = _connected(), _numbered(text)
    raw = database.connection
    try:
        raw.execute(statement.text, statement.given(params, raw))
    except sqlite3.Error:
        with database.wrap_database_errors:
            raise


def execute_many(text: str, rows: Iterable[Params]) -> None:
    """Run the statement, `INSERT ... VALUES (...)`, once a row."""
    database = _connected()
    if vendor() == "postgresql":
        waiting = list(rows)
        for start in range(0, len(waiting), _ROWS_AT_ONCE):
            some = waiting[start : start + _ROWS_AT_ONCE]
            values = [value for row in some for value in row]
            _prepared(database, _inserting(text, len(some)), values)
        return
    statement, raw = _numbered(text), database.connection
    try:
        raw.executemany(statement.text, [statement.given(row, raw) for row in rows])
    except sqlite3.Error:
        with database.wrap_database_errors:
            raise


class _Here(threading.local):
    """The connection of each thread. Django asks for an event loop before it tells which it is."""

    database: Any = None


_here = _Here()


@contextmanager
def instead(other: Any) -> Iterator[None]:
    """Within this block, have the thread's statements run by another of Django's connections."""
    usual, used = connections[DEFAULT_DB_ALIAS], _here.database
    connections[DEFAULT_DB_ALIAS] = _here.database = other
    try:
        yield
    finally:
        connections[DEFAULT_DB_ALIAS], _here.database = usual, used


def let_go() -> None:
    """Have the thread's connection looked after between two requests, as Django does it."""
    if _here.database is None:
        close_old_connections()
    else:
        _here.database.close_if_unusable_or_obsolete()


def in_transaction() -> bool:
    """Whether the thread is in a transaction by now."""
    return bool(_database().in_atomic_block)


def within(work: Callable[[], Result]) -> Result:
    """What `work` returns, done within a transaction, which is SQLite's. Raises what it does."""
    done: Result = _database().within(work)
    return done


def instance(model: type[Row], columns: Mapping[str, Any]) -> Row:
    """A row that is yet to be written, from its columns; the others are as the model has them.

    Django's constructor takes ten times as long, most of it for what none of our models has.
    """
    constant, made = _defaults(model)
    fields = {**constant, **columns}
    for name, default in made:
        if name not in columns:
            fields[name] = default()
    return _filled(model, fields, ModelState())


def stored_row(model: type[Row], columns: Mapping[str, Any]) -> Row:
    """A row that was read; columns that were not are loaded when they are asked for."""
    state = ModelState()
    state.adding, state.db = False, DEFAULT_DB_ALIAS
    return _filled(model, columns, state)


def _filled(model: type[Row], fields: Mapping[str, Any], state: ModelState) -> Row:
    row = model.__new__(model)
    row.__dict__.update(fields, _state=state)
    return row


@cache
def _defaults(model: type[Model]) -> tuple[dict[str, Any], list[tuple[str, Callable[[], Any]]]]:
    """The model's columns with what they are by default, and those for which that is made anew."""
    fields = model._meta.concrete_fields
    made = {f.attname: f.default for f in fields if f.has_default() and callable(f.default)}
    constant = {f.attname: f.get_default() for f in fields if f.attname not in made}
    return constant, list(made.items())


def _database() -> Any:
    database = _here.database
    if database is None:
        database = _here.database = connections[DEFAULT_DB_ALIAS]
    return database


def _connected() -> Any:
    database = _database()
    # Django looks for an event loop each time that it is told to see to this.
    if database.connection is None:
        database.ensure_connection()
    return database


def _prepared(
    database: Any, text: str, params: Params, *, prepare: bool | None = None
) -> list[tuple[Any, ...]]:
    """Run it past Django, so that PostgreSQL plans it once; its rows.

    Django's cursors put values into the text of each statement, which is then new to PostgreSQL.
    """
    from queueing import prepared  # the driver, which is not there where SQLite is in use

    database.validate_no_broken_transaction()
    with database.wrap_database_errors:
        return prepared.rows(database.connection, text, params, prepare)


@lru_cache(maxsize=256)
def _inserting(text: str, rows: int) -> str:
    """The INSERT for so many rows at once: PostgreSQL then works hardly longer than for one."""
    head, values, rest = text.partition("VALUES ")
    depth = list(accumulate((char == "(") - (char == ")") for char in rest))
    end = depth.index(0) + 1
    return f"{head}{values}{', '.join([rest[:end]] * rows)}{rest[end:]}"


@dataclass(frozen=True, slots=True)
class _Statement:
    """A statement as SQLite takes it. `timed`: it has one parameter more, the time."""

    text: str
    timed: bool

    def given(self, params: Params, raw: sqlite3.Connection) -> Params:
        """What it is to be run with through the driver's connection `raw`."""
        if not self.timed:
            return params
        clock.look(raw)
        return [*params, clock.text()]


@cache
def _numbered(text: str) -> _Statement:
    parts = text.split("%s")
    numbered = "".join(f"?{place}{part}" for place, part in enumerate(parts) if place)
    whole = (parts[0] + numbered).replace("%%", "%")
    return _Statement(whole.replace(NOW, f"?{len(parts)}"), NOW in whole)


@dataclass(frozen=True, slots=True)
class _Told:
    """What PostgreSQL said the time was, and when, in seconds since the machine started."""

    time: datetime
    at: float


_told: dict[str, _Told] = {}


def now() -> datetime:
    """The database's time, at the cost of asking it every few seconds: a process's own may be off.

    PostgreSQL is asked in the transaction that there is. Raises Django's database errors.
    """
    if vendor() == "sqlite":
        clock.look(_connected().connection)
        return clock.now()
    last = _told.get("last")
    if last is None or since_boot() - last.at > ASK_SECONDS:
        ((time,),) = fetch("SELECT clock_timestamp()")
        _told["last"] = last = _Told(time.astimezone(UTC), since_boot())
    return last.time + timedelta(seconds=since_boot() - last.at)


def moment(value: str | datetime) -> datetime:
    """A time as `fetch` returned it. SQLite has no time zones: what it stores is in UTC."""
    time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def stored(value: datetime) -> object:
    """`value` as a parameter of a statement."""
    if value.tzinfo is UTC:
        # What Django makes of it, without what it looks up for that.
        return str(value.replace(tzinfo=None)) if vendor() == "sqlite" else value
    return connection.ops.adapt_datetimefield_value(value)
