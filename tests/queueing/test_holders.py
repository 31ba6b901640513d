"""Who holds a port is asked before a password is said there."""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import redis
from kombu import Connection

from queueing import access, clients, holders
from queueing.access import Access, NoAnswer
from queueing.managed import ManagedStore
from queueing.transport import Transport
from tests.stores import House

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell whose a port is"),
]

ME = os.geteuid()
ANOTHER = ME + 1
PASSWORD = "5" * 64


@pytest.fixture
def door() -> Iterator[socket.socket]:
    """Somebody who takes calls; what they are told is read by the test."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)
        yield listening


def port_of(door: socket.socket) -> int:
    return int(door.getsockname()[1])


def heard(door: socket.socket) -> bytes:
    """All that the next caller said, who has hung up."""
    caller, _ = door.accept()
    with caller:
        caller.settimeout(60)
        return caller.recv(4096)


def test_a_port_is_held_by_the_user_whose_program_listens(door: socket.socket) -> None:
    assert holders.is_held_by(ME, port_of(door))
    assert not holders.is_held_by(ANOTHER, port_of(door))
    door.close()
    assert not holders.is_held_by(ME, access.free_port())


def test_a_port_is_held_too_by_who_listens_at_all_addresses() -> None:
    with socket.create_server(("", 0)) as door:
        assert holders.is_held_by(ME, port_of(door))
    if socket.has_dualstack_ipv6():
        with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as both:
            assert holders.is_held_by(ME, port_of(both))


@pytest.fixture
def stranger() -> Iterator[socket.socket]:
    """A program of another user that listens."""
    if ME != 0:
        pytest.skip("only root can be another user as well")
    os.seteuid(ANOTHER)
    try:
        listening = socket.create_server(("127.0.0.1", access.free_port()))
    finally:
        os.seteuid(ME)
    with listening:
        listening.settimeout(60)
        yield listening


def test_the_port_of_another_user_is_told_from_ours(stranger: socket.socket) -> None:
    assert holders.is_held_by(ANOTHER, port_of(stranger))
    assert not holders.is_held_by(ME, port_of(stranger))


def test_root_who_looks_at_another_users_store_calls_that_users_program_alone(
    stranger: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "ANSWER_SECONDS", 0.2)
    house = House(tmp_path)
    assert house.store.owner == ME
    house.redis.mkdir(parents=True)
    access.write(house.redis, Access(port_of(stranger), PASSWORD), 16)
    assert house.store.running() is None
    assert heard(stranger) == b""
    os.chown(house.redis.parent, ANOTHER, -1)
    assert house.store.running() is None
    assert PASSWORD.encode() in heard(stranger)


@pytest.mark.parametrize(
    ("address", "state", "ours"),
    [("0100007F", "0A", False), ("0101A8C0", "0A", True), ("0100007F", "06", True)],
    ids=["at the same place", "elsewhere", "no longer"],
)
def test_a_port_at_which_another_listens_too_is_not_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str, state: str, ours: bool
) -> None:
    """Which of them would be called is not told. A system without IPv6 has one table."""
    line = " 0: {}:0001 00000000:0000 {} 00000000:00000000 00:00000000 00000000 {} 0 1\n"
    table = tmp_path / "table"
    monkeypatch.setattr(holders, "_TABLES", (table, tmp_path / "no such table"))
    table.write_text(
        "header\n" + line.format("0100007F", "0A", ME) + line.format(address, state, ANOTHER)
    )
    assert holders.is_held_by(ME, 1) == ours


@pytest.mark.parametrize("table", ["", "no such table"], ids=["no reading it", "no table"])
def test_where_the_system_does_not_tell_whoever_is_there_is_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, table: str
) -> None:
    monkeypatch.setattr(holders, "_TABLES", (tmp_path / table,))
    assert holders.is_held_by(ANOTHER, 1)


def by_ours(port: int) -> None:
    access.ask(Access(port, PASSWORD), "INFO", ANOTHER)


def by_redis(port: int) -> None:
    url = Access(port, PASSWORD).url
    with clients.client(url, timeout=60, owner=ANOTHER) as client:
        client.ping()


def by_kombu(port: int) -> None:
    options = {"owner": ANOTHER, "socket_timeout": 5}
    url = Access(port, PASSWORD).url
    with Connection(url, transport=Transport, transport_options=options) as connection:
        connection.connect()


@pytest.mark.parametrize("call", [by_ours, by_redis, by_kombu])
def test_who_holds_the_port_of_a_store_that_is_another_users_is_told_nothing(
    door: socket.socket, call: Callable[[int], None]
) -> None:
    with pytest.raises((NoAnswer, redis.ConnectionError)):
        call(port_of(door))
    assert heard(door) == b""


@contextmanager
def of_another(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What listens within this block is not ours."""
    with monkeypatch.context() as patched:
        patched.setattr(ManagedStore, "owner", ANOTHER)
        yield


def test_a_store_is_neither_believed_nor_adopted_at_the_port_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path)
    house.start()
    with of_another(monkeypatch):
        assert house.store.running() is None
    assert house.store.running()
    assert house.store.stop()


def test_our_own_clients_get_in(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.start()
    with clients.client(house.store.url, timeout=60, owner=house.store.owner) as client:
        assert client.ping()
    known = {"transport": Transport, "transport_options": {"owner": ME}}
    with closing(Connection(house.store.url, **known)) as connection:
        assert connection.default_channel.client.ping()
    assert house.store.stop()
