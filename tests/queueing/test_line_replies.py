"""The shared connection, with stores that say the wrong thing, or say it late or twice."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import BinaryIO

import pytest
from redis.exceptions import RedisError

from claudemem import celery  # noqa: F401
from queueing import messages
from queueing.errors import QueueStoreAway
from queueing.line import Connection, Line
from tests.queueing.test_line import at, at_once, said, seconds
from tests.waiting import until

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("in_earnest")]

# What a store says to a command, given as its words.
Script = Callable[[list[bytes]], bytes]


@contextmanager
def store_that(answers: Script) -> Iterator[str]:
    """A server that speaks the store's language, and says what `answers` makes of a command."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        threading.Thread(target=_serve, args=(server, answers), daemon=True).start()
        with at(f"redis://127.0.0.1:{server.getsockname()[1]}/0"):
            yield ""
        server.shutdown(socket.SHUT_RDWR)


def _serve(server: socket.socket, answers: Script) -> None:
    with suppress(OSError):
        while True:
            one, _ = server.accept()
            threading.Thread(target=_converse, args=(one, answers), daemon=True).start()


def _converse(one: socket.socket, answers: Script) -> None:
    with suppress(OSError), one, one.makefile("rb") as heard:
        while words := _command(heard):
            one.sendall(answers(words))


def _command(heard: BinaryIO) -> list[bytes]:
    length = heard.readline()
    return [heard.read(int(heard.readline()[1:]) + 2)[:-2] for _ in range(int(length[1:] or 0))]


def well(words: list[bytes]) -> bytes:
    """What a store says that is well: a place in a queue tells by its number which."""
    said = {
        b"LPUSH": b":1\r\n",
        b"LLEN": b":%d\r\n" % len(words[-1]),
        b"ECHO": b"$%d\r\n%s\r\n" % (len(words[-1]), words[-1]),
    }
    return said.get(words[0], b"+OK\r\n")


def depths_are_right() -> bool:
    """Whether each queue is said to be as deep as its name is long; True if nothing is said."""
    try:
        told = messages.depths()
    except QueueStoreAway:
        return True
    return all(deep == len(messages.key(queue)) for queue, deep in told.items())


def test_a_reply_that_is_said_twice_is_given_to_nobody_else() -> None:
    turn = count(1)

    def twice(words: list[bytes]) -> bytes:
        times = 2 if words[0] == b"LPUSH" and not next(turn) % 40 else 1
        return well(words) * times

    def mixed() -> tuple[float, bool]:
        seconds()
        return 0.0, all(depths_are_right() and seconds()[1] for _ in range(4))

    with store_that(twice):
        until(lambda: seconds()[1])
        assert all(right for _, right in at_once(16, mixed))
        until(depths_are_right)


def test_a_reply_that_comes_too_late_is_given_to_nobody_else() -> None:
    turn = count(1)

    def late(words: list[bytes]) -> bytes:
        if words[0] == b"LPUSH" and not next(turn) % 3:
            time.sleep(0.8)
        return well(words)

    def mixed() -> tuple[float, bool]:
        for _ in range(10):
            seconds()
            if not depths_are_right():
                return 0.0, False
        return 0.0, True

    with store_that(late):
        until(lambda: seconds()[1])
        assert all(right for _, right in at_once(16, mixed))


def test_many_replies_that_each_take_a_while_are_waited_for_no_longer_than_one() -> None:
    def slowly(words: list[bytes]) -> bytes:
        time.sleep(0.4 if words[0] == b"LPUSH" else 0.0)
        return well(words)

    with store_that(slowly):
        until(messages.depths)
        started = time.monotonic()
        at_once(32)
        assert time.monotonic() - started < 5  # 32 times as long: 12.8


@pytest.mark.parametrize("nonsense", [b":many\r\n", b"$some\r\n", b"HTTP/1.1 400 Bad\r\n"])
def test_what_speaks_another_language_is_a_store_that_is_away(nonsense: bytes) -> None:
    speaks = [nonsense]

    def babble(words: list[bytes]) -> bytes:
        return speaks[0] if speaks else well(words)

    with store_that(babble):
        assert "queue store" in said()
        assert not seconds()[1]
        speaks.clear()
        until(lambda: seconds()[1])
        speaks.append(nonsense)
        assert not seconds()[1]
        speaks.clear()
        until(lambda: seconds()[1])


def test_whatever_goes_wrong_while_it_is_looked_for_the_store_is_found_later() -> None:
    faults: list[Exception] = [RecursionError(), RedisError("no"), AttributeError("none")]

    def connect() -> Connection:
        if faults:
            raise faults.pop()
        raise RedisError("still away")

    line = Line(connect, patience=0.2, rest=0.01)
    until(lambda: "still away" in _refusal(line))
    line.close()


def _refusal(line: Line) -> str:
    with pytest.raises(QueueStoreAway) as away:
        line.ask(("PING",))
    return str(away.value)


def test_where_no_thread_can_be_had_the_next_who_asks_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with store_that(well):
        with monkeypatch.context() as none_left:
            none_left.setattr(threading.Thread, "start", start)
            assert "can't start new thread" in said()
        assert seconds()[1]


def test_a_question_that_was_lost_is_not_taken_for_one_that_was_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with store_that(well):
        monkeypatch.setattr(Line, "_answer_all", lambda _: None)
        assert "interrupted" in said()
