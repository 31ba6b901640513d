"""The managed queue store, with real servers."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import psutil
import pytest
import redis

from queueing import access, pids
from queueing.access import Access
from queueing.managed import ManagedStore
from queueing.store import Server, StoreFailed
from tests.waiting import until

ROOT = Path(__file__).parents[2]


class House:
    """A data directory that holds a store and nothing else."""

    def __init__(self, root: Path) -> None:
        self.redis = root / "data dir" / "redis"
        self.logs = root / "data dir" / "logs"

        self.store = ManagedStore(self.redis, self.logs)

    def start(self, *, may_move: bool = True) -> Server:
        return self.store.start(may_move=may_move)

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.store.url)

    @property
    def access(self) -> Access:
        known = access.read(self.redis)
        assert known is not None
        return known

    @property
    def log(self) -> str:
        return "".join(path.read_text() for path in self.logs.iterdir())


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.store.stop()


def kill(pid: int) -> None:
    process = pids.mark(pid)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not process.alive)
    pids.reap(pid)


@pytest.fixture
def stranger() -> Iterator[socket.socket]:
    with socket.socket() as listener:
        yield listener


def test_a_store_that_was_never_started_has_no_url(house: House) -> None:
    assert house.store.url == ""
    assert house.store.running() is None
    assert house.store.stop() is False


def test_a_started_store_answers_at_its_url_with_its_password(house: House) -> None:
    server = house.start()
    assert not server.adopted
    assert server.version.startswith("9.")
    with house.client() as client:
        assert client.ping()
        assert client.config_get("*") | {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "60 1",
            "maxmemory-policy": "noeviction",
            "protected-mode": "yes",
            "dir": str(house.redis / "data"),
        } == client.config_get("*")


def test_nobody_gets_in_without_the_password(house: House) -> None:
    house.start()
    with (
        socket.create_connection(("127.0.0.1", house.access.port), timeout=5) as connection,
        connection.makefile("rb") as replies,
    ):
        connection.sendall(b"PING\r\nAUTH wrong\r\n")
        assert replies.readline().startswith(b"-NOAUTH")
        assert replies.readline().startswith(b"-WRONGPASS")


def test_it_listens_on_loopback_alone_and_never_on_the_usual_port(house: House) -> None:
    server = house.start()
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for connection in psutil.Process(server.pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", house.access.port)}
    assert 6379 not in access.PORTS


def test_the_password_is_in_a_file_for_its_owner_and_nowhere_else(house: House) -> None:
    server = house.start()
    config = house.redis / "redis.conf"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert stat.S_IMODE(house.redis.stat().st_mode) == 0o700
    password = house.access.password
    assert len(bytes.fromhex(password)) == 32
    process = psutil.Process(server.pid)
    assert password in config.read_text()
    for place in (repr(server), str(process.cmdline()), str(process.environ()), house.log):
        assert password not in place


def test_a_second_start_adopts_the_server_that_runs(house: House) -> None:
    first, second = house.start(), house.start()
    assert (second.pid, second.adopted) == (first.pid, True)


def test_two_starts_at_once_give_one_server(house: House) -> None:
    with ThreadPoolExecutor(4) as pool:
        servers = list(pool.map(lambda _: house.start(), range(4)))
    assert len({server.pid for server in servers}) == 1
    assert sorted(server.adopted for server in servers) == [False, True, True, True]
    assert house.log.count("Ready to accept connections") == 1


def test_a_server_whose_starter_was_killed_is_adopted_with_its_data(house: House) -> None:
    program = (
        "import os, signal; from pathlib import Path; from queueing.managed import ManagedStore;"
        f"ManagedStore(Path({str(house.redis)!r}), Path({str(house.logs)!r})).start();"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    starter = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert starter.returncode == -signal.SIGKILL
    with house.client() as client:
        client.set("kept", "yes")
    assert house.start().adopted
    with house.client() as client:
        assert client.get("kept") == b"yes"


def test_a_server_whose_pid_file_was_lost_is_found_by_its_password(house: House) -> None:
    first = house.start()
    (house.redis / "redis.pid").unlink()
    assert house.start().pid == first.pid
    assert pids.read(house.redis / "redis.pid") == pids.mark(first.pid)


def test_a_killed_server_comes_back_on_its_port_with_its_password_and_data(house: House) -> None:
    first = house.start()
    with house.client() as client:
        client.set("kept", "yes")
        client.execute_command("WAITAOF", 1, 0, 2000)
    before = house.access
    kill(first.pid)
    assert house.store.process() is None
    second = house.start(may_move=False)
    assert house.access == before
    assert second.pid != first.pid
    with house.client() as client:
        assert client.get("kept") == b"yes"


def test_a_stopped_server_is_gone_and_can_be_started_again(house: House) -> None:
    first = house.start()
    assert house.store.stop()
    assert not psutil.pid_exists(first.pid)
    assert house.store.running() is None
    assert house.store.stop() is False
    assert house.start().address == first.address


def test_a_foreign_process_with_the_recorded_number_is_never_signalled(house: House) -> None:
    house.start()
    house.store.stop()
    with subprocess.Popen(["sleep", "60"]) as foreign:
        token = pids.token_of(os.getpid())
        pids.write(house.redis / "redis.pid", pids.Mark(foreign.pid, token))
        assert house.store.process() is None
        assert house.store.stop() is False
        assert not house.start().adopted
        assert foreign.poll() is None
        foreign.kill()


def test_a_taken_port_is_left_to_its_taker(house: House, stranger: socket.socket) -> None:
    house.start()
    house.store.stop()
    first = house.access
    stranger.bind(("127.0.0.1", first.port))
    stranger.listen()
    with pytest.raises(StoreFailed, match=f"port {first.port} .* was taken"):
        house.start(may_move=False)
    second = house.start()
    assert second.address == f"127.0.0.1:{house.access.port}"
    assert house.access.port != first.port
    assert house.access.password == first.password


def test_a_copied_data_directory_gets_a_server_of_its_own(house: House, tmp_path: Path) -> None:
    first = house.start()
    copy = House(tmp_path / "copy")
    copy.redis.mkdir(parents=True)
    for name in ("redis.conf", "redis.pid"):
        (copy.redis / name).write_text((house.redis / name).read_text())
    (copy.redis / "redis.pid").unlink()
    try:
        second = copy.start()
        assert (second.adopted, second.pid == first.pid) == (False, False)
        assert copy.access.port != house.access.port
    finally:
        copy.store.stop()
    assert house.store.running() is not None


def test_a_server_that_hangs_is_named_and_can_be_stopped(house: House) -> None:
    server = house.start()
    os.kill(server.pid, signal.SIGSTOP)
    with pytest.raises(StoreFailed, match=f"kill {server.pid}"):
        house.store.start(timeout=0.1)
    assert house.store.stop(timeout=0.2)
    assert not psutil.pid_exists(server.pid)


def test_a_server_that_cannot_start_is_a_sentence_that_names_its_log(house: House) -> None:
    (house.redis / "data").mkdir(parents=True)
    (house.redis / "data" / "appendonlydir").write_text("not a directory")
    with pytest.raises(StoreFailed, match=r"redis\.log"):
        house.start()
    assert house.store.process() is None


def test_its_log_is_turned_by_day_while_it_runs(house: House) -> None:
    house.start()
    house.store.turn_log(date(2031, 1, 2))
    with house.client() as client:
        client.bgsave()
    until(lambda: "Background saving started" in (house.logs / "redis-2031-01-02.log").read_text())


def test_settings_find_the_url_without_django() -> None:
    program = "import sys; from queueing import managed; sys.exit('django' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
