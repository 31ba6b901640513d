"""Keys of ours that nobody uses any more, and that nobody else's are touched."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery
from django.test import override_settings

from queueing import leftovers
from queueing.errors import QueueStoreAway
from queueing.external import ExternalStore
from queueing.leftovers import Limits
from tests.servers import RELEASES, Release, serving
from tests.stores import House
from tests.waiting import until

pytestmark = pytest.mark.once

OURS = "claude_mem"
NODE = "0f8fad5b-d9cb-469f-a165-70867728950e"
SHARED = Limits(OURS, alone=False, idle=3600)
# Idle times are whole seconds: everything is idle for longer than this.
AT_ONCE = Limits(OURS, alone=False, idle=-1)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[redis.Redis]:
    with serving(tmp_path) as url, redis.Redis.from_url(url) as client:
        yield client


def found(client: redis.Redis, limits: Limits) -> set[str]:
    return set(leftovers.found(client, limits))


def test_a_monitor_of_events_leaves_no_list_behind(tmp_path: Path) -> None:
    with serving(tmp_path) as url, redis.Redis.from_url(url) as client:
        app = Celery(broker=url)
        app.conf.broker_transport_options = {"global_keyprefix": f"{OURS}:"}
        with app.connection_for_read() as connection:
            receiver = app.events.Receiver(connection)
            # It is there and takes nothing, as one that was killed and is still known.
            with receiver.consumer_context(), app.events.default_dispatcher() as dispatcher:
                dispatcher.send("worker-heartbeat")
                assert b"list" not in {client.type(key) for key in client.scan_iter()}
        app.close()


@pytest.mark.parametrize(
    "name",
    [
        "unacked", "unacked_index", "unacked_mutex", f"{NODE}.reply.celery.pidbox",
        f"celeryev.{NODE}", "_kombu.binding.celeryev",
        "_kombu.binding.reply.celery.pidbox", "_kombu.binding.celery.pidbox",
        "_kombu.binding_deadlines",
    ],
)  # fmt: skip
def test_bookkeeping_that_nobody_touched_for_long_goes(client: redis.Redis, name: str) -> None:
    client.lpush(f"{OURS}:{name}", "x")
    assert found(client, AT_ONCE) == {f"{OURS}:{name}"}
    assert not found(client, SHARED)


@pytest.mark.parametrize(
    "key",
    [
        # Messages, and who takes them.
        *(f"{OURS}:{queue}" for queue in ("event", "event-batch", "summary", "upkeep")),
        f"{OURS}:_kombu.binding.event", f"{OURS}:_kombu.binding.event-batch", f"{OURS}:probe",
        # Other programs, under our prefix, beside it, and without any.
        f"{OURS}:bull:observations:id", f"{OURS}:anything", f"{OURS}:unacked:x",
        f"{OURS}_team:unacked", f"other:celeryev.{NODE}", f"celeryev.{NODE}", "unacked",
        "_kombu.binding.celeryev", f"{OURS}", f"{OURS}:", "other:event",
    ],
)  # fmt: skip
def test_on_a_shared_server_nothing_else_is_touched(client: redis.Redis, key: str) -> None:
    client.lpush(key, "x")
    assert not found(client, AT_ONCE)


def test_in_a_store_of_our_own_what_has_an_earlier_prefix_or_none_goes_too(
    client: redis.Redis,
) -> None:
    gone = {"before:event", "before:unacked", "before:_kombu.binding.event",
            "event", "unacked_index", "_kombu.binding.event"}  # fmt: skip
    for key in {*gone, f"{OURS}:event", "before:something", "something"}:
        client.lpush(key, "x")
    assert found(client, Limits(OURS, alone=True, idle=-1)) == gone
    assert not found(client, Limits(OURS, alone=True, idle=3600))


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lfu"])
@pytest.mark.parametrize("release", RELEASES, ids=str)
def test_every_server_tells_or_nothing_goes(tmp_path: Path, release: Release, policy: str) -> None:
    with (
        serving(tmp_path, "--maxmemory-policy", policy, release=release) as url,
        redis.Redis.from_url(url) as client,
    ):
        client.lpush(f"{OURS}:unacked", "x")
        assert len(found(client, AT_ONCE)) <= 1
        assert not found(client, SHARED)


def test_it_is_looked_for_in_the_store_that_is_in_use(tmp_path: Path) -> None:
    with serving(tmp_path) as url, redis.Redis.from_url(url) as client:
        key = f"{OURS}:unacked"
        client.lpush(key, "x")
        used = {"QUEUE_STORE_URL": url, "STORE": ExternalStore(url, OURS), "QUEUE_PREFIX": OURS}
        with override_settings(**used, RETAIN_BROKER_KEYS_DAYS=0):
            assert leftovers.remove() == leftovers.find() == ()
        with override_settings(**used):
            assert leftovers.remove() == ()  # it was used just now
        with override_settings(**used, RETAIN_BROKER_KEYS_DAYS=-1):
            assert leftovers.find() == (key,)
            assert leftovers.remove() == (key,)
            assert leftovers.find() == ()
    with override_settings(QUEUE_STORE_URL=url), pytest.raises(QueueStoreAway):
        leftovers.find()
    with override_settings(QUEUE_STORE_URL=""):
        assert leftovers.remove() == ()


def test_the_files_of_a_managed_store_stay_small_however_much_is_written(house: House) -> None:
    house.start()
    folder, written = house.redis / "data" / "appendonlydir", 0
    with house.client() as client:
        while client.info("persistence")["aof_base_size"] >= written / 2 or written < 60_000_000:
            with client.pipeline(transaction=False) as pipe:
                for number in range(1000):
                    pipe.set(f"k{number % 10}", b"x" * 5000)
                pipe.execute()
            written += 5_000_000
        until(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
    assert sum(path.stat().st_size for path in folder.iterdir()) < written
