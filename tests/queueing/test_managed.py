"""The managed queue store, with real servers."""

import os
import socket
import stat
import subprocess
import sys
from datetime import date
from pathlib import Path

import psutil
import pytest
import redis

from queueing import access
from queueing.store import StoreFailed
from tests.stores import House
from tests.waiting import until

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]


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
        socket.create_connection(("127.0.0.1", house.access.port), timeout=60) as connection,
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


def test_a_stopped_server_is_gone_and_can_be_started_again(house: House) -> None:
    first = house.start()
    assert house.store.stop()
    assert not psutil.pid_exists(first.pid)
    assert house.store.running() is None
    assert house.store.stop() is False
    assert house.start().address == first.address


def test_its_log_is_turned_by_day_while_it_runs(house: House) -> None:
    house.start()
    house.store.turn_log(date(2031, 1, 2))
    with house.client() as client:
        client.bgsave()
    until(lambda: "Background saving started" in (house.logs / "redis-2031-01-02.log").read_text())


def test_settings_find_the_url_without_django() -> None:
    program = "import sys; from queueing import managed; sys.exit('django' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_what_is_in_redis_conf_changes_only_when_it_must(house: House) -> None:
    house.start()
    house.store.stop()
    config = house.redis / "redis.conf"
    before = config.stat().st_ino
    house.start()
    assert config.stat().st_ino == before
    house.store.stop()
    config.chmod(0o644)
    house.start()
    assert stat.S_IMODE(config.stat().st_mode) == 0o600


def test_it_says_which_server_was_asked_for_and_is_not_there(tmp_path: Path) -> None:
    house = House(tmp_path, binary=str(tmp_path / "no-server"))
    with pytest.raises(StoreFailed, match=r"CLAUDE_MEM_REDIS_BINARY names .*, which is not there"):
        house.start()
    assert house.store.url == ""


@pytest.mark.parametrize(
    "name",
    ["two  spaces", """'single' "double" \\back $HOME `x` #5""", "Gedächtnis 記憶",
     "a\nport 6379\nb\t", "deep/" + "/".join(["d" * 200] * 5)],
)  # fmt: skip
def test_whatever_its_directory_is_called(tmp_path: Path, name: str) -> None:
    house = House(tmp_path / name)
    server = house.start()
    assert server.address == f"127.0.0.1:{house.access.port}"
    assert house.start().adopted
    house.push(b"message")
    house.kill()
    assert not house.start().adopted
    assert house.waiting() == 1
    assert [path.name for path in house.logs.iterdir()] == [
        Path(os.readlink(house.redis / "redis.log")).name
    ]
    assert house.store.stop()


def test_on_windows_it_says_what_there_is_instead(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as windows:
        windows.setitem(sys.modules, "fcntl", None)
        with pytest.raises(StoreFailed, match="runs no queue store of its own on Windows"):
            house.start()


def cram(client: redis.Redis) -> None:
    for _ in range(100):
        client.lpush("kept", bytes(100_000))


def test_a_full_memory_refuses_messages_until_some_were_taken(tmp_path: Path) -> None:
    house = House(tmp_path, megabytes=3)
    house.start()
    with house.client() as client:
        with pytest.raises(redis.ResponseError, match="used memory"):
            cram(client)
        assert client.ping()
        while client.brpop(["kept"], timeout=1):
            pass
        assert client.lpush("kept", "room") == 1
    house.store.stop()
