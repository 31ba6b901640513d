"""Django's PostgreSQL backend, whose pool hands out no connection that the server has closed.

The pool's own check asks the server a question each time. That the server hung up shows on the
socket, without asking.
"""

import select
from typing import Any

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection of the process's pool, alive as far as its socket knows."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection to work with. Raises psycopg's OperationalError."""
        connection = super().get_new_connection(conn_params)
        pool = self.pool
        for _ in range(pool.max_size if pool else 0):
            if not _hung_up(connection):
                break
            connection.close()
            pool.putconn(connection)  # and the pool makes a new one in its place
            connection = super().get_new_connection(conn_params)
        return connection


def _hung_up(connection: Any) -> bool:
    """Whether the server has something to say though nobody asked: nearly always, goodbye."""
    ready = select.poll()
    ready.register(connection.pgconn.socket, select.POLLIN)
    return bool(ready.poll(0))
