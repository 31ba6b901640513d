"""A relay passes on what comes, and nothing while it is cut."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from claudemem.drill.relay import Relay, by_socket, by_tcp

pytestmark = pytest.mark.once


def echo(listening: socket.socket) -> None:
    """Answer each with what it says, until nobody may come any more."""
    with suppress(OSError):
        while True:
            theirs, _ = listening.accept()
            threading.Thread(target=_answer, args=(theirs,), daemon=True).start()


def _answer(theirs: socket.socket) -> None:
    with theirs, suppress(OSError):
        while chunk := theirs.recv(1024):
            theirs.sendall(chunk)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=echo, args=(listening,), daemon=True).start()
        yield listening
        listening.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def relay(server: socket.socket) -> Iterator[Relay]:
    with Relay(by_tcp(*server.getsockname())) as between:
        yield between


def said(way: socket.socket, words: bytes) -> bytes:
    """What comes back for them: nothing where the way has ended."""
    way.settimeout(30)
    with suppress(ConnectionError, BrokenPipeError):
        way.sendall(words)
        return way.recv(1024)
    return b""


def connected(relay: Relay) -> socket.socket:
    return socket.create_connection(("127.0.0.1", relay.port), timeout=30)


def test_it_passes_on_what_both_say(relay: Relay) -> None:
    with connected(relay) as one, connected(relay) as two:
        assert said(one, b"one") == b"one"
        assert said(two, b"two") == b"two"
        assert said(one, b"again") == b"again"


def test_who_is_connected_is_hung_up_on_when_it_is_cut(relay: Relay) -> None:
    with connected(relay) as way:
        assert said(way, b"hello") == b"hello"
        relay.cut()
        assert way.recv(1024) == b""


def test_who_comes_while_it_is_cut_gets_nothing_and_later_all(relay: Relay) -> None:
    relay.cut()
    with connected(relay) as way:
        assert said(way, b"hello") == b""
    relay.heal()
    with connected(relay) as way:
        assert said(way, b"hello") == b"hello"


def test_it_reaches_a_socket_of_this_machine(tmp_path: Path) -> None:
    place = str(tmp_path / "socket")
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(place)
        listening.listen()
        threading.Thread(target=echo, args=(listening,), daemon=True).start()
        with Relay(by_socket(place)) as relay, connected(relay) as way:
            assert said(way, b"hello") == b"hello"
        listening.shutdown(socket.SHUT_RDWR)


def test_a_server_that_is_away_ends_only_who_came_for_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()
    with Relay(by_tcp(*free)) as relay:
        for _ in range(2):
            with connected(relay) as way:
                assert said(way, b"hello") == b""
