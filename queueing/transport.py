"""The worker's way to the queue store: kombu's Redis transport, with seven of its habits changed.

Importing this module puts it in the place of the stock one, for `redis://`, `rediss://`,
`valkey://` and `sentinel://` URLs.

- What a lost connection held is not put back: the rows are the truth, reconcile publishes again.
- A task that ends after its connection was lost acknowledges over a new one. In the stock channel
  it finds the connection's address gone, which ends the whole worker.
- The store keeps no copy of a message that was taken, which is more than half of what one costs.
- A channel has one client; the stock one makes a client for each command.
- A store that answers and takes no messages is as good as away: it is tried again, in peace.
- A store that is back is found within two seconds; the stock connection waits up to thirty.
- Upkeep is taken before jobs, and never waits among them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from celery.app import amqp
from kombu import Connection
from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.transport import redis as stock
from kombu.utils.scheduling import round_robin_cycle
from redis.sentinel import MasterNotFoundError

from queueing import clients, kinds
from queueing.reasons import reason

RECONNECT = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2.0}


class QoS(virtual.QoS):
    """The messages that this worker has in hand, counted here and noted nowhere else."""

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: ARG002
        """Let go of a message; its row has another sent if there is something left to do."""
        super().reject(delivery_tag)


class Turns(round_robin_cycle):
    """The order in which queues are looked into: upkeep first, the others by turns.

    Upkeep is little, and mends what the others wait for. Where nobody came for a while its messages
    have piled up and expired: with a turn among others, each would cost the next one a job's time.
    """

    def consume(self, n: int) -> list[str]:
        """The first so many names."""
        names: list[str] = super().consume(n)
        return sorted(names, key=lambda name: name != kinds.UPKEEP)


class Habits:
    """What is different about a channel of ours, whichever way it finds the store."""

    do_restore = False
    QoS = QoS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._addresses: dict[bool, dict[str, Any]] = {}
        super().__init__(*args, **kwargs)
        for asynchronous in (False, True):
            self._connparams(asynchronous)
        self._shared = self._create_client()  # type: ignore[attr-defined]

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        # Kept from the start: a channel that was closed cannot look them up any more.
        if asynchronous not in self._addresses:
            found = super()._connparams(asynchronous)  # type: ignore[misc]
            self._addresses[asynchronous] = found
        return dict(self._addresses[asynchronous])

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        yield client or self._shared

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        except redis.ResponseError as error:
            # A primary that became a replica, a disk that is full: what mends it is another try.
            raise _lost(error) from error

    def prove(self) -> None:
        """See whether the store takes writes. Raises redis.ConnectionError, which says why not.

        A replica, and a server whose disk or memory is full, answer pings and give no messages.
        """
        try:
            self._shared.set("probe", "1", ex=60)
        except redis.ResponseError as error:
            raise _lost(error) from error


class Channel(Habits, stock.Channel):
    """A channel that outlives the loss of its connection.

    `owner`, among the options, is the number of the user whose program must listen there.
    """

    owner: int | None = None
    from_transport_options = (*stock.Channel.from_transport_options, "owner")
    connection_class = clients.Wary

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        told = {} if self.owner is None else {"owner": self.owner}
        return {**super()._connparams(asynchronous), **told}


class SentinelChannel(Habits, stock.SentinelChannel):
    """The same, where Sentinels say which server is the primary."""

    def _sentinel_managed_pool(self, asynchronous: bool = False) -> Any:
        # One that is down must not hold up the question to the next.
        told = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0, "retry": clients.once()}
        self.sentinel_kwargs = {**told, **(getattr(self, "sentinel_kwargs", None) or {})}
        return super()._sentinel_managed_pool(asynchronous)


class Proving:
    """A transport whose connections are good for messages from the start."""

    def establish_connection(self) -> Any:
        """Connect. Raises redis.ConnectionError where the store takes no messages."""
        try:
            connection = super().establish_connection()  # type: ignore[misc]
        except MasterNotFoundError as error:
            raise _lost(error) from error
        try:
            self._avail_channels[-1].prove()  # type: ignore[attr-defined]
        except redis.RedisError:
            self.close_connection(connection)  # type: ignore[attr-defined]
            raise
        return connection


class Transport(Proving, stock.Transport):
    """Kombu's Redis transport with our channel."""

    Channel = Channel


class SentinelTransport(Proving, stock.SentinelTransport):
    """Kombu's Sentinel transport with our channel."""

    Channel = SentinelChannel


def _lost(error: Exception) -> redis.ConnectionError:
    return redis.ConnectionError(f"the queue store {reason(error)}")


class QuickConnection(Connection):
    """A connection that tries again soon."""

    def ensure_connection(self, *args: Any, **kwargs: Any) -> "QuickConnection":
        """Connect, however long it takes, unless told otherwise."""
        self._ensure_connection(*args, **{**RECONNECT, **kwargs})
        return self


class AMQP(amqp.AMQP):
    """What Celery makes its connections with."""

    Connection = QuickConnection


for scheme in ("redis", "rediss", "valkey"):
    TRANSPORT_ALIASES[scheme] = f"{Transport.__module__}:{Transport.__name__}"
TRANSPORT_ALIASES["sentinel"] = f"{SentinelTransport.__module__}:{SentinelTransport.__name__}"
