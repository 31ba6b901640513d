"""redis-py's clients of a queue store, made from its URL."""

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from queueing import addresses
from queueing.addresses import Address


def client(url: str, *, timeout: float) -> redis.Redis:
    """A client of the store at `url`, whichever way that leads there; it connects when first used.

    Each connection and each answer may take `timeout` seconds, and nothing is tried twice. Raises
    ValueError if the URL cannot be read.
    """
    address = addresses.parse(url)
    if address.primary:
        return _watched(address, timeout)
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
