"""The managed store keeps the promise of stores, whichever server it runs."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from queueing import pids
from queueing.managed import ManagedStore
from tests import servers
from tests.contracts.store_suite import House, Make, StoreContract, making
from tests.servers import RELEASES, Release
from tests.waiting import until

pytestmark = pytest.mark.once


class ManagedHouse(House):
    """A data directory with a store."""

    store: ManagedStore

    def __init__(self, home: Path, release: Release) -> None:
        self.product, self.version = release.product, release.version
        self.store = ManagedStore(home / "redis", home / "logs", str(servers.binary(release)))

    def crash(self) -> None:
        process = self.store.process()
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        until(lambda: not process.alive)
        pids.reap(process.pid)

    def close(self) -> None:
        self.store.stop()


@pytest.fixture(params=RELEASES, ids=str)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    yield from making(lambda name: ManagedHouse(tmp_path / name, request.param))


class TestManagedStore(StoreContract):
    """On each of the servers that are tested."""
