"""What every queue store must do; the test class of a mode inherits this and makes its houses."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from socket import gethostname

import orjson
import pytest
import redis
from django.conf import settings
from django.test import override_settings
from kombu import Connection, Exchange, Queue
from kombu.simple import SimpleQueue

from claudemem import celery  # noqa: F401 - the app whose messages these are
from queueing import messages, probes
from queueing.store import Store
from tests.waiting import until

PREFIX = "claude_mem"


class House(ABC):
    """A place with a queue store of one mode, and whatever somebody else would do about it."""

    store: Store
    # What the server will say that it is; "" where a version is not fixed.
    product: str
    version: str

    @abstractmethod
    def crash(self) -> None:
        """Kill the server with SIGKILL; one that is not ours is brought back by its owner."""

    @abstractmethod
    def close(self) -> None:
        """Leave nothing running."""

    def client(self) -> redis.Redis:
        """A client of the store."""
        return redis.Redis.from_url(self.store.url)

    def life(self) -> str:
        """What tells one life of the server from another."""
        with self.client() as client:
            return str(client.info("server")["run_id"])


Make = Callable[[str], House]


def making(build: Make) -> Iterator[Make]:
    """make(name): a house of that name, which leaves nothing running at the end of the test."""
    made: list[House] = []

    def make(name: str) -> House:
        made.append(build(name))
        return made[-1]

    yield make
    for house in made:
        house.close()


class StoreContract:
    """The promise of Store. The test module has a fixture `make`, a Make."""

    @pytest.fixture
    def house(self, make: Make) -> House:
        return make("house")

    @pytest.fixture
    def neighbour(self, make: Make) -> House:
        return make("neighbour")

    def test_a_started_store_answers_and_says_what_it_is(self, house: House) -> None:
        server = house.store.start()
        assert (server.mode, server.product) == (house.store.mode, house.product)
        assert server.version.startswith(f"{house.version}.")
        assert server.address in house.store.url
        with house.client() as client:
            assert client.ping()
        found = house.store.running()
        assert found is not None
        assert (found.product, found.version, found.address) == (
            server.product, server.version, server.address,
        )  # fmt: skip

    def test_no_password_shows_in_what_is_said_of_it(self, house: House) -> None:
        server = house.store.start()
        password = house.store.url.partition("@")[0].rpartition(":")[2]
        assert password
        assert password not in repr(server)
        assert password not in repr(probes.look(house.store.url, PREFIX))

    def test_a_second_start_finds_the_same_server(self, house: House) -> None:
        house.store.start()
        first = house.life()
        assert house.store.start().adopted
        assert house.life() == first

    def test_starts_at_once_give_one_server(self, house: House) -> None:
        with ThreadPoolExecutor(3) as pool:
            started = list(pool.map(lambda _: house.store.start(), range(3)))
        assert len({server.address for server in started}) == 1
        assert sum(not server.adopted for server in started) == house.store.ours

    def test_what_it_was_told_survives_a_kill(self, house: House) -> None:
        house.store.start()
        first = house.life()
        with house.client() as client:
            client.config_set("appendfsync", "always")
            client.lpush("kept", "message")
        house.crash()
        house.store.start(may_move=False)
        assert house.life() != first
        with house.client() as client:
            assert client.rpop("kept") == b"message"

    def test_only_what_is_ours_is_stopped(self, house: House, neighbour: House) -> None:
        house.store.start()
        neighbour.store.start()
        other = neighbour.life()
        assert house.store.stop() is house.store.ours
        assert (house.store.running() is None) is house.store.ours
        assert neighbour.life() == other
        if house.store.ours:
            assert house.store.stop() is False
            assert not house.store.start().adopted

    def test_a_look_says_all_that_one_wants_to_know(self, house: House) -> None:
        house.store.start()
        found = probes.look(house.store.url, PREFIX)
        assert (found.product, found.persistence, found.policy) == (
            house.product, "append-only file, every second", "noeviction",
        )  # fmt: skip
        assert found.version.startswith(f"{house.version}.")
        assert found.address in house.store.url
        assert 0 < found.round_trip < probes.STEP_SECONDS
        assert (found.faults, found.warnings) == ((), ())

    def test_a_look_leaves_nothing_behind(self, house: House) -> None:
        house.store.start()
        with house.client() as client:
            client.set("of somebody else", "1")
            probes.look(house.store.url, PREFIX)
            assert client.keys("*") == [b"of somebody else"]

    def test_what_is_published_is_taken_by_a_worker(self, house: House) -> None:
        house.store.start()
        with publishing(house), connecting(house) as connection:
            messages.publish("job-7", "event")
            with SimpleQueue(connection.default_channel, "event") as queue:
                message = queue.get(timeout=10)
                message.ack()
        assert orjson.loads(message.body)[0] == ["job-7"]

    def test_a_worker_hears_what_is_said_to_all(self, house: House) -> None:
        house.store.start()
        # As Celery's own, whose queue is gone soon after its worker: it takes a script to bind it.
        box = Queue(
            f"{gethostname()}.box", Exchange("boxes", type="fanout"), expires=10.0,
            auto_delete=True, durable=False,
        )  # fmt: skip
        heard: list[str] = []
        with connecting(house) as connection, connection.Producer() as producer:

            def told() -> list[str]:
                producer.publish("ping", exchange=box.exchange, declare=[box.exchange])
                with suppress(TimeoutError):
                    connection.drain_events(timeout=0.1)
                return heard

            with connection.Consumer(box, no_ack=True) as consumer:
                consumer.register_callback(lambda body, message: heard.append(body))
                # Who listens is known to the store a moment later, so it is said until it is heard.
                assert until(told)[0] == "ping"


@contextmanager
def publishing(house: House) -> Iterator[None]:
    """Let what is published here go to this store."""
    with override_settings(QUEUE_STORE_URL=house.store.url):
        yield
        messages.hang_up()


@contextmanager
def connecting(house: House) -> Iterator[Connection]:
    """A connection as a worker makes it."""
    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    with Connection(house.store.url, transport_options=options) as connection:
        yield connection
