"""The docker store keeps the promise of stores: with Docker where it answers, else a stand-in."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from queueing.docker import IMAGE, DockerStore
from tests import dockers
from tests.contracts.store_suite import House, Make, StoreContract, making

pytestmark = pytest.mark.once


class DockerHouse(House):
    """A data directory whose store is a container."""

    store: DockerStore
    product = "Valkey"
    version = IMAGE.partition(":")[2].rpartition(".")[0]

    def __init__(self, home: Path, program: str) -> None:
        self._program = program
        self.store = DockerStore(home / "redis", program=program)

    def crash(self) -> None:
        subprocess.run([self._program, "kill", self.store.name], check=True, capture_output=True)

    def close(self) -> None:
        if name := self.store.name:
            for words in (("rm", "--force", name), ("volume", "rm", "--force", name)):
                subprocess.run([self._program, *words], check=False, capture_output=True)


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    with dockers.real() as command:
        yield command


@pytest.fixture(params=["docker", "stand-in"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    if request.param == "docker":
        program = request.getfixturevalue("engine")
    else:
        program = dockers.standin(tmp_path / "engine")
    yield from making(lambda name: DockerHouse(tmp_path / name, program))


class TestDockerStore(StoreContract):
    """With Docker, and with the program that stands in for it."""
