"""redis-py's clients of a queue store, made from its URL."""

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from queueing import addresses, holders
from queueing.addresses import Address


class Wary(redis.Connection):
    """A connection to a port of this machine that says nothing to whom it does not belong.

    `owner` is the number of the user whose it must be; None: whoever it is.
    """

    def __init__(self, *args: Any, owner: int | None = None, **options: Any) -> None:
        self._owner = owner
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]

    def on_connect_check_health(self, check_health: bool = True) -> None:
        """Log in. Raises redis.ConnectionError where another user's program listens."""
        if self._owner is not None and not holders.is_held_by(self._owner, int(self.port)):
            raise redis.ConnectionError("another user's program has its port, and was told nothing")
        super().on_connect_check_health(check_health)


def client(url: str, *, timeout: float, owner: int | None = None) -> redis.Redis:
    """A client of the store at `url`, whichever way that leads there; it connects when first used.

    Each connection and each answer may take `timeout` seconds, and nothing is tried twice. `owner`
    is the number of the user whose program must listen there, at a port of this machine. Raises
    ValueError if the URL cannot be read.
    """
    address = addresses.parse(url)
    if address.primary:
        return _watched(address, timeout)
    if owner is not None and address.hosts and address.tls is None:
        ((host, port),) = address.hosts
        ways = {**_ways(address, timeout), "host": host, "port": port, "owner": owner}
        return redis.Redis.from_pool(redis.ConnectionPool(connection_class=Wary, **ways))
    where: dict[str, Any] = {"unix_socket_path": address.path}
    if not address.path:
        ((host, port),) = address.hosts
        where = {"host": host, "port": port, **_encryption(address)}
    return redis.Redis(**where, **_ways(address, timeout))


def once() -> Retry:
    """How often a command is tried."""
    return Retry(NoBackoff(), 0)


def _watched(address: Address, timeout: float) -> redis.Redis:
    ways = _ways(address, timeout)
    short = {"socket_timeout": timeout, "socket_connect_timeout": timeout, "retry": once()}
    sentinel: Any = Sentinel(  # type: ignore[no-untyped-call]
        list(address.hosts), sentinel_kwargs={**address.sentinel, **short}
    )
    primary: redis.Redis = sentinel.master_for(address.primary, **ways, **_encryption(address))
    return primary


def _encryption(address: Address) -> dict[str, Any]:
    return {} if address.tls is None else {"ssl": True, **address.tls}


def _ways(address: Address, timeout: float) -> dict[str, Any]:
    return {
        "db": address.database,
        "username": address.user or None,
        "password": address.password or None,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": once(),
        # Every server knows it, and it takes one round trip less to begin with.
        "protocol": 2,
    }
