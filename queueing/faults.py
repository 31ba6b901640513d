"""What an error of the database means for who had a statement run: what to wait for, and whether.

By the driver's code alone: what is said in words differs between versions and languages.
"""

import sqlite3
from typing import Final

# Classes and codes of PostgreSQL: connection exceptions, the server's end, and that of a session
# that stood still in a transaction, or was in one for too long.
_GOODBYES: Final = ("08", "57P", "25P03", "25P04")
_READ_ONLY: Final = "25006"
# For what others did: a transaction that could not be put in a row with theirs, a deadlock, a lock
# that did not come in time.
_CROSSED: Final = ("40001", "40P01", "55P03")
# For what would be refused to all: a full disk, too many connections, no writes at all.
_CLOSED: Final = ("53100", "53300", _READ_ONLY)
# It took too long, or too much: for others' sake perhaps, or for its own. And an operator's cancel.
_TIRED: Final = ("57014", "53200")
_SQLITE_CLOSED: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY)


def was_lost(error: BaseException) -> bool:
    """Whether an error of a statement means that the database, or the way to it, went away.

    Such an error has no code, being none of the server's, or one of those by which it says goodbye.
    SQLite's have none at all, and a file does not go away.
    """
    code: str | None = getattr(error.__cause__, "sqlstate", "")
    return code is None or code.startswith(_GOODBYES)


def is_read_only(error: BaseException) -> bool:
    """Whether PostgreSQL refused a statement because it takes no writes at present."""
    return _code(error) == _READ_ONLY


def is_outage(error: BaseException) -> bool:
    """Whether the database is away, or takes no writes."""
    return was_lost(error) or is_read_only(error)


def is_closed(error: BaseException) -> bool:
    """Whether the database would have taken nothing from anybody: an outage, or a lack of room."""
    if was_lost(error) or _code(error) in _CLOSED:
        return True
    return getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF in _SQLITE_CLOSED


def is_passing(error: BaseException) -> bool:
    """Whether what failed so may go well another time."""
    return is_closed(error) or _code(error) in (*_CROSSED, *_TIRED)


def is_doubtful(error: BaseException) -> bool:
    """Whether what failed so may be to blame for it itself."""
    return was_lost(error) or _code(error) in _TIRED


def _code(error: BaseException) -> str:
    return getattr(error.__cause__, "sqlstate", None) or ""
