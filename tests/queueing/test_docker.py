"""The queue store in a container: what it asks of Docker, and what it says when that fails."""

import json
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import create_server

import psutil
import pytest
import redis

from queueing import access
from queueing.docker import IMAGE, DockerStore
from queueing.store import StoreFailed
from tests import dockers

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]

Make = Callable[[str], DockerStore]


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """Where the program that stands in for Docker keeps what it knows."""
    return tmp_path / "engine"


@pytest.fixture
def make(engine: Path, tmp_path: Path) -> Iterator[Make]:
    program = dockers.standin(engine)
    yield lambda name: DockerStore(tmp_path / name / "redis", program=program)
    for made in engine.glob("claudemem-store-*.json"):
        subprocess.run([program, "rm", "--force", made.stem], check=True)


@pytest.fixture
def store(make: Make) -> DockerStore:
    return make("house")


def calls(engine: Path) -> list[list[str]]:
    return [json.loads(line) for line in (engine / "calls").read_text().splitlines()]


def keep(store: DockerStore, word: str) -> None:
    with redis.Redis.from_url(store.url) as client:
        client.set("kept", word)


def kept(store: DockerStore) -> bytes | None:
    with redis.Redis.from_url(store.url) as client:
        found: bytes | None = client.get("kept")
        return found


def test_where_there_is_no_docker_the_other_modes_are_named(tmp_path: Path) -> None:
    store = DockerStore(tmp_path / "redis", program="no-such-docker")
    with pytest.raises(StoreFailed, match=r"there is no Docker.* managed, .* external,"):
        store.start()
    assert (store.url, store.running(), store.stop()) == ("", None, False)


@pytest.mark.skipif(shutil.which("docker") is None, reason="Docker's command is not installed")
@pytest.mark.skipif(bool(dockers.real()), reason="Docker answers here")
def test_where_docker_does_not_answer_the_other_modes_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match=r"Docker does not answer .* managed, .* external,"):
        DockerStore(tmp_path / "redis").start()


def test_an_image_that_cannot_be_fetched_is_said(store: DockerStore, engine: Path) -> None:
    (engine / "offline").touch()
    with pytest.raises(StoreFailed, match=r"`docker pull` failed \(.*no such host\)"):
        store.start()
    assert store.running() is None


def test_the_password_is_in_a_file_for_its_owner_and_on_no_command_line(
    store: DockerStore, engine: Path
) -> None:
    store.start()
    file = store.directory / "docker.env"
    password = store.url.partition("@")[0].rpartition(":")[2]
    assert password in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert password not in (engine / "calls").read_text()
    process = psutil.Process(json.loads((engine / f"{store.name}.json").read_text())["pid"])
    assert process.name() == "valkey-server"  # and no shell before it, which would keep signals
    assert password not in str(process.cmdline())


def test_it_is_published_on_loopback_alone(store: DockerStore, engine: Path) -> None:
    store.start()
    (run,) = (words for words in calls(engine) if words[0] == "run")
    port = store.url.rpartition(":")[2].partition("/")[0]
    assert run[run.index("--publish") + 1] == f"127.0.0.1:{port}:6379"


def test_the_image_is_the_one_of_the_compose_file() -> None:
    assert f"image: {IMAGE}\n" in (ROOT / "compose" / "compose.yaml").read_text()


def test_a_stopped_store_is_made_anew_where_it_was_with_its_data_and_what_is_set_now(
    make: Make, engine: Path
) -> None:
    store = make("house")
    store.start()
    url, name = store.url, store.name
    keep(store, "yes")
    assert store.stop()
    larger = DockerStore(store.directory, 64, str(engine / "docker"))
    larger.start()
    assert (larger.url, larger.name, kept(larger)) == (url, name, b"yes")
    with redis.Redis.from_url(larger.url) as client:
        assert client.config_get("maxmemory") == {"maxmemory": str(64 << 20)}


def test_a_taken_port_is_left_to_its_taker(store: DockerStore) -> None:
    server = store.start()
    keep(store, "yes")
    store.stop()
    port = int(server.address.rpartition(":")[2])
    with create_server((access.HOST, port)):
        with pytest.raises(StoreFailed, match=f"port {port} .* was taken"):
            store.start(may_move=False)
        assert store.start().address != server.address
        assert kept(store) == b"yes"


def test_a_copied_data_directory_gets_a_container_of_its_own(make: Make) -> None:
    first, copy = make("house"), make("copy")
    first.start()
    shutil.copytree(first.directory, copy.directory)
    assert copy.url == ""
    assert copy.stop() is False
    assert not copy.start().adopted
    assert copy.name != first.name
    assert first.running() is not None


def test_a_server_that_ends_at_once_is_a_sentence_that_names_its_log(
    store: DockerStore, engine: Path
) -> None:
    store.start()
    store.stop()
    data = engine / "volumes" / store.name
    shutil.rmtree(data / "appendonlydir")
    (data / "appendonlydir").write_text("not a directory")
    with pytest.raises(StoreFailed, match=f"docker logs {store.name}"):
        store.start()


def test_a_removed_store_is_gone_with_its_data_only_if_that_is_asked_for(
    store: DockerStore, engine: Path
) -> None:
    assert store.remove(data=True) is False
    store.start()
    store.stop()
    volume = engine / "volumes" / store.name
    assert store.remove(data=False)
    assert volume.exists()
    assert store.remove(data=True) is False
    assert not volume.exists()


def test_docker_that_went_away_is_said_when_the_store_shall_be_stopped(
    store: DockerStore, engine: Path
) -> None:
    store.start()
    (engine / "away").touch()
    with pytest.raises(StoreFailed, match="Docker does not answer"):
        store.stop()
    (engine / "away").unlink()
