"""Our way to the queue store, where it differs from kombu's own, against a real store."""

from collections.abc import Iterator
from pathlib import Path
from ssl import CERT_REQUIRED
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import redis
from kombu import Connection
from kombu.exceptions import OperationalError

from claudemem.celery import app
from queueing import addresses
from queueing.transport import Channel, QuickConnection, SentinelChannel
from tests.certificates import issued
from tests.postgres import short_place
from tests.sentinel import pair
from tests.servers import PASSWORD, serving, with_tls
from tests.stores import kept

pytestmark = pytest.mark.once


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    store = kept(tmp_path)
    store.start()
    yield store.url
    store.stop()


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
def test_both_schemes_lead_to_our_channel(url: str, scheme: str) -> None:
    with Connection(url.replace("redis://", f"{scheme}://")) as connection:
        channel = connection.default_channel
        assert isinstance(channel, Channel)
        assert channel.client.ping()


def settled(url: str) -> dict[str, Any]:
    """How settings tell kombu of a URL."""
    known = addresses.parse(url)
    return {
        "hostname": known.broker_url,
        "ssl": known.tls or False,
        "transport_options": {"global_keyprefix": "mine:", **known.broker_options},
    }


def test_upkeep_is_taken_before_jobs_and_the_queues_of_jobs_take_turns(url: str) -> None:
    options = {"queue_order_strategy": "queueing.transport:Turns"}
    with Connection(url, transport_options=options) as connection:
        turns = connection.default_channel._queue_cycle
        turns.update(["event", "summary", "upkeep"])
        assert turns.consume(3) == ["upkeep", "event", "summary"]
        turns.rotate("event")
        turns.rotate("upkeep")
        assert turns.consume(3) == ["upkeep", "summary", "event"]


def passes_a_message(connection: Connection) -> None:
    queue = connection.SimpleQueue("event")
    queue.put({"n": 1})
    message = queue.get(timeout=60)
    assert message.payload == {"n": 1}
    message.ack()
    queue.close()


def test_messages_pass_through_a_socket(tmp_path: Path) -> None:
    with (
        TemporaryDirectory(dir=short_place()) as place,
        serving(tmp_path, "--unixsocket", f"{place}/a store.sock"),
    ):
        url = f"unix://:{PASSWORD}@{place}/a%20store.sock?db=1"
        with Connection(**settled(url)) as connection:
            passes_a_message(connection)


def test_messages_pass_over_tls_and_under_sentinels_and_to_the_next_primary(
    tmp_path: Path,
) -> None:
    with pair(tmp_path, with_tls(), issued(tmp_path, "ours")) as servers:
        with Connection(**settled(servers.url)) as connection:
            assert isinstance(connection.default_channel, SentinelChannel)
            passes_a_message(connection)
            client = servers.kill_primary()
            again = connection.clone()
            again.ensure_connection(max_retries=60, interval_start=0.2, interval_max=0.2)
            passes_a_message(again)
            again.release()
        with client:
            names = {key.decode() for key in client.scan_iter()}
    assert names == {
        "mine:probe",
        "mine:_kombu.binding.event",
        "mine:_kombu.binding_permanent.event",
    }


def test_an_authority_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pair(tmp_path, with_tls(), issued(tmp_path, "ours")) as servers:
        theirs = issued(tmp_path, "theirs").authority
        url = f"rediss://:hidden@127.0.0.1:{servers.ports[0]}/0?ssl_ca_certs={theirs}"
        with Connection(**settled(url)) as connection, pytest.raises(OperationalError):
            connection.ensure_connection(max_retries=1)


def test_a_store_that_takes_nothing_is_no_connection(url: str) -> None:
    with redis.Redis.from_url(url) as client, Connection(url) as connection:
        client.replicaof("127.0.0.1", 1)
        with pytest.raises(OperationalError, match="name the primary"):
            connection.ensure_connection(max_retries=1)
        client.replicaof("NO", "ONE")
        passes_a_message(connection)


def test_an_encrypted_store_is_reached_through_our_channel_too() -> None:
    ssl = {"ssl_cert_reqs": CERT_REQUIRED}
    with Connection("rediss://:hidden@store:6380/0", ssl=ssl) as connection:
        assert connection.transport.Channel is Channel


def test_a_task_that_ends_after_its_connection_was_lost_can_still_acknowledge(url: str) -> None:
    connection = Connection(url)
    channel = connection.default_channel
    channel.queue_declare("event", passive=False)
    connection.collect()
    with channel.conn_or_acquire() as client:
        assert client.ping()
        client.connection_pool.disconnect()


def test_a_channel_has_one_client_however_many_commands(url: str) -> None:
    with Connection(url) as connection:
        channel = connection.default_channel
        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
            assert first is second


def test_a_message_that_was_taken_is_in_hand_until_it_is_let_go_and_nowhere_else(url: str) -> None:
    with Connection(url) as connection:
        queue = connection.SimpleQueue("event")
        channel = queue.consumer.channel
        channel.basic_qos(0, 2, False)
        for number in range(4):
            queue.put(number)
        first, second = queue.get(timeout=60), queue.get(timeout=60)
        assert not channel.qos.can_consume()
        assert channel.client.keys("*unacked*") == []
        first.ack()
        assert channel.qos.can_consume()
        second.reject(requeue=True)
        assert [queue.get(timeout=60).payload for _ in range(2)] == [2, 3]
        assert channel.client.llen("event") == 0
        queue.close()


def test_the_worker_looks_for_a_lost_store_every_second_or_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = app.connection_for_read()
    assert isinstance(connection, QuickConnection)
    asked: dict[str, float] = {}
    monkeypatch.setattr(connection, "_ensure_connection", lambda *_, **how: asked.update(how))
    connection.ensure_connection(None, None)
    assert asked["interval_max"] <= 2
