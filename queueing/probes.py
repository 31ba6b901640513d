"""A look at a server, whoever runs it: what it is, and whether messages are safe there.

It is asked as any of its users would ask. Nothing here configures or stops it, and the one key
that is written is gone a moment later.
"""

import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import redis

from queueing import addresses, clients, excuses, fitness, threads
from queueing.addresses import Host
from queueing.excuses import StoreUnfit
from queueing.reasons import reason

STEP_SECONDS = 3.0
_CONSUME_SECONDS = 1
# Nothing of ours stays longer than that, even if we end between two commands.
_KEY_SECONDS = 60
_PINGS = 3
_SETTINGS = ("maxmemory-policy", "appendonly", "appendfsync", "save")


@dataclass(frozen=True, slots=True)
class Look:
    """What was found.

    `address` is host and port; `persistence` and `policy` are "" where the server does not tell;
    `round_trip` is the shortest of a few, in seconds. `faults` say why it must not be used,
    `warnings` what should be otherwise: whole sentences, without a secret.
    """

    product: str
    version: str
    address: str
    persistence: str
    policy: str
    round_trip: float
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def examine(url: str, prefix: str, *, timeout: float = STEP_SECONDS) -> Look:
    """A look at the server at `url`, which may be used.

    Raises QueueStoreAway if it does not answer or cannot be used for a while, StoreUnfit if it
    must not be used.
    """
    found = look(url, prefix, timeout=timeout)
    if found.faults:
        raise StoreUnfit(f"{_place(url)} cannot be used: {'; '.join(found.faults)}")
    return found


def look(
    url: str,
    prefix: str,
    *,
    timeout: float = STEP_SECONDS,
    tries_message: bool = True,
    owner: int | None = None,
) -> Look:
    """What the server at `url` is, whether it tells of something wrong, and how a message fares.

    The message lies under a key of its own that begins with `prefix`; without `tries_message`
    none is sent. No answer is waited for longer than `timeout` seconds. `owner` is the number of
    the user whose program it must be. Raises QueueStoreAway if the server does not answer or takes
    no message for a while, StoreUnfit if it will take none.
    """
    place = _place(url)
    with _explained(url, timeout):
        _look_up(addresses.parse(url).hosts, timeout)
    with _explained(url, timeout), clients.client(url, timeout=timeout, owner=owner) as client:
        round_trip = _round_trip(client)
        facts = fitness.read(*_told(client))
        faults, warnings = tuple(fitness.faults(facts)), list(fitness.warnings(facts))
        # One that is a replica, say, would refuse a message for that reason.
        if tries_message and not faults:
            _listen(client, f"{prefix}:/{addresses.parse(url).database}.celery.pidbox")
            warnings += _tried(client, f"{prefix}:probe:{secrets.token_hex(8)}")
    return Look(
        product=facts.product or "a server of unknown make",
        version=facts.version,
        address=addresses.shown(url),
        persistence=facts.persistence,
        policy=facts.policy,
        round_trip=round_trip,
        faults=faults,
        warnings=tuple(f"{place} {warning}" for warning in warnings),
    )


def _look_up(hosts: Sequence[Host], timeout: float) -> None:
    """Have the names of the hosts looked up. Raises TimeoutError where none is in time.

    A client that connects waits for a resolver that says nothing as long as that likes.
    """
    found = threading.Event()

    def ask(host: str, port: int) -> None:
        try:
            # What is wrong with the name is said to whoever connects.
            with suppress(OSError, UnicodeError):
                socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        finally:
            found.set()

    for host in hosts:
        threads.start(ask, *host, name="name")
    if hosts and not found.wait(timeout):
        raise TimeoutError(f"no resolver of names answered within {timeout:g} s")


def _place(url: str) -> str:
    return f"the queue store at {addresses.shown(url)}"


def _round_trip(client: redis.Redis) -> float:
    client.ping()  # connects

    def timed() -> float:
        started = time.perf_counter()
        client.ping()
        return time.perf_counter() - started

    return min(timed() for _ in range(_PINGS))


def _told(client: redis.Redis) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """The answers to INFO, HELLO and CONFIG GET; empty for what our user may not ask."""
    config: dict[str, str] = {}
    for name in _SETTINGS:  # several at once are taken from Redis 7.0 on
        config |= _paired(_allowed(client, "CONFIG GET", name))
    return (
        _paired(_allowed(client, "INFO")),
        _paired(_allowed(client, "HELLO")),
        config,
    )


def _allowed(client: redis.Redis, *command: str) -> Any:
    """The answer, or none from a server that has no such command, for us or at all."""
    try:
        return client.execute_command(*command)  # type: ignore[no-untyped-call]
    except redis.ResponseError:
        return []


def _paired(flat: Mapping[Any, Any] | Sequence[Any]) -> dict[str, str]:
    items = flat.items() if isinstance(flat, Mapping) else zip(flat[::2], flat[1::2], strict=True)
    return {_text(name): _text(value) for name, value in items}


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _listen(client: redis.Redis, channel: str) -> None:
    """Listen as workers do to what is said to all of them, and bind themselves to it."""
    client.register_script("return 1")()
    with client.pubsub() as ear:  # type: ignore[no-untyped-call]
        ear.subscribe(channel)
        ear.parse_response()


def _tried(client: redis.Redis, key: str) -> Iterator[str]:
    """A warning if there is no room for messages at this time."""
    try:
        _sent_and_taken(client, key)
    except redis.exceptions.OutOfMemoryError as full:
        # What is there already can be worked, and that makes room.
        yield f"{reason(full)}; until then it takes no message"


def _sent_and_taken(client: redis.Redis, key: str) -> None:
    """Send two messages, take one and delete the other."""
    with client.pipeline(transaction=True) as pipe:
        pipe.lpush(key, "first", "second")
        pipe.expire(key, _KEY_SECONDS)
        pipe.execute()
    taken = client.brpop([key], timeout=_CONSUME_SECONDS)
    deleted = client.delete(key)
    if not taken or taken[1] != b"first" or not deleted:
        raise redis.InvalidResponse("it did not give back the message that it took")


@contextmanager
def _explained(url: str, timeout: float) -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise excuses.explain(error, url, timeout) from error
