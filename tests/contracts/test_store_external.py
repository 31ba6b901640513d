"""The external store keeps the promise of stores, on each of the servers that are tested."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from queueing import access
from queueing.errors import QueueStoreAway
from queueing.excuses import StoreUnfit
from queueing.external import ExternalStore
from tests import servers
from tests.contracts.store_suite import PREFIX, House, Make, StoreContract, making
from tests.servers import PASSWORD, RELEASES, Release, serving
from tests.waiting import until

pytestmark = pytest.mark.once


def _answers(client: redis.Redis) -> bool:
    """Whether it is there, and has read what it kept."""
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


class ExternalHouse(House):
    """A server that somebody else runs."""

    def __init__(self, home: Path, release: Release) -> None:
        home.mkdir()
        self.product, self.version = release.product, release.version
        self._home, self._program = home, servers.binary(release)
        self._port = access.free_port()
        self._run()
        self.store = ExternalStore(f"redis://:{PASSWORD}@127.0.0.1:{self._port}/0", PREFIX)

    def _run(self) -> None:
        self._server = subprocess.Popen(
            [self._program, "--port", str(self._port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "yes", "--requirepass", PASSWORD],
            cwd=self._home, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        with redis.Redis(port=self._port, password=PASSWORD) as client:
            until(lambda: _answers(client))

    def crash(self) -> None:
        self._server.kill()
        self._server.wait()
        assert self.store.running() is None
        with pytest.raises(QueueStoreAway, match="does not answer"):
            self.store.start()
        self._run()

    def close(self) -> None:
        self._server.kill()
        self._server.wait()


@pytest.fixture(params=RELEASES, ids=str)
def release(request: pytest.FixtureRequest) -> Release:
    found: Release = request.param
    return found


@pytest.fixture
def make(release: Release, tmp_path: Path) -> Iterator[Make]:
    yield from making(lambda name: ExternalHouse(tmp_path / name, release))


class TestExternalStore(StoreContract):
    """On each of the servers that are tested."""

    def test_a_server_that_drops_messages_is_refused(
        self, release: Release, tmp_path: Path
    ) -> None:
        flags = ("--maxmemory-policy", "allkeys-lru")
        with serving(tmp_path, *flags, release=release) as url:
            store = ExternalStore(url, PREFIX)
            with pytest.raises(StoreUnfit, match=r"allkeys-lru.*: set it to noeviction"):
                store.start()
