"""The queue store in a container of a real engine: what others do to it, and what befalls both."""

import os
import shlex
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from claudemem import members
from queueing import dockercli
from queueing.docker import DockerStore
from queueing.dockercli import Docker
from queueing.store import StoreFailed, StoreOutOfReach
from tests import dockers, valkey_image
from tests.dockerd import Engine
from tests.dockers import keep, kept
from tests.waiting import until

pytestmark = pytest.mark.once

Make = Callable[[str], DockerStore]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with dockers.private() as engine:
        yield engine


@pytest.fixture
def make(engine: Engine, tmp_path: Path) -> Iterator[Make]:
    yield lambda name: DockerStore(tmp_path / name / "redis", program=engine.command)
    for name in engine.say("ps", "--all", "--quiet").split():
        engine.say("rm", "--force", name)


@pytest.fixture
def store(make: Make) -> DockerStore:
    return make("house")


def commanding(folder: Path, words: str) -> str:
    """A command that is Docker's behind other words."""
    command = folder / "docker"
    command.write_text(f'#!/bin/sh\n{words} "$@"\n')
    command.chmod(0o755)
    return str(command)


def test_its_server_is_no_root_has_no_rights_and_writes_to_its_volume_alone(
    store: DockerStore, engine: Engine
) -> None:
    store.start()
    pid = engine.say("inspect", "--format", "{{.State.Pid}}", store.name)
    status = Path(f"/proc/{pid}/status").read_text()
    assert "Name:\tvalkey-server" in status  # and no shell before it, which would keep signals
    assert f"Uid:\t{valkey_image.USER}\t" in status
    assert "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    refused = engine.ask("exec", store.name, "sh", "-c", "echo > /written")
    assert b"Read-only file system" in refused.stderr
    assert engine.say("exec", store.name, "sh", "-c", "echo > /data/written") == ""


def test_docker_starts_it_again_when_it_crashes(store: DockerStore, engine: Engine) -> None:
    store.start()
    keep(store, "yes")

    def pid() -> int:
        return int(engine.say("inspect", "--format", "{{.State.Pid}}", store.name))

    first = pid()
    until(
        lambda: (
            engine.ask(
                "exec", store.name, "sh", "-c", "test -s /data/appendonlydir/*.incr.aof"
            ).returncode
            == 0
        )
    )
    os.kill(first, signal.SIGKILL)
    until(lambda: pid() not in {0, first} and store.running())
    assert store.start().adopted
    assert kept(store) == b"yes"


def test_a_container_that_somebody_removed_is_made_anew_with_its_data(
    store: DockerStore, engine: Engine
) -> None:
    store.start()
    keep(store, "yes")
    engine.say("stop", store.name)
    engine.say("rm", store.name)
    assert not store.start(may_move=False).adopted
    assert kept(store) == b"yes"


def test_a_paused_container_is_said_and_can_be_stopped(store: DockerStore, engine: Engine) -> None:
    store.start()
    engine.say("pause", store.name)
    assert store.running() is None
    with pytest.raises(StoreFailed, match=f"`docker unpause {store.name}`"):
        store.start()
    assert store.stop(timeout=1.0)
    assert store.start()


def test_a_moved_data_directory_takes_its_container_along_and_a_copied_one_does_not(
    make: Make, engine: Engine
) -> None:
    first, moved, copy = make("house"), make("elsewhere"), make("copy")
    first.start()
    keep(first, "yes")
    name = first.name
    shutil.copytree(first.directory, copy.directory)
    assert not copy.start().adopted
    shutil.rmtree(copy.directory)
    first.directory.parent.rename(moved.directory.parent)
    assert moved.start().warnings
    assert (moved.name, kept(moved), moved.start().adopted) == (name, b"yes", True)


def test_nothing_is_left_of_what_is_removed(store: DockerStore, engine: Engine) -> None:
    store.start()
    store.stop()
    assert store.remove(data=True)
    assert not engine.say("ps", "--all", "--quiet", "--filter", f"name={store.name}")
    assert not engine.say("volume", "ls", "--quiet", "--filter", f"name={store.name}")


def test_an_engine_that_died_is_said_and_waited_for(
    store: DockerStore, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "LOOK_SECONDS", 0.0)
    member = members.StoreMember(store)
    member.start()
    keep(store, "yes")
    engine.stop(signal.SIGKILL)
    until(lambda: "Docker does not answer (" in member.tend())
    with pytest.raises(StoreOutOfReach, match=f"the container {store.name} may go on"):
        store.stop()
    engine.start()
    until(lambda: "was started again" in member.tend())
    assert kept(store) == b"yes"


def test_a_user_who_may_not_is_told_so(store: DockerStore, engine: Engine, tmp_path: Path) -> None:
    nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups"
    words = f"DOCKER_HOST={engine.url} exec {nobody} {shutil.which('docker')}"
    denied = DockerStore(store.directory, program=commanding(tmp_path, words))
    with pytest.raises(StoreFailed, match=r"Docker refuses this user \(permission denied .* group"):
        denied.start()


@pytest.mark.skipif(shutil.which("docker") is None, reason="Docker's command is not installed")
def test_an_engine_that_takes_calls_and_answers_none_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dockercli, "LOOK_SECONDS", 0.5)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        words = (
            f"DOCKER_HOST=unix://{shlex.quote(str(tmp_path / 's'))} exec {shutil.which('docker')}"
        )
        store = DockerStore(tmp_path / "redis", program=commanding(tmp_path, words))
        with pytest.raises(StoreFailed, match=r"Docker does not answer \(nothing within 0.5 s\)"):
            store.start()


@pytest.mark.skipif(shutil.which("docker") is None, reason="Docker's command is not installed")
@pytest.mark.parametrize(
    ("address", "elsewhere"),
    [("ssh://ada@far.example.org", True), ("tcp://192.0.2.7:2375", True),
     ("tcp://127.0.0.1:2375", False), ("unix:///run/user/1000/docker.sock", False)],
)  # fmt: skip
def test_docker_tells_where_it_leads(tmp_path: Path, address: str, elsewhere: bool) -> None:
    command = commanding(tmp_path, f"DOCKER_HOST={address} exec {shutil.which('docker')}")
    assert Docker(command).elsewhere() == (address if elsewhere else "")
