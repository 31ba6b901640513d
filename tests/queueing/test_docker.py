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

from claudemem import members
from claudemem.interrupts import Interrupts
from queueing import access, dockercli
from queueing.docker import IMAGE, DockerStore
from queueing.store import StoreFailed, StoreOutOfReach
from tests import dockers
from tests.dockers import keep, kept
from tests.waiting import until

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


def test_where_there_is_no_docker_the_other_modes_are_named(tmp_path: Path) -> None:
    store = DockerStore(tmp_path / "redis", program="no-such-docker")
    with pytest.raises(StoreFailed, match=r"there is no Docker.* managed, .* external,"):
        store.start()
    assert (store.url, store.running(), store.stop()) == ("", None, False)


@pytest.mark.skipif(shutil.which("docker") is None, reason="Docker's command is not installed")
@pytest.mark.skipif(bool(dockers.answering()), reason="Docker answers here")
def test_where_docker_does_not_answer_the_other_modes_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match=r"Docker does not answer .* managed, .* external,"):
        DockerStore(tmp_path / "redis").start()


def test_an_image_that_cannot_be_fetched_is_said(store: DockerStore, engine: Path) -> None:
    (engine / "offline").touch()
    with pytest.raises(StoreFailed, match=r"`docker pull` failed \(.*no such host\)"):
        store.start()
    assert store.running() is None


def test_what_a_start_would_fetch_is_told_before_it_does(store: DockerStore, engine: Path) -> None:
    assert store.fetches() == IMAGE
    store.start()
    assert store.fetches() == ""
    (engine / "away").touch()
    assert store.fetches() == ""
    (engine / "away").unlink()
    assert DockerStore(store.directory, program="no-such-docker").fetches() == ""


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


def test_a_moved_data_directory_takes_its_container_along(make: Make) -> None:
    store = make("house")
    store.start()
    keep(store, "yes")
    name, home = store.name, store.directory.parent
    moved = make("elsewhere")
    home.rename(moved.directory.parent)
    assert (moved.name, moved.running() is not None) == (name, True)
    server = moved.start()
    assert not server.adopted
    assert server.warnings == (
        f"this directory was {store.directory}: the container {name} of its queue store came along",
    )
    assert (moved.name, kept(moved), moved.start().warnings) == (name, b"yes", ())
    assert moved.stop()


def test_a_moved_data_directory_that_is_not_started_can_be_removed_with_its_container(
    make: Make, engine: Path
) -> None:
    store = make("house")
    store.start()
    moved = make("elsewhere")
    store.directory.parent.rename(moved.directory.parent)
    assert (moved.stop(), moved.remove(data=True)) == (True, True)
    assert not [*engine.glob("*.json"), *(engine / "volumes").iterdir()]


def test_another_way_to_the_same_directory_is_the_same_store(make: Make) -> None:
    store, other = make("house"), make("alias")
    store.start()
    other.directory.parent.symlink_to(store.directory.parent)
    server = other.start()
    assert (server.adopted, server.warnings) == (True, ())


def test_a_container_of_which_nothing_is_known_any_more_is_named(store: DockerStore) -> None:
    store.start()
    name = store.name
    (store.directory / "docker.env").unlink()
    (said,) = store.start().warnings
    assert f"docker rm --force {name}" in said
    assert store.name != name


@pytest.mark.parametrize("address", ["ssh://ada@far.example.org", "tcp://192.0.2.7:2375"])
def test_docker_of_another_machine_is_refused(
    store: DockerStore, engine: Path, address: str
) -> None:
    (engine / "address").write_text(address)
    with pytest.raises(StoreFailed, match=f"`docker` leads to {address}, .* DOCKER_HOST"):
        store.start()
    assert not [words for words in calls(engine) if words[0] in ("pull", "run")]


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
    with pytest.raises(StoreFailed, match=f"Docker does not answer .* {store.name} may go on; if"):
        store.stop()
    (engine / "away").unlink()


