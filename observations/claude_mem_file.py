"""A database of claude-mem, read as it was at one moment, whichever version made it.

Opened for reading only; what claude-mem writes meanwhile is not seen. Columns that a version does
not have are empty.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from observations.errors import InvalidInput

# Where a table is joined with others by columns that early versions called otherwise.
_FORMERLY = {
    "content_session_id": "claude_session_id",
    "memory_session_id": "sdk_session_id",
}
_TABLES: Mapping[str, Sequence[str]] = {
    "sdk_sessions": (
        "id", "content_session_id", "memory_session_id", "project", "platform_source",
        "custom_title", "user_prompt", "started_at", "started_at_epoch", "completed_at",
        "completed_at_epoch", "status",
    ),
    "observations": (
        "id", "memory_session_id", "project", "merged_into_project", "type", "title", "subtitle",
        "narrative", "text", "facts", "concepts", "files_read", "files_modified", "prompt_number",
        "discovery_tokens", "generated_by_model", "agent_type", "agent_id", "origin_device_id",
        "origin_local_id", "created_at", "created_at_epoch",
    ),
    "session_summaries": (
        "id", "memory_session_id", "project", "merged_into_project", "request", "investigated",
        "learned", "completed", "next_steps", "notes", "files_read", "files_edited",
        "prompt_number", "discovery_tokens", "origin_device_id", "origin_local_id", "created_at",
        "created_at_epoch",
    ),
    "user_prompts": (
        "id", "session_db_id", "content_session_id", "prompt_number", "prompt_text",
        "origin_device_id", "origin_local_id", "created_at", "created_at_epoch",
    ),
    "pending_messages": (
        "id", "session_db_id", "content_session_id", "message_type", "tool_name", "tool_input",
        "tool_response", "tool_use_id", "cwd", "last_assistant_message", "prompt_number", "status",
        "agent_type", "agent_id", "created_at_epoch",
    ),
}  # fmt: skip
# What makes a file claude-mem's.
_NEEDED = ("sdk_sessions", "observations")
_BUSY_SECONDS = 10.0

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ClaudeMem:
    """An open database: its tables with the columns of ours that each has."""

    path: Path
    columns: Mapping[str, Mapping[str, str]]
    connection: sqlite3.Connection

    def count(self, table: str) -> int:
        """How many rows the table has; 0 if there is no such table."""
        if table not in self.columns:
            return 0
        with _told(self.path):
            (number,) = self.connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()  # noqa: S608
            return int(number)

    def rows(self, table: str, at_once: int) -> Iterator[list[Row]]:
        """The rows of the table in the order in which they were made, portion by portion.

        Raises InvalidInput for a file that is damaged.
        """
        if table not in self.columns:
            return
        has = self.columns[table]
        wanted = ", ".join(f'"{has[n]}"' if n in has else "NULL" for n in _TABLES[table])
        with _told(self.path):
            found = self.connection.execute(f'SELECT {wanted} FROM "{table}" ORDER BY rowid')  # noqa: S608
            while portion := found.fetchmany(at_once):
                yield [dict(zip(_TABLES[table], row, strict=True)) for row in portion]


@contextmanager
def opened(path: Path) -> Iterator[ClaudeMem]:
    """The database in the file, as it is now. Raises InvalidInput for one that is not claude-mem's.

    Raises InvalidInput also for a file that cannot be read or is damaged.
    """
    if not path.is_file():
        raise InvalidInput(f"there is no file {path}: claude-mem keeps ~/.claude-mem/claude-mem.db")
    with _told(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS,
            isolation_level=None,
        )  # fmt: skip
    # What is no text by its bytes is text all the same here; the door cleans it.
    connection.text_factory = lambda raw: raw.decode(errors="replace")
    try:
        with _told(path):
            # From the first look to the last, all is as it was at one moment.
            connection.execute("BEGIN")
            columns = {table: _columns(connection, table) for table in _TABLES}
        present = {table: has for table, has in columns.items() if has}
        _check(path, connection, present)
        yield ClaudeMem(path, present, connection)
    finally:
        connection.close()


def _columns(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    has = {row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')}
    return {
        name: called
        for name in _TABLES[table]
        if (called := name if name in has else _FORMERLY.get(name, "")) in has
    }


def _check(
    path: Path, connection: sqlite3.Connection, columns: Mapping[str, Mapping[str, str]]
) -> None:
    missing = [table for table in _NEEDED if "memory_session_id" not in columns.get(table, {})]
    if missing:
        raise InvalidInput(
            f"{path} is no database of claude-mem: it has no table {' and no '.join(missing)} as "
            "that program makes it"
        )
    with _told(path):
        ((said, *_), *_) = connection.execute("PRAGMA quick_check(1)").fetchall()
    if said != "ok":
        raise InvalidInput(_damaged(path, said))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say an error of SQLite's as a sentence about the file."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise InvalidInput(
            f"{path} cannot be read ({error}): stop what writes into it, let this user read it, "
            "and run it again"
        ) from error
    except sqlite3.DatabaseError as error:
        raise InvalidInput(_damaged(path, str(error))) from error


def _damaged(path: Path, said: str) -> str:
    return (
        f"{path} is damaged or no database of SQLite ({' '.join(said.split())}): take a backup of "
        f"it, or mend it with `sqlite3 {path.name} .recover`"
    )
