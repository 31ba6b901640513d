"""The Celery engine's broker, and the only client of the queue store.

A head is published as a message that names it, in the queue of its kind; Celery's workers take it.

Publishing has connections of its own with half-second timeouts, and a breaker: a store that is
away costs a caller at most one second once, and the next ones nothing until it was tried again.
"""

import logging
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import orjson
import redis
from celery import current_app
from django.conf import settings
from kombu import Connection, Producer
from uuid_utils import uuid4

from queueing import kinds
from queueing.errors import QueueStoreAway
from queueing.kinds import Kind

log = logging.getLogger(__name__)

TIMEOUT = 0.5
PROBE_EVERY = 1.0
TICK_SECONDS = 60.0
_TICK = "claudemem:tick"


class Breaker:
    """Closed: calls go through. Open: they are refused at once, until a probe gets through.

    `probe` is called every `rest` seconds in a thread of its own while the breaker is open, so
    that no caller pays for finding out; it raises while the other side is away.
    """

    def __init__(self, probe: Callable[[], object], rest: float) -> None:
        self._probe = probe
        self._rest = rest
        self._lock = threading.Lock()
        self._is_open = False

    @property
    def is_open(self) -> bool:
        return self._is_open

    def trip(self) -> None:
        """Open, and start probing."""
        with self._lock:
            if self._is_open:
                return
            self._is_open = True
        threading.Thread(target=self._watch, name="store-probe", daemon=True).start()

    def _watch(self) -> None:
        while self._is_open:
            time.sleep(self._rest)
            try:
                self._probe()
            except _AWAY:
                continue
            self._is_open = False
            log.info("the queue store answers again")


_AWAY = (redis.RedisError, OSError)
# The body's third part: no callbacks, no chain.
_NOTHING_FOLLOWS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}

Message = dict[str, Any]

_composing = threading.Lock()


def publish(job_id: str, kind: str) -> None:
    """Send the message that names `job_id` to its kind's queue.

    Raises QueueStoreAway when the store did not take it, within a second.
    """
    chosen = kinds.BY_NAME[kind]
    message = addressed(_template(chosen), job_id, str(uuid4()))
    with _reaching():
        _client().lpush(chosen.queue, orjson.dumps(message))


def addressed(template: Message, job_id: str, task_id: str) -> Message:
    """The message for `job_id`, made from one that Celery composed for the same task."""
    headers = {**template["headers"], "id": task_id, "root_id": task_id,
               "argsrepr": f"({job_id!r},)"}  # fmt: skip
    properties = {**template["properties"], "correlation_id": task_id, "delivery_tag": task_id}
    body = orjson.dumps([[job_id], {}, _NOTHING_FOLLOWS])
    return {
        **template,
        "body": b64encode(body).decode(),
        "headers": headers,
        "properties": properties,
    }


@cache
def _template(kind: Kind) -> Message:
    """A message for the kind's task, composed by Celery itself.

    Composing one costs ten times what sending it does, and all of a kind are alike but for the
    ids. Celery's in-memory transport has the same format as the store's.
    """
    # That transport's queues are the process's: two threads must not compose at once.
    with _composing, Connection("memory://") as connection, connection.channel() as channel:
        with Producer(channel) as producer:
            current_app.send_task(
                kind.task, args=["job"], queue=kind.queue, producer=producer, retry=False
            )
        message: Message = channel._get(kind.queue)
        channel._purge(kind.queue)
    return message


def depths() -> dict[str, int]:
    """How many messages wait in each queue. Raises QueueStoreAway."""
    names = [*kinds.BY_NAME, kinds.UPKEEP]
    with _reaching():
        pipe = _client().pipeline(transaction=False)
        for name in names:
            pipe.llen(name)
        return dict(zip(names, pipe.execute(), strict=True))


def ping() -> float:
    """Seconds that a round trip to the store takes. Raises QueueStoreAway."""
    started = time.perf_counter()
    with _reaching():
        _client().ping()
    return time.perf_counter() - started


def tick() -> None:
    """Leave word that a worker did its upkeep just now: beat and that worker are alive."""
    with _reaching():
        _client().set(_TICK, "1", ex=int(TICK_SECONDS))


def seconds_since_tick() -> float | None:
    """How long ago any worker did its upkeep; None if longer than `TICK_SECONDS`.

    Raises QueueStoreAway.
    """
    with _reaching():
        left = int(_client().pttl(_TICK))
    return TICK_SECONDS - left / 1000 if left > 0 else None


@contextmanager
def _reaching() -> Iterator[None]:
    if not settings.QUEUE_STORE_URL:
        raise QueueStoreAway(
            f"no queue store was started in {settings.DATA_DIR.root}: run `claudemem up`"
        )
    if breaker.is_open:
        raise QueueStoreAway("the queue store did not answer a moment ago; it is tried again soon")
    try:
        yield
    except _AWAY as error:
        breaker.trip()
        raise QueueStoreAway(f"the queue store did not answer: {type(error).__name__}") from error


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.QUEUE_STORE_URL,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
    )


breaker = Breaker(lambda: _client().ping(), PROBE_EVERY)
