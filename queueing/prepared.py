"""Statements that PostgreSQL has prepared by now, run past most of what the driver does for each.

The driver takes a statement apart, looks for how each value of it is written and each column of its
rows is read, and makes a cursor that can do more than hand out rows. All of that is the same each
time: here it is kept with the connection, once the driver itself has prepared the statement. When
that is, and when it is forgotten, remains the driver's to say.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Cursor, adapt
from psycopg.abc import Buffer, Transformer
from psycopg.adapt import PyFormat
from psycopg.errors import error_from_result
from psycopg.generators import execute, fetch_many
from psycopg.pq import ExecStatus, Format

Rows = list[tuple[Any, ...]]
# A value as PostgreSQL is sent it.
Value = Buffer | None

# So many at most are known of a connection; the driver has PostgreSQL keep a hundred.
MOST = 200
_WELL = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)


@dataclass(frozen=True, slots=True)
class Known:
    """A statement that the driver has prepared on a connection.

    `text` and `types` are what the driver keeps its name under. `adapter` writes values in the
    `formats` that the text asks for, and reads rows.
    """

    text: bytes
    types: tuple[int, ...]
    formats: Sequence[PyFormat]
    adapter: Transformer


def rows(connection: Any, text: str, params: Sequence[Any], prepare: bool | None = None) -> Rows:
    """Run the statement and return its rows, if it has any. Raises psycopg's errors.

    `prepare` is as psycopg's cursors take it. `connection.known` is a dictionary that is ours.
    """
    known: Known | None = connection.known.get(text) if prepare is None else None
    # The driver may have names for PostgreSQL to forget, which it says before a statement.
    if known is None or connection._prepared._to_flush or len(params) != len(known.formats):
        return _by_cursor(connection, text, params, prepare)
    values = known.adapter.dump_sequence(params, known.formats)
    name = _name(connection, known) if known.adapter.types == known.types else None
    if name is None:
        return _by_cursor(connection, text, params, prepare)
    return ask(connection, name, values, known.adapter)


def ask(connection: Any, name: bytes, values: Sequence[Value], adapter: Transformer) -> Rows:
    """Have PostgreSQL run what it knows by that name. Raises psycopg's errors."""
    with connection.lock:
        results = connection.wait(_exchange(connection, name, values, adapter.formats))
    for result in results:
        # Of a statement that was its own transaction, the commit may be what failed.
        if result.status not in _WELL:
            raise error_from_result(result, encoding="utf-8")
    if results[0].status == ExecStatus.COMMAND_OK:
        return []
    adapter.set_pgresult(results[0], set_loaders=False)
    found: Rows = adapter.load_rows(0, results[0].ntuples, tuple)
    adapter.set_pgresult(None, set_loaders=False)
    return found


def _exchange(
    connection: Any, name: bytes, values: Sequence[Value], formats: Sequence[Format] | None
) -> Generator[Any, Any, Any]:
    # Begins the transaction, where there is to be one that is not there.
    yield from connection._start_query()
    pgconn = connection.pgconn
    pgconn.send_query_prepared(name, values, param_formats=formats, result_format=Format.TEXT)
    # Nearly always the kernel takes all of it at once; else it is to be told when it takes more.
    return (yield from (execute if pgconn.flush() else fetch_many)(pgconn))


def _name(connection: Any, known: Known) -> bytes | None:
    kept, key = connection._prepared._names, (known.text, known.types)
    name: bytes | None = kept.get(key)
    if name is not None:
        # The driver gives up those that were not used for longest.
        kept.move_to_end(key)
    return name


class _Asking(Cursor):
    """A cursor that tells what it made of its statement.

    Not the connection's own kind, which is Django's and puts values into the text.
    """

    asked: Any = None

    def _convert_query(self, *given: Any) -> Any:
        self.asked = super()._convert_query(*given)
        return self.asked


def _by_cursor(connection: Any, text: str, params: Sequence[Any], prepare: bool | None) -> Rows:
    cursor = _Asking(connection)
    cursor.execute(text, params, prepare=prepare)
    result = cursor.pgresult
    # Not its `description`, which is made anew for each who asks.
    found = cursor.fetchall() if result and result.nfields else []
    if connection._prepared.key(cursor.asked) in connection._prepared._names:
        connection.known.pop(text, None)
        if len(connection.known) < MOST:
            connection.known[text] = _known(connection, cursor)
    return found


def _known(connection: Any, cursor: _Asking) -> Known:
    adapter: Transformer = adapt.Transformer(connection)
    adapter.set_pgresult(cursor.pgresult)
    adapter.set_pgresult(None, set_loaders=False)
    asked = cursor.asked
    return Known(asked.query, asked.types, list(asked._want_formats or ()), adapter)