@pytest.mark.parametrize(
    "script", ["printf '\\377\\376garbage'; exit 1", "printf '\\377\\376' >&2; exit 1", "exit 77"]
)
def test_a_program_in_dockers_place_that_says_anything_is_a_sentence(
    tmp_path: Path, script: str
) -> None:
    program = tmp_path / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    store = DockerStore(tmp_path / "house" / "redis", program=str(program))
    with pytest.raises(StoreFailed, match="Docker does not answer"):
        store.start()


def test_a_program_that_cannot_be_run_is_a_sentence(tmp_path: Path) -> None:
    program = tmp_path / "docker"
    program.write_bytes(b"\x7fELF nonsense")
    program.chmod(0o755)
    store = DockerStore(tmp_path / "house" / "redis", program=str(program))
    with pytest.raises(StoreFailed, match=r"Docker does not answer \(Exec format error"):
        store.start()


def test_one_that_says_nothing_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(dockercli, "LOOK_SECONDS", 0.2)
    store = DockerStore(tmp_path / "house" / "redis", program=str(program))
    with pytest.raises(StoreFailed, match=r"Docker does not answer \(nothing within 0.2 s\)"):
        store.start()


@pytest.mark.parametrize(
    ("name", "value"),
    [("NUMBER", "0; true"), ("NUMBER", "--all"), ("PORT", "99999999"), ("PORT", "22"),
     ("PASSWORD", "$(true)"), ("PASSWORD", "")],
)  # fmt: skip
def test_what_we_never_wrote_is_no_store_of_ours(store: DockerStore, name: str, value: str) -> None:
    store.start()
    store.stop()
    file = store.directory / "docker.env"
    lines = file.read_text().splitlines()
    file.write_text(
        "".join(
            f"STORE_{name}={value}\n" if line.startswith(f"STORE_{name}=") else f"{line}\n"
            for line in lines
        )
    )
    assert (store.url, store.name, store.running(), store.stop()) == ("", "", None, False)


def test_whatever_its_directory_is_called(make: Make) -> None:
    store = make("a\nSTORE_PORT=6379\n'b' \"c\" \\d")
    assert not store.start().adopted
    assert store.start().adopted
    assert store.stop()


def test_a_stranger_at_its_port_learns_a_password_that_is_used_no_more(store: DockerStore) -> None:
    store.start()
    password = store.url.partition("@")[0]
    store.stop()
    with create_server(("127.0.0.1", int(store.url.rpartition(":")[2].partition("/")[0]))):
        store.start()
    assert store.url.partition("@")[0] != password


def test_what_was_never_started_is_not_stopped(store: DockerStore, engine: Path) -> None:
    store.start()
    (engine / "away").touch()
    member = members.StoreMember(store)
    with pytest.raises(StoreOutOfReach):
        member.start()
    with Interrupts() as interrupts:
        member.stop(interrupts)
    (engine / "away").unlink()
    member.start()
    (engine / "away").touch()
    with Interrupts() as interrupts, pytest.raises(StoreOutOfReach):
        member.stop(interrupts)
    (engine / "away").unlink()


def test_it_is_noticed_that_somebody_had_it_stopped(
    store: DockerStore, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "LOOK_SECONDS", 0.0)
    member = members.StoreMember(store)
    member.start()
    keep(store, "word")
    assert member.tend() == ""
    subprocess.run([engine / "docker", "stop", store.name], check=True, capture_output=True)
    assert member.tend().startswith("store was stopped; it starts again in ")
    until(lambda: member.tend().startswith("store was started again"), 60)
    assert kept(store) == b"word"
    assert member.tend() == ""


def test_without_docker_there_is_nothing_to_stop_and_it_is_said_what_may_be_left(
    store: DockerStore,
) -> None:
    store.start()
    store.stop()
    assert store.out_of_reach() == ""
    gone = DockerStore(store.directory, program="no-such-docker")
    assert gone.stop() is False
    assert gone.remove(data=True) is False
    assert store.name in gone.out_of_reach()


@pytest.mark.parametrize("name", ["docker.lock", "docker.env.new"])
def test_what_the_system_refuses_is_a_sentence(store: DockerStore, name: str) -> None:
    (store.directory / name).mkdir(parents=True)
    with pytest.raises(StoreFailed, match=f"the queue store cannot be started: .*{name}"):
        store.start()
