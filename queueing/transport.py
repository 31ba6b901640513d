"""The worker's way to the queue store: kombu's Redis transport, with five of its habits changed.

Importing this module puts it in the place of the stock one, for `redis://`,
`rediss://` and `valkey://` URLs.

- What a lost connection held is not put back: the rows are the truth, reconcile publishes again.
- A task that ends after its connection was lost acknowledges over a new one. In the stock channel
  it finds the connection's address gone, which ends the whole worker.
- The store keeps no copy of a message that was taken, which is more than half of what one costs.
- A channel has one client; the stock one makes a client for each command.
- A store that is back is found within two seconds; the stock connection waits up to thirty.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from celery.app import amqp
from kombu import Connection
from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.transport import redis as stock

RECONNECT = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2.0}


class QoS(virtual.QoS):
    """The messages that this worker has in hand, counted here and noted nowhere else."""

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: ARG002
        """Let go of a message; its row has another sent if there is something left to do."""
        super().reject(delivery_tag)


class Channel(stock.Channel):
    """A channel that outlives the loss of its connection."""

    do_restore = False
    QoS = QoS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._addresses: dict[bool, dict[str, Any]] = {}
        super().__init__(*args, **kwargs)
        for asynchronous in (False, True):
            self._connparams(asynchronous)

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        # Kept from the start: a channel that was closed cannot look them up any more.
        if asynchronous not in self._addresses:
            self._addresses[asynchronous] = super()._connparams(asynchronous)
        return dict(self._addresses[asynchronous])

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        yield client or self._shared

    @cached_property
    def _shared(self) -> Any:
        return self._create_client()


class Transport(stock.Transport):
    """Kombu's Redis transport with our channel."""

    Channel = Channel


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
