"""Our way to the queue store, where it differs from kombu's own, against a real store."""

from collections.abc import Iterator
from pathlib import Path
from ssl import CERT_REQUIRED

import pytest
from kombu import Connection

from claudemem.celery import app
from queueing.transport import Channel, QuickConnection
from tests.stores import kept


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
        first, second = queue.get(timeout=5), queue.get(timeout=5)
        assert not channel.qos.can_consume()
        assert channel.client.keys("*unacked*") == []
        first.ack()
        assert channel.qos.can_consume()
        second.reject(requeue=True)
        assert [queue.get(timeout=5).payload for _ in range(2)] == [2, 3]
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
