"""Keys of ours in the queue store that nobody uses any more.

Workers that were killed, other versions and other clients leave bookkeeping behind: of replies, of
who listened to what, of messages that were taken. Only names that Celery and kombu give, below our
own prefix, are looked at: whatever else is there belongs to somebody else, or is a message. In a
store that we run for ourselves there is nobody else, so there the same names below another prefix,
or below none, as was in use before, are ours as well, and so are the messages there.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from queueing import kinds
from queueing.errors import QueueStoreAway

_TIMEOUT = 1.0
_AT_ONCE = 1000
_A_DAY = 86_400
_QUEUES = (*kinds.BY_NAME, kinds.UPKEEP)
# Of messages that were taken and not done, of replies, of events, of who listens to what.
_KEEPING = re.compile(
    r"unacked(_index|_mutex)?|[0-9a-f-]{36}\.reply\.celery\.pidbox|celeryev\.[0-9a-f-]{36}"
    r"|_kombu\.binding(_\w+)?(\..+)?"
)
_MESSAGES = re.compile(rf"(?:{'|'.join(map(re.escape, _QUEUES))})(?:\x06\x16\d+)?")
_PREFIXED = re.compile(r"(?:([A-Za-z0-9_-]+):)?(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Limits:
    """What is ours, below `prefix` or, where `alone`, below any; it is over when idle for so long.

    `idle` is in seconds.
    """

    prefix: str
    alone: bool
    idle: float


def find() -> tuple[str, ...]:
    """The keys that are left over, sorted; none without a store, or where they are kept for ever.

    Raises QueueStoreAway.
    """
    if not _wanted():
        return ()
    with _client() as client:
        return tuple(sorted(found(client, _limits())))


def remove() -> tuple[str, ...]:
    """Delete them; which they were. Raises QueueStoreAway."""
    if not _wanted():
        return ()
    with _client() as client:
        keys = tuple(sorted(found(client, _limits())))
        for start in range(0, len(keys), _AT_ONCE):
            client.delete(*keys[start : start + _AT_ONCE])
    return keys


def found(client: Any, limits: Limits) -> Iterator[str]:
    """The keys that are left over in the store that `client` speaks to."""
    pattern = "*" if limits.alone else f"{limits.prefix}:*"
    for raw in client.scan_iter(match=pattern, count=_AT_ONCE):
        # Ours are all ASCII.
        key = raw.decode("ascii", "replace")
        prefixed = _PREFIXED.fullmatch(key)
        if prefixed and _is_over(client, key, prefixed[1] or "", prefixed[2], limits):
            yield key


def _is_over(client: Any, key: str, prefix: str, name: str, limits: Limits) -> bool:
    ours = prefix == limits.prefix
    if not ours and not limits.alone:
        return False
    if ours and name.rpartition(".")[2] in _QUEUES:
        return False  # who takes our messages
    if _KEEPING.fullmatch(name) or (not ours and _MESSAGES.fullmatch(name)):
        return _idle(client, key) > limits.idle
    return False


def _idle(client: Any, key: str) -> float:
    """For how long nobody used it; 0 where the server does not tell."""
    from redis import ResponseError

    try:
        return float(client.object("IDLETIME", key) or 0)
    except ResponseError:
        return 0.0


def _wanted() -> bool:
    return bool(settings.QUEUE_STORE_URL and settings.RETAIN_BROKER_KEYS_DAYS)


def _limits() -> Limits:
    store = settings.STORE
    return Limits(
        settings.QUEUE_PREFIX,
        alone=bool(store and store.ours),
        idle=settings.RETAIN_BROKER_KEYS_DAYS * _A_DAY,
    )


@contextmanager
def _client() -> Iterator[Any]:
    # Not where no store is in use: clients cost 10 MB.
    import redis

    from queueing import clients

    url = settings.QUEUE_STORE_URL
    try:
        with clients.client(url, timeout=_TIMEOUT, owner=settings.QUEUE_STORE_OWNER) as client:
            yield client
    except (redis.RedisError, OSError) as error:
        from queueing.reasons import reason

        raise QueueStoreAway(
            f"nothing could be looked for in the queue store: it {reason(error)}"
        ) from error
