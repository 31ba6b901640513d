"""A look at a queue store that is not ours: whether its messages are safe there.

It is never configured or stopped by us, so what is wrong with it is said to whoever can mend it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import redis

from queueing import addresses, clients
from queueing.errors import QueueingError, QueueStoreAway

OLDEST = (6, 2)
_TIMEOUT = 3.0


class StoreUnfit(QueueingError):
    """The store must not be used as it is; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was found: sentences about what must be mended, and about what should be."""

    faults: tuple[str, ...]
    warnings: tuple[str, ...]


def examine(url: str) -> tuple[str, ...]:
    """The warnings about the store at `url`.

    Raises QueueStoreAway if it does not answer, StoreUnfit if it must not be used.
    """
    place = f"the queue store at {addresses.shown(url)}"
    try:
        look = judge(_asked(url))
    except redis.AuthenticationError as error:
        raise StoreUnfit(f"{place} refuses the password of CLAUDE_MEM_REDIS_URL") from error
    except redis.exceptions.NoPermissionError as error:
        raise StoreUnfit(f"{place} does not let its user ask INFO: allow it") from error
    except (redis.RedisError, OSError) as error:
        raise QueueStoreAway(f"{place} does not answer ({type(error).__name__})") from error
    if look.faults:
        raise StoreUnfit(f"{place} cannot be used: {'; '.join(look.faults)}")
    return tuple(f"{place} {warning}" for warning in look.warnings)


def judge(facts: Mapping[str, Any]) -> Look:
    """What the answers of INFO say about a store."""
    return Look(tuple(_faults(facts)), tuple(_warnings(facts)))


def _faults(facts: Mapping[str, Any]) -> Iterator[str]:
    version = str(facts.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST:
        yield f"its version is {version}, and 6.2 is the oldest that is supported"
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield (
            f"its maxmemory-policy is {policy}, by which it may drop messages: set it to noeviction"
        )
    if facts.get("redis_mode") == "cluster":
        yield "it is a cluster, where no one command reads several queues: name a single server"
    if facts.get("role") in ("slave", "replica"):
        yield "it is a replica, which takes no messages: name the primary"


def _warnings(facts: Mapping[str, Any]) -> Iterator[str]:
    if not facts.get("aof_enabled"):
        yield (
            "has no append-only file: after a restart of it jobs wait until reconcile has sent "
            "them again; set appendonly yes"
        )


def _asked(url: str) -> dict[str, Any]:
    with clients.client(url, timeout=_TIMEOUT) as client:
        client.ping()
        facts: dict[str, Any] = client.info("everything")
    return facts
