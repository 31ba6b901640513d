"""A look at a queue store that is not ours: whether its messages are safe there.

It is never configured or stopped by us, so what is wrong with it is said to whoever can mend it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from queueing.errors import QueueStoreAway
from queueing.store import OLDEST, START_SECONDS, STOP_SECONDS, Server, Store, StoreFailed

_TIMEOUT = 3.0


class StoreUnfit(StoreFailed):
    """The store must not be used as it is; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was found: sentences about what must be mended, and about what should be."""

    faults: tuple[str, ...]
    warnings: tuple[str, ...]


class ExternalStore(Store):
    """The server at `url`, which somebody else runs."""

    mode = "external"
    ours = False

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def url(self) -> str:
        return self._url

    def start(self, *, may_move: bool = True, timeout: float = START_SECONDS) -> Server:  # noqa: ARG002 - it is where it is
        """Look at it once. Raises StoreUnfit if it must not be used, QueueStoreAway if away."""
        place = f"the queue store at {self._address}"
        facts = self._asked(place)
        look = judge(facts)
        if look.faults:
            raise StoreUnfit(f"{place} cannot be used: {'; '.join(look.faults)}")
        return self._server(facts, tuple(f"{place} {warning}" for warning in look.warnings))

    def stop(self, *, timeout: float = STOP_SECONDS) -> bool:  # noqa: ARG002 - never
        return False

    def running(self) -> Server | None:
        try:
            facts = self._asked("it")
        except (StoreUnfit, QueueStoreAway):
            return None
        server = self._server(facts)
        return None if server.loading else server

    @property
    def _address(self) -> str:
        where = urlsplit(self._url)
        return f"{where.hostname}:{where.port or 6379}"

    def _asked(self, place: str) -> dict[str, Any]:
        import redis  # 18 MB, which a supervisor need not carry

        try:
            return _told(self._url)
        except redis.AuthenticationError as error:
            raise StoreUnfit(f"{place} refuses the password of CLAUDE_MEM_REDIS_URL") from error
        except redis.exceptions.NoPermissionError as error:
            raise StoreUnfit(f"{place} does not let its user ask INFO: allow it") from error
        except (redis.RedisError, OSError) as error:
            raise QueueStoreAway(f"{place} does not answer ({type(error).__name__})") from error

    def _server(self, facts: Mapping[str, Any], warnings: tuple[str, ...] = ()) -> Server:
        return Server(
            mode=self.mode,
            product="Valkey" if "valkey_version" in facts else "Redis",
            version=str(facts.get("valkey_version") or facts.get("redis_version", "")),
            address=self._address,
            loading=bool(facts.get("loading")),
            adopted=True,
            warnings=warnings,
        )


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


def _told(url: str) -> dict[str, Any]:
    import redis

    with redis.Redis.from_url(
        url,
        socket_timeout=_TIMEOUT,
        socket_connect_timeout=_TIMEOUT,
        retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
    ) as client:
        client.ping()
        facts: dict[str, Any] = client.info("everything")
    return facts
