"""The Celery engine's broker, and the only client of the queue store.

A head is published as a message that names it, in the queue of its kind; Celery's workers take it.

Publishing has a connection of its own with half-second timeouts (`queueing.line`): a store that is
away costs a caller at most one second once, and the next ones nothing until it was tried again.
"""

import os
import threading
from base64 import b64encode
from functools import cache
from typing import Any, cast

import orjson
from celery import current_app
from django.conf import settings
from kombu import Connection as KombuConnection
from kombu import Producer
from uuid_utils import uuid4

from queueing import addresses, clients, kinds, probes
from queueing.errors import QueueStoreAway
from queueing.kinds import Kind
from queueing.line import Command, Connection, Line

TIMEOUT = 0.5
PROBE_EVERY = 1.0
_PROBE = "probe"
# What a probe leaves behind goes by itself.
_PROBE_SECONDS = 60
# So many keys of the store are looked at by one question, which others wait for.
_SCANNED = 1000

# The body's third part: no callbacks, no chain.
_NOTHING_FOLLOWS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}

Message = dict[str, Any]

_composing = threading.Lock()


def publish(job_id: str, kind: str) -> None:
    """Send the message that names `job_id` to its kind's queue, behind all others.

    Raises QueueStoreAway when the store did not take it, within a second.
    """
    _send("LPUSH", job_id, kind)


def publish_first(job_id: str, kind: str) -> None:
    """As `publish`, but before all others: workers take from the right."""
    _send("RPUSH", job_id, kind)


def _send(how: str, job_id: str, kind: str) -> None:
    chosen = kinds.BY_NAME[kind]
    message = addressed(_template(chosen), job_id, str(uuid4()))
    _ask((how, key(chosen.queue), orjson.dumps(message)))


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
    with _composing, KombuConnection("memory://") as connection, connection.channel() as channel:
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
    return dict(zip(names, _ask(*(("LLEN", key(name)) for name in names)), strict=True))


def waiting(team_id: str) -> int:
    """How many messages wait in the queues of that team's own workers. Raises QueueStoreAway."""
    own = addresses.narrowed(settings.QUEUE_PREFIX, team_id)
    return sum(_ask(*(("LLEN", f"{own}:{name}") for name in kinds.BY_NAME)))


def sweep(team_id: str) -> int:
    """Delete all that the queues of that team's own workers hold; how many messages waited there.

    Raises QueueStoreAway.
    """
    left = waiting(team_id)
    own, place = addresses.narrowed(settings.QUEUE_PREFIX, team_id), b"0"
    while True:
        ((place, keys),) = _ask(("SCAN", place, "MATCH", f"{own}:*", "COUNT", _SCANNED))
        if keys:
            _ask(("UNLINK", *keys))
        if place == b"0":
            return left


def can_lose() -> bool:
    """A store may be emptied, and a worker that dies takes what it has in hand along."""
    return True


def faults() -> tuple[str, ...]:
    """Why the store must not be used, though it answers: it may drop messages, or is a replica.

    Raises QueueStoreAway, or StoreUnfit where it refuses us.
    """
    url, owner = _place()
    if not url:
        return ()
    prefix = settings.QUEUE_PREFIX
    return probes.look(url, prefix, timeout=TIMEOUT, tries_message=False, owner=owner).faults


def send_canary(queue: str, number: int) -> None:
    """Send the canary of that number down the queue. Raises QueueStoreAway."""
    _ask(("LPUSH", key(queue), _canary(queue, number)))


def canary_waits(queue: str, number: int) -> bool:
    """Whether the canary of that number waits in the queue. Raises QueueStoreAway."""
    (place,) = _ask(("LPOS", key(queue), _canary(queue, number)))
    return place is not None


def _canary(queue: str, number: int) -> bytes:
    """The same bytes in every process, so that each finds what another sent."""
    messenger = Kind(name=queue, task=kinds.CANARY, prefix="", source_type="", job_type="")
    message = addressed(_template(messenger), f"{queue} {number}", f"canary-{queue}-{number}")
    message["headers"]["origin"] = message["properties"]["reply_to"] = kinds.CANARY
    return orjson.dumps(message)


def key(name: str) -> str:
    """What `name` is called in the store, where other installations may have the same."""
    return f"{settings.QUEUE_PREFIX}:{name}"


def refuses() -> bool:
    """Whether there is no store, or it was found to be away and has not been found again."""
    return not settings.QUEUE_STORE_URL or _line(*_place()).refuses


def hang_up() -> None:
    """Give up this process's connection; the next that is asked for makes another."""
    if settings.QUEUE_STORE_URL:
        _line(*_place()).close()
    _line.cache_clear()


def _ask(*commands: Command) -> list[Any]:
    if not settings.QUEUE_STORE_URL:
        raise QueueStoreAway(
            f"no queue store was started in {settings.DATA_DIR.root}: run `claudemem start`",
            "no queue store was started: run `claudemem start`",
        )
    return _line(*_place()).ask(*commands)


def _place() -> tuple[str, int | None]:
    """Where the store is, and whose it must be."""
    return settings.QUEUE_STORE_URL, settings.QUEUE_STORE_OWNER


@cache
def _line(url: str, owner: int | None) -> Line:
    pool = clients.client(url, timeout=TIMEOUT, owner=owner).connection_pool

    def connect() -> Connection:
        connection: Any = pool.connection_class(**pool.connection_kwargs)
        connection.connect()
        # A replica, a full disk and a full memory answer pings, and take nothing.
        connection.send_command("SET", key(_PROBE), "1", "EX", _PROBE_SECONDS)
        connection.read_response()
        return cast(Connection, connection)

    return Line(connect, patience=TIMEOUT, rest=PROBE_EVERY)


# A child has no thread that looks for the store, and must not talk on its parent's connection.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_line.cache_clear)
