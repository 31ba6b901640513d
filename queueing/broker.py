"""The only client of the queue store: publish, depths, ping.

Publishing has connections of its own with half-second timeouts, and a breaker: a store that is
away costs a caller at most one second once, and the next ones nothing until it was tried again.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import redis
from celery import current_app
from django.conf import settings
from kombu import Connection
from kombu.exceptions import OperationalError
from kombu.pools import ProducerPool

from queueing import kinds
from queueing.errors import QueueStoreAway

log = logging.getLogger(__name__)

TIMEOUT = 0.5
PROBE_EVERY = 1.0
PRODUCERS = 16


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


_AWAY = (OperationalError, redis.RedisError, OSError)


def publish(job_id: str, kind: str) -> None:
    """Send the message that names `job_id` to its kind's queue.

    Raises QueueStoreAway when the store did not take it, within a second.
    """
    chosen = kinds.BY_NAME[kind]
    with _reaching(), _producers().acquire(block=True, timeout=TIMEOUT) as producer:
        current_app.send_task(
            chosen.task, args=[job_id], queue=chosen.queue, producer=producer, retry=False
        )


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
def _producers() -> ProducerPool:
    connection = Connection(
        settings.QUEUE_STORE_URL,
        transport_options={
            **settings.CELERY_BROKER_TRANSPORT_OPTIONS,
            "socket_timeout": TIMEOUT,
            "socket_connect_timeout": TIMEOUT,
            "retry_on_timeout": False,
            "max_retries": 0,
        },
        connect_timeout=TIMEOUT,
    )
    return ProducerPool(connection.Pool(PRODUCERS), limit=PRODUCERS)


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.QUEUE_STORE_URL,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
    )


breaker = Breaker(lambda: _client().ping(), PROBE_EVERY)
