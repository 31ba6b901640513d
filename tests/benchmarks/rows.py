"""The rows of programs under test, on SQLite or PostgreSQL, read beside them."""

import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import psycopg

from tests.postgres import Server
from tests.stack import free_port


class Rows(Protocol):
    """A database, and the settings by which programs find it."""

    settings: dict[str, str]

    def connect(self) -> Any:
        """A connection of the driver's own."""

    def query(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a query with `?` for values."""

    def end(self) -> None:
        """Stop what was started."""


class Sqlite:
    """The file in a data directory."""

    def __init__(self, file: Path) -> None:
        self.settings: dict[str, str] = {}
        self._file = file

    def connect(self) -> Any:
        """A connection that reads."""
        return sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=20)

    def query(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a query with `?` for values."""
        with closing(self.connect()) as database:
            found: list[tuple[Any, ...]] = database.execute(text, values).fetchall()
            return found

    def end(self) -> None:
        """Nothing was started."""


class Postgresql:
    """A server of our own, which may be killed. Who asks it waits while it is away.

    With an `address` programs reach it there, with a password, as they do on another host.
    """

    def __init__(self, address: str = "") -> None:
        self.server = Server(durable=True, port=free_port() if address else 0, address=address)
        self.settings = {"CLAUDE_MEM_SERVER_DATABASE_URL": self.server.url()}
        if address:
            self.server.ask("CREATE ROLE claudemem LOGIN SUPERUSER PASSWORD 'hidden'")
            self.server.guard("claudemem", "all")
            url = f"postgres://claudemem:hidden@{address}:{self.server.port}/postgres"
            self.settings = {"CLAUDE_MEM_SERVER_DATABASE_URL": url}
        # The server ends with the thread that started it: this one stays.
        self._starter = ThreadPoolExecutor(1)

    def kill(self, back_in: float, then: Callable[[], None]) -> None:
        """kill -9 of all of it; it starts again in so many seconds, and nobody waits for that.

        `then` is called when it has started.
        """
        # One that is about to be there again, after the last time, must not be killed as it starts.
        self._starter.submit(lambda: None).result()
        self.server.kill()
        self._starter.submit(lambda: (time.sleep(back_in), self.server.start(), then()))

    def restart(self) -> None:
        """Stop it and start it again."""
        self._starter.submit(self.server.restart).result()

    def connect(self) -> Any:
        """A connection that commits each statement."""
        return psycopg.connect(self.server.url(), autocommit=True)

    def query(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a query with `?` for values."""
        deadline = time.monotonic() + 60
        while True:
            try:
                with closing(self.connect()) as database:
                    found: list[tuple[Any, ...]] = database.execute(
                        text.replace("?", "%s"), values or None
                    ).fetchall()
                    return found
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def end(self) -> None:
        """Stop the server."""
        self._starter.shutdown()
        self.server.stop()
