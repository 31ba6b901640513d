"""A listener gets what waits for it at once, and is ended rather than waited for."""

import asyncio

import pytest

from claudemem.api.stream import Cursor, Wish
from claudemem.stream.items import Item
from claudemem.stream.listening import MOST_WAITING, PIECE, Listener, covers
from observations.journal import Place
from observations.keys import Principal

pytestmark = pytest.mark.once

ALL = frozenset({"event", "job"})


def wish(project: str | None = None, types: frozenset[str] = ALL) -> Wish:
    return Wish(Principal("key", "team", project, frozenset()), "team", project, types)


def item(sort: str = "event", team: str = "team", project: str | None = "p") -> Item:
    return Item(sort, team, project, Cursor(Place(1, 1)), b"told")


def test_a_wish_covers_its_team_its_project_and_its_types() -> None:
    assert covers(wish(), item())
    assert covers(wish("p"), item())
    assert covers(wish(), item(project=None))
    assert not covers(wish(), item(team="other"))
    assert not covers(wish("q"), item())
    assert not covers(wish("q"), item(project=None))
    assert not covers(wish(types=frozenset({"job"})), item())


def test_what_waits_is_given_together_and_a_beat_only_where_nothing_does() -> None:
    async def listen() -> list[bytes]:
        listener = Listener(wish())
        listener.put(b"a")
        listener.beat(b"beat")
        listener.put(b"b")
        first = await listener.next()
        listener.beat(b"beat")
        return [first, await listener.next()]

    assert asyncio.run(listen()) == [b"ab", b"beat"]


def test_much_goes_out_in_pieces() -> None:
    async def listen() -> list[int]:
        listener = Listener(wish())
        for _ in range(5):
            listener.put(b"x" * (PIECE // 2))
        return [len(await listener.next()) for _ in range(3)]

    assert asyncio.run(listen()) == [PIECE, PIECE, PIECE // 2]


def test_one_for_whom_too_much_waits_is_ended() -> None:
    async def listen() -> bool:
        listener = Listener(wish())
        listener.telling = asyncio.create_task(asyncio.sleep(3600))
        for _ in range(4):
            listener.put(b"x" * (MOST_WAITING // 4))
        await asyncio.sleep(0)
        assert not listener.telling.cancelled()
        listener.put(b"x")
        await asyncio.wait({listener.telling})
        return listener.telling.cancelled()

    assert asyncio.run(listen())
