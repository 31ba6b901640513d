"""Connections to PostgreSQL on which nobody waits for ever, and a pool that says what is wrong.

PostgreSQL ends a statement that takes too long. A server that stands still, or that the network
has lost, ends nothing and says nothing: who waits for it asks whether it still answers others.
"""

import select
import time
from collections.abc import Generator
from typing import Any, ClassVar, Final, Self

from psycopg import Connection, OperationalError
from psycopg.errors import _WaitTimeout
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolTimeout

from claudemem.postgresql.pulse import Address

# A statement that takes longer than this (seconds) is a reason to ask whether the server lives.
SLOW: Final = 2.0
# So long (seconds) it has to answer: a machine under load may take a while.
PULSE: Final = 3.0
# A server that takes no connection, perhaps because it is being restarted, has so long (seconds):
# who asks meanwhile is to be answered within a second, whatever the answer.
RESTART: Final = 0.8
# While the server was away when last seen, nobody waits longer than this for a connection.
IMPATIENT: Final = 0.5
# How a sentence begins that refuses a database which is not UTF8.
ENCODED: Final = "it has the encoding"


class Patient(Connection[TupleRow]):
    """A connection that is given up when its server no longer answers.

    `patience` is how long (seconds) an answer may take at most; 0 is for ever, while the server
    lives.
    """

    # Why no connection could be made since the last that was; empty where one was.
    trouble: ClassVar[str] = ""

    patience: float = 0.0
    address: Address = Address("", 0)
    # What `queueing.prepared` knows of the statements that were run on it.
    known: dict[str, Any]
    # Looks at its socket, without waiting.
    glance: Any

    @classmethod
    def connect(cls, conninfo: str = "", **options: Any) -> Self:
        """As psycopg's, and with `patience`. Raises its OperationalError."""
        patience: float = options.pop("patience", 0.0)
        try:
            made = super().connect(conninfo, **options)
        except OperationalError as error:
            Patient.trouble = str(error).partition("\n")[0]
            raise
        made.patience, made.known, made.glance = patience, {}, select.poll()
        made.glance.register(made.pgconn.socket, select.POLLIN)
        made.address = Address(made.info.hostaddr or made.info.host, made.info.port)
        Patient.trouble = _unfit(made)
        if Patient.trouble:
            made.close()
            raise OperationalError(Patient.trouble)
        return made

    def close(self) -> None:
        """As psycopg's; nothing of what is known of its statements keeps it alive."""
        self.known.clear()
        super().close()

    def wait(
        self,
        gen: Generator[Any, Any, Any],
        interval: float = 0.1,
        timeout: float | None = None,
    ) -> Any:
        """What psycopg's own wait returns. Raises OperationalError where nothing more will come."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self._slow)
        except _WaitTimeout:
            return self._wait_on(gen, interval, time.monotonic() + self.patience - self._slow)

    @property
    def _slow(self) -> float:
        return min(SLOW, self.patience or SLOW)

    def _wait_on(self, gen: Generator[Any, Any, Any], interval: float, deadline: float) -> Any:
        while self.address.answers(PULSE) and (not self.patience or time.monotonic() < deadline):
            try:
                # A generator of psycopg's takes being asked again for no news.
                return super().wait(gen, interval, self._slow)
            except _WaitTimeout:
                continue
        self.close()
        raise OperationalError("PostgreSQL does not answer: the connection was given up")


class Pool(ConnectionPool[Patient]):
    """A pool that hands out no connection that the server has closed.

    psycopg's own check asks the server a question each time. That it hung up shows on the socket,
    without asking. After an outage was seen nobody waits long until it is over.
    """

    _away = False
    _address = Address("", 0)

    def __init__(self, **options: Any) -> None:
        super().__init__(connection_class=Patient, **options)

    def getconn(self, timeout: float | None = None) -> Patient:
        """A connection to work with. Raises OperationalError, which says why there is none."""
        lost = self._address if self._away and not self._address.answers(IMPATIENT) else None
        try:
            connection = self._awaited(IMPATIENT if self._away else timeout or self.timeout, lost)
        except PoolTimeout as error:
            self._away = self._away or bool(Patient.trouble)
            raise PoolTimeout(self._reason()) from error
        self._away, self._address = False, connection.address
        return connection

    def putconn(self, conn: Patient) -> None:
        """Take a connection back. One that died is a sign that the server may be away."""
        self._away = self._away or conn.closed
        super().putconn(conn)

    def _awaited(self, timeout: float, lost: Address | None) -> Patient:
        first = min(timeout, RESTART)
        try:
            return self._alive(first, lost)
        except PoolTimeout:
            if Patient.trouble or first == timeout:
                raise
            return self._alive(timeout - first, lost)

    def _alive(self, timeout: float, lost: Address | None) -> Patient:
        connection = super().getconn(timeout)
        for _ in range(self.max_size):
            if not _hung_up(connection) and connection.address != lost:
                break
            connection.close()
            # Which makes a new one in its place, perhaps to where the name leads meanwhile.
            super().putconn(connection)
            connection = super().getconn(timeout)
        return connection

    def _reason(self) -> str:
        if self._away:
            return Patient.trouble or "PostgreSQL does not answer"
        return (
            f"all {self.max_size} connections were in use for {self.timeout:g} s: raise "
            "CLAUDE_MEM_POSTGRES_POOL_MAX"
        )


def _unfit(connection: Patient) -> str:
    """Why the database cannot keep every text; "" where it can."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding in (None, "UTF8"):  # some poolers do not tell
        return ""
    return f"{ENCODED} {encoding}: make one with ENCODING 'UTF8' TEMPLATE template0"


def _hung_up(connection: Patient) -> bool:
    """Whether the server has something to say though nobody asked: nearly always, goodbye."""
    return bool(connection.glance.poll(0))
