"""Django's PostgreSQL backend over connections and a pool of our own (`connections`)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from django.db.backends.signals import connection_created
from django.db.utils import DatabaseErrorWrapper, OperationalError
from django.utils.functional import cached_property
from psycopg import IsolationLevel
from psycopg.errors import (
    IdleInTransactionSessionTimeout,
    ReadOnlySqlTransaction,
    TransactionTimeout,
)

from claudemem.postgresql.connections import Patient, Pool

# It takes no writes: it is a standby, or one that fails over. Or it went away from a transaction in
# which nothing was asked of it for too long, by a process that was stopped perhaps, or from a long
# one.
_AWAY = (ReadOnlySqlTransaction, IdleInTransactionSessionTimeout, TransactionTimeout)


class Errors(DatabaseErrorWrapper):
    """Tells that a server takes no writes, or hung up, as it is told that it is away.

    psycopg's class for these is the one of defects inside the database, and Django has its classes
    of psycopg. But none of them is a fault of the statement's.
    """

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if kind is None:
            return
        if issubclass(kind, _AWAY):
            self.wrapper.errors_occurred = True  # type: ignore[attr-defined]
            raise OperationalError(*error.args).with_traceback(traceback) from error
        super().__exit__(kind, error, traceback)


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection of the process's pool, or one of its own where the settings name no pool."""

    _connection_pools: ClassVar[dict[str, Pool]] = {}

    @cached_property
    def wrap_database_errors(self) -> Errors:
        """Within this, psycopg's errors are Django's."""
        return Errors(self)

    @property
    def pool(self) -> Pool | None:
        """The process's pool for this database."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if not options or self.alias == NO_DB_ALIAS:
            return None
        if self.alias not in self._connection_pools:
            made = Pool(
                kwargs={**self.get_connection_params(), "autocommit": True},
                open=False,
                configure=self._configure_connection,  # type: ignore[attr-defined]
                **options,
            )
            # Of two threads that come at once the first one's stays; neither is open yet.
            self._connection_pools.setdefault(self.alias, made)
        return self._connection_pools[self.alias]

    # Whether Django itself has connected here, and so has looked at all that stays as it is.
    _settled = False

    def connect(self) -> None:
        """Take a connection to work with, as Django does. Raises psycopg's OperationalError.

        What comes from the pool is as it was made: of Django's preparations the first time is
        enough, but for those of the wrapper's own state.
        """
        pool = self.pool if self._settled else None
        if pool is None:
            super().connect()
            self._settled = _is_returned(self.settings_dict) and not connection_created.receivers
            return
        self._begin_anew()
        if pool.closed:
            pool.open()
        self.connection = pool.getconn()
        if not self.connection.autocommit:
            self.set_autocommit(True)
        self.autocommit, self.run_on_commit = True, []

    def _begin_anew(self) -> None:
        """Forget what the last connection was in the middle of."""
        self.in_atomic_block = self.needs_rollback = self.closed_in_transaction = False
        self.savepoint_ids, self.atomic_blocks = [], []
        self.errors_occurred, self.close_at = False, 0.0
        self.health_check_enabled, self.health_check_done = False, True

    def close_if_unusable_or_obsolete(self) -> None:
        """Give the connection back to the pool, as Django does between two requests.

        One that may be unusable is asked first, by Django.
        """
        raw = self.connection
        if raw is None or not self._settled or self.errors_occurred or not self.autocommit:
            super().close_if_unusable_or_obsolete()
            return
        self.validate_thread_sharing()
        self.connection, self.run_on_commit = None, []
        with self.wrap_database_errors:
            raw._pool.putconn(raw)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection to work with. Raises psycopg's OperationalError."""
        if self.pool:
            return super().get_new_connection(conn_params)
        self.isolation_level = IsolationLevel.READ_COMMITTED
        return Patient.connect(**conn_params)


def _is_returned(settings: Mapping[str, Any]) -> bool:
    """Whether connections are the pool's, differ in nothing, and are kept for no second request."""
    options = settings["OPTIONS"]
    return (
        bool(options.get("pool"))
        and "isolation_level" not in options
        and settings["CONN_MAX_AGE"] == 0
        and not settings["CONN_HEALTH_CHECKS"]
        and settings["AUTOCOMMIT"] is True
    )
