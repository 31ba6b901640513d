"""Which server is the managed store's own, whatever is written about it, with real processes."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import psutil
import pytest

from queueing import access, pids
from queueing.access import Access
from queueing.managed import ManagedStore
from queueing.pids import Mark
from queueing.store import StoreFailed
from tests.servers import serving
from tests.stores import House

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
START = """
import sys; from pathlib import Path; from queueing.managed import ManagedStore
print("ready", flush=True)
sys.stdin.read()
print(ManagedStore(Path(sys.argv[1]), Path(sys.argv[2])).start().adopted)
"""


@pytest.fixture
def copy(house: House, tmp_path: Path) -> Iterator[House]:
    """A copy of the data directory of a store that runs, with the mark of its process."""
    house.start()
    copy = House(tmp_path / "copy")
    copytree(house.redis, copy.redis, ignore=ignore_patterns("redis.log"))
    assert (copy.redis / "redis.pid").exists()
    yield copy
    copy.store.stop()


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Access]:
    """A server of somebody else, with another password."""
    with serving(tmp_path) as url:
        yield Access(int(url.rpartition(":")[2].partition("/")[0]), "hidden")


def test_two_processes_that_start_at_once_get_one_server(house: House) -> None:
    words = [sys.executable, "-c", START, str(house.redis), str(house.logs)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    starters = [subprocess.Popen(words, cwd=ROOT, **pipes) for _ in range(3)]
    for starter in starters:
        assert starter.stdout.readline() == "ready\n"
    for starter in starters:
        starter.stdin.close()
    assert sorted(starter.stdout.read().strip() for starter in starters) == [
        "False", "True", "True",
    ]  # fmt: skip
    for starter in starters:
        starter.stdout.close()
        assert starter.wait(60) == 0
    assert house.log.count("Ready to accept connections") == 1


def test_a_server_whose_starter_was_killed_is_adopted_with_its_data(house: House) -> None:
    program = (
        "import os, signal; from pathlib import Path; from queueing.managed import ManagedStore;"
        f"ManagedStore(Path({str(house.redis)!r}), Path({str(house.logs)!r})).start();"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    starter = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert starter.returncode == -signal.SIGKILL
    house.push(b"message")
    assert house.start().adopted
    assert house.waiting() == 1


def test_a_server_whose_pid_file_was_lost_is_found_by_its_password(house: House) -> None:
    first = house.start()
    (house.redis / "redis.pid").unlink()
    assert house.start().pid == first.pid
    assert pids.read(house.redis / "redis.pid") == pids.mark(first.pid)


def test_the_mark_of_a_process_that_is_gone_is_left_alone(house: House) -> None:
    with subprocess.Popen(["true"]) as gone:
        mark = pids.mark(gone.pid)
    house.redis.mkdir(parents=True)
    pids.write(house.redis / "redis.pid", mark)
    assert house.store.process() is None
    assert house.store.stop() is False
    assert not house.start().adopted


def test_a_server_that_cannot_be_noted_down_is_ended_again(house: House) -> None:
    (house.redis / "redis.pid.new").mkdir(parents=True)
    before = psutil.Process().children()
    with pytest.raises(StoreFailed, match="the queue store cannot be started: "):
        house.start()
    # Nobody would find it again.
    assert psutil.Process().children() == before


@pytest.mark.parametrize("words", ["", "1", "one two three", "1 2 3 4", "\x00\xff"])
def test_a_mark_that_is_none_is_none(house: House, words: str) -> None:
    house.redis.mkdir(parents=True)
    (house.redis / "redis.pid").write_text(words)
    assert house.store.process() is None
    assert house.store.stop() is False


def test_a_foreign_process_with_the_recorded_number_is_never_signalled(house: House) -> None:
    house.start()
    house.store.stop()
    with subprocess.Popen(["sleep", "60"]) as foreign:
        token = pids.token_of(os.getpid())
        pids.write(house.redis / "redis.pid", Mark(foreign.pid, token))
        assert house.store.process() is None
        assert house.store.stop() is False
        assert not house.start().adopted
        assert foreign.poll() is None
        foreign.kill()


def test_a_port_that_a_foreign_server_took_is_left_to_it(house: House, stranger: Access) -> None:
    house.start()
    house.store.stop()
    first = house.access
    access.write(house.redis, Access(stranger.port, first.password), 128)
    assert house.store.running() is None
    with pytest.raises(StoreFailed, match=f"port {stranger.port} .* was taken by another program"):
        house.start(may_move=False)
    second = house.start()
    assert not second.adopted
    assert second.address == f"127.0.0.1:{house.access.port}"
    assert house.access.port != stranger.port
    # The stranger may have heard it from whoever looked for the store there.
    assert house.access.password != first.password
    assert not access.bindable(stranger.port)


def test_a_copied_data_directory_gets_a_server_of_its_own(house: House, copy: House) -> None:
    first, second = house.store.running(), copy.start()
    assert first is not None
    assert (second.adopted, second.pid == first.pid) == (False, False)
    assert copy.access.port != house.access.port
    assert house.store.running() == first


def test_to_stop_a_copy_leaves_the_original_running(house: House, copy: House) -> None:
    first = house.store.running()
    assert copy.store.process() is None
    assert copy.store.stop() is False
    assert house.store.running() == first


@pytest.mark.parametrize(
    "garbage",
    [b"", b"port 1\n", b"\xff\xfe\x00", b"port 99999\nrequirepass a\n",
     b"port 6379\nrequirepass " + b"0" * 64, b"port x\nrequirepass \"\n"],
)  # fmt: skip
def test_a_configuration_that_is_garbage_is_written_anew(house: House, garbage: bytes) -> None:
    house.redis.mkdir(parents=True)
    (house.redis / "redis.conf").write_bytes(garbage)
    assert house.store.url == ""
    house.start()
    assert house.access.port in access.PORTS
    with house.client() as client:
        assert client.ping()


def test_a_configuration_that_others_know_is_not_replaced_under_them(house: House) -> None:
    house.start()
    house.kill()
    (house.redis / "redis.conf").write_text("garbage")
    with pytest.raises(StoreFailed, match="can no longer be read: stop and start claudemem"):
        house.start(may_move=False)


def test_a_server_whose_configuration_was_lost_is_replaced_with_its_data(house: House) -> None:
    first = house.start()
    house.push(b"message")
    (house.redis / "redis.conf").write_text("garbage")
    second = house.start()
    assert not second.adopted
    assert not psutil.pid_exists(first.pid)
    assert house.waiting() == 1


def forget(house: House) -> None:
    """Lose both its configuration and its mark."""
    (house.redis / "redis.conf").unlink()
    (house.redis / "redis.pid").unlink()


def test_a_server_of_which_nothing_is_known_but_its_place_is_replaced_with_its_data(
    house: House,
) -> None:
    first = house.start()
    house.push(b"message")
    forget(house)
    second = house.start()
    assert (second.adopted, psutil.pid_exists(first.pid)) == (False, False)
    assert house.waiting() == 1


def test_a_server_of_which_nothing_is_known_but_its_place_can_be_stopped(house: House) -> None:
    first = house.start()
    forget(house)
    assert house.store.stop()
    assert not psutil.pid_exists(first.pid)


def test_a_server_that_hangs_and_was_not_noted_gets_no_other_beside_it(house: House) -> None:
    server = house.start()
    (house.redis / "redis.pid").unlink()
    os.kill(server.pid, signal.SIGSTOP)
    with pytest.raises(StoreFailed, match=f"kill {server.pid}"):
        house.store.start(timeout=0.1)
    assert house.store.stop(timeout=0.2)


def test_who_only_works_in_its_directory_is_no_server(house: House) -> None:
    house.start()
    house.store.stop()
    with subprocess.Popen(["sleep", "60"], cwd=house.redis / "data") as stranger:
        assert house.store.stop() is False
        assert not house.start().adopted
        assert stranger.poll() is None
        stranger.kill()


def test_a_server_that_hangs_is_named_and_can_be_stopped(house: House) -> None:
    server = house.start()
    os.kill(server.pid, signal.SIGSTOP)
    with pytest.raises(StoreFailed, match=f"kill {server.pid}"):
        house.store.start(timeout=0.1)
    assert house.store.stop(timeout=0.2)
    assert not psutil.pid_exists(server.pid)


@contextmanager
def impostor(house: House, *said: bytes) -> Iterator[None]:
    """Somebody at the port of a store that is down, who says this to all, a part at a time."""
    over = threading.Event()

    def speak(caller: socket.socket) -> None:
        with caller, suppress(OSError):
            caller.recv(4096)
            for part in said:
                caller.sendall(part)
                over.wait(0.3)

    def serve() -> None:
        with suppress(OSError):  # the end
            while True:
                caller, _ = door.accept()
                threading.Thread(target=speak, args=(caller,)).start()

    with socket.create_server(("127.0.0.1", house.access.port)) as door:
        server = threading.Thread(target=serve)
        server.start()
        yield
        over.set()
        door.shutdown(socket.SHUT_RDWR)
    server.join()


def info(pid: int, house: House) -> bytes:
    text = (
        f"redis_version:7.0.15\r\nprocess_id:{pid}\r\nloading:0\r\n"
        f"config_file:{house.redis / 'redis.conf'}\r\n"
    )
    return f"+OK\r\n${len(text)}\r\n{text}\r\n".encode()


def test_who_sits_at_its_port_and_names_another_process_has_nobody_signalled(
    house: House,
) -> None:
    house.start()
    house.store.stop()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        with impostor(house, info(stranger.pid, house)):
            assert house.store.running() is None
            assert house.store.stop() is False
            server = house.start()
        assert not server.adopted
        assert server.address.endswith(f":{house.access.port}")
        assert stranger.poll() is None
        stranger.kill()


def test_who_sits_at_its_port_and_never_ends_is_not_listened_to_for_long(house: House) -> None:
    house.start()
    house.store.stop()
    with impostor(house, *[b"+"] * 200):
        began = time.monotonic()
        assert house.store.running() is None
        assert time.monotonic() - began < 20  # which would be a minute
    with impostor(house, b"+OK\r\n$999999999999\r\n", *[b"x" * 65_536] * 3):
        assert house.store.running() is None


def test_a_directory_that_was_moved_takes_its_running_server_along(house: House) -> None:
    first = house.start()
    house.push(b"message")
    moved = House(house.redis.parents[1] / "moved")
    moved.redis.parents[1].mkdir()
    house.redis.parent.rename(moved.redis.parent)
    try:
        second = moved.start()
        assert (second.pid, second.adopted) == (first.pid, True)
    finally:
        assert moved.store.stop()
    assert not moved.start().adopted
    assert moved.waiting() == 1
    moved.store.stop()


def test_a_server_that_its_starter_could_not_note_is_found_where_the_port_is_taken(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = house.start()
    (house.redis / "redis.pid").unlink()
    # As if it came up in the moment between the look for it and the look at its port.
    monkeypatch.setattr(ManagedStore, "_adopt", _later(ManagedStore._adopt, None))
    monkeypatch.setattr(access, "bindable", _later(access.bindable, True))
    assert house.start().pid == first.pid


def _later(usual: Callable[..., Any], first: object) -> Callable[..., Any]:
    """What does as usual, but for the first time."""
    calls = iter([lambda *_: first])
    return lambda *arguments: next(calls, usual)(*arguments)


def test_where_processes_cannot_be_told_apart_nothing_is_started(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pids, "token_of", lambda pid: "")
    with pytest.raises(StoreFailed, match="/proc is not mounted"):
        house.start()
    assert not house.redis.exists()
