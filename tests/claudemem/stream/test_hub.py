"""How many may listen: not all of them of one team."""

import asyncio

import pytest

from claudemem.api.stream import Wish
from claudemem.stream import hub
from claudemem.stream.hub import Hub
from claudemem.stream.listening import Listener
from observations.keys import Principal

pytestmark = pytest.mark.once


def test_one_team_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "MOST_LISTENERS", 3)
    monkeypatch.setattr(hub, "MOST_OF_A_TEAM", 2)

    async def listen() -> list[tuple[bool, bool, bool]]:
        full, here = [], Hub(asyncio.Event())
        listeners = [_of(team) for team in ("a", "a", "b")]
        for listener in listeners:
            here.enter(listener)
            full.append((here.is_full_for("a"), here.is_full_for("b"), here.is_full))
        for listener in listeners:
            here.leave(listener)
        return [*full, (here.is_full_for("a"), here.is_full_for("b"), here.is_full)]

    free, one_full, all_full = (False, False, False), (True, False, False), (True, True, True)
    assert asyncio.run(listen()) == [free, one_full, all_full, free]


def _of(team: str) -> Listener:
    return Listener(Wish(Principal("key", team, None, frozenset()), team, None, frozenset()))
