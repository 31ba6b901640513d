"""How the queue store is taken away, from everybody or from the drill's own workers alone."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote, urlsplit, urlunsplit

from django.conf import settings

from claudemem import storechoice
from claudemem.drill.errors import NotHere
from claudemem.drill.relay import Dial, Relay, by_socket, by_tcp
from queueing import addresses
from queueing.addresses import Address
from queueing.store import Store

# So long the store is away where only the drill's workers notice (s).
AWAY_SECONDS = 3.0
# Whoever keeps a stopped store running has so long (s) to bring it back; then the drill does.
_BACK_SECONDS = 5.0
_LOOK_SECONDS = 0.05
_LOOPBACK = "127.0.0.1"
_POSTGRESQL = 5432

Ways = Callable[[int], dict[str, str]]


class Cut(Protocol):
    """A way to take the store away."""

    @property
    def ways(self) -> Mapping[str, str]:
        """Variables for the workers that make it possible."""

    @property
    def done(self) -> str:
        """What is done, in words."""

    def take(self) -> None:
        """Take the store away. Raises NotHere if that cannot be done here."""

    def give(self) -> None:
        """Let it come back, and return when it has."""


def stoppable() -> Store | None:
    """The operator's own store, where it is one that is started and stopped here."""
    store: Store | None = settings.STORE
    return store if store is not None and store.ours else None


@contextmanager
def chosen(gentle: bool) -> Iterator[Cut]:
    """The way that this installation has; one that is `gentle` disturbs nobody else."""
    if not gentle and (store := stoppable()):
        yield _Stopped(store)
        return
    try:
        dial, ways = _detour()
    except NotHere as reason:
        yield _Impossible(str(reason))
        return
    with Relay(dial) as relay:
        yield _Relayed(relay, ways(relay.port))


@dataclass(frozen=True, slots=True)
class _Impossible:
    reason: str
    ways: Mapping[str, str] = field(default_factory=dict)
    done: str = ""

    def take(self) -> None:
        raise NotHere(self.reason)

    def give(self) -> None:
        """It was never taken."""


NONE = _Impossible("the store is left alone")


@dataclass(frozen=True, slots=True)
class _Stopped:
    """The store itself, which a supervisor may keep running."""

    store: Store
    ways: Mapping[str, str] = field(default_factory=dict)
    done: str = "the queue store was stopped"

    def take(self) -> None:
        if not self.store.stop():
            raise NotHere("the queue store was not found running on this machine")

    def give(self) -> None:
        until = time.monotonic() + _BACK_SECONDS
        while not self.store.running():
            if time.monotonic() > until:
                self.store.start(may_move=False)
                return
            time.sleep(_LOOK_SECONDS)


@dataclass(frozen=True, slots=True)
class _Relayed:
    """A relay between the drill's workers and what brings work to them."""

    relay: Relay
    ways: Mapping[str, str]

    @property
    def done(self) -> str:
        what = "database" if settings.STORE is None else "queue store"
        return f"the drill's workers were cut off from the {what} for {AWAY_SECONDS:g} s"

    def take(self) -> None:
        self.relay.cut()

    def give(self) -> None:
        time.sleep(AWAY_SECONDS)
        self.relay.heal()


def _detour() -> tuple[Dial, Ways]:
    """How a relay reaches the server, and the variables that lead to the relay at a port.

    Raises NotHere where none can be put in between.
    """
    if settings.QUEUE_ENGINE == storechoice.CELERY:
        return _to_store(addresses.parse(settings.QUEUE_STORE_URL))
    if not settings.DATABASE_URL:
        raise NotHere("there is no queue store: workers look at the database, a file here")
    return _to_database(settings.DATABASES["default"], settings.DATABASE_URL)


def _to_store(address: Address) -> tuple[Dial, Ways]:
    if address.primary:
        raise NotHere("Sentinels name the queue store's address, so nothing can be put in between")
    if address.tls is not None:
        raise NotHere("the queue store is reached by TLS, so nothing can be put in between")
    came_in = f"{quote(address.user, safe='')}:{quote(address.password, safe='')}@"
    door = came_in if address.user or address.password else ""

    def ways(port: int) -> dict[str, str]:
        url = f"redis://{door}{_LOOPBACK}:{port}/{address.database}"
        return {"CLAUDE_MEM_REDIS_MODE": "external", "CLAUDE_MEM_REDIS_URL": url}

    return (by_socket(address.path) if address.path else by_tcp(*address.hosts[0])), ways


def _to_database(known: Mapping[str, Any], url: str) -> tuple[Dial, Ways]:
    """The server's name stays in the URL: TLS verifies it. Only its address is another."""
    host, port = str(known["HOST"]), int(known["PORT"] or _POSTGRESQL)
    if not host or "," in host:
        raise NotHere("the database's URL does not name one host, so nothing can be put in between")
    parts = urlsplit(url)
    door, at, _ = parts.netloc.rpartition("@")
    name = "localhost" if host.startswith("/") else host

    def ways(port: int) -> dict[str, str]:
        query = f"{parts.query}&" if parts.query else ""
        there = parts._replace(
            netloc=f"{door}{at}{name}:{port}", query=f"{query}hostaddr={_LOOPBACK}"
        )
        return {"CLAUDE_MEM_SERVER_DATABASE_URL": urlunsplit(there)}

    if host.startswith("/"):
        return by_socket(f"{host}/.s.PGSQL.{port}"), ways
    return by_tcp(host, port), ways
