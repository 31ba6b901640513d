"""Bodies are gathered as they come, within a bound, and whoever is late is given up."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from claudemem import arrivals
from claudemem.arrivals import SILENT_SECONDS, WHOLE_SECONDS, Arrival, Gone, Room, TooSlow

pytestmark = pytest.mark.once


class Piece:
    """What a server promises of the next piece: there when it was given, called back then."""

    def __init__(self) -> None:
        self._message: dict[str, Any] | None = None
        self._over = False
        self._heard: Callable[[Any], object] | None = None

    def add_done_callback(self, heard: Callable[[Any], object]) -> None:
        self._heard = heard

    def done(self) -> bool:
        return self._over

    def cancelled(self) -> bool:
        return self._over and self._message is None

    def result(self) -> dict[str, Any] | None:
        return self._message

    def give(self, message: dict[str, Any] | None) -> None:
        self._message, self._over = message, True
        if self._heard:
            self._heard(self)

    def cancel(self) -> None:
        self.give(None)


class Sender:
    """Gives pieces when it is told to; `begun` are those that are there at once."""

    def __init__(self, *begun: dict[str, Any]) -> None:
        self.asked: list[Piece] = []
        self._begun = deque(begun)

    def receive(self) -> Piece:
        piece = Piece()
        self.asked.append(piece)
        if self._begun:
            piece.give(self._begun.popleft())
        return piece


def said(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def gathered(sender: Sender, length: int, **options: bool) -> tuple[Arrival, list[Any]]:
    ends: list[Any] = []
    arrival = Arrival(sender.receive, length, ends.append, **options)
    arrival.begin()
    return arrival, ends


def test_a_body_is_there_once_all_of_its_length_is() -> None:
    sender = Sender(said(b"ab"))
    arrival, ends = gathered(sender, 5)
    assert ends == []
    sender.asked[1].give(said(b"cde"))
    assert (arrival.pieces, ends) == ([b"ab", b"cde"], [None])
    assert len(sender.asked) == 2


def test_one_without_a_length_is_there_when_its_sender_says_so() -> None:
    sender = Sender(said(b"ab"), said(b"", more=False))
    arrival, ends = gathered(sender, 1000)
    assert (b"".join(arrival.pieces), arrival.ended, ends) == (b"ab", True, [None])


def test_what_is_only_read_away_is_not_kept() -> None:
    arrival, ends = gathered(Sender(said(b"ab"), said(b"c", more=False)), 1000, keep=False)
    assert (arrival.pieces, ends) == ([], [None])


def test_a_sender_that_is_gone_is_told_from_one_that_is_late() -> None:
    sender = Sender({"type": "http.disconnect"})
    _, ends = gathered(sender, 5)
    assert [type(each) for each in ends] == [Gone]


@pytest.mark.parametrize(
    ("heard", "begun", "late"),
    [(0.0, 0.0, False), (SILENT_SECONDS + 1, 0.0, True), (0.0, WHOLE_SECONDS + 1, True)],
)
def test_who_is_silent_or_takes_too_long_is_given_up(
    heard: float, begun: float, late: bool
) -> None:
    sender = Sender(said(b"a"))
    arrival, ends = gathered(sender, 5)
    now = time.monotonic()
    arrival._heard, arrival._begun = now - heard, now - begun
    arrival.give_up(now)
    assert [type(each) for each in ends] == ([TooSlow] if late else [])
    assert (id(arrival) in arrivals._watched) is not late
    if not late:
        sender.asked[-1].cancel()


def test_whoever_finds_no_room_has_its_turn_when_there_is_some() -> None:
    room, let_in = Room(10), list[str]()
    room.enter(8, lambda: let_in.append("first"))
    room.enter(5, lambda: let_in.append("second"))
    room.enter(1, lambda: let_in.append("third"))  # nobody overtakes
    assert let_in == ["first"]
    room.leave(8)
    assert let_in == ["first", "second", "third"]
    room.leave(5)
    room.leave(1)
    room.enter(10, lambda: let_in.append("all of it"))
    assert let_in[-1] == "all of it"
