"""Lanes with jobs in them, without anything that the jobs could be about."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from django.db import transaction
from django.test import override_settings

from queueing import broker, kinds, messages, outbox, shares
from queueing.debts import debts
from queueing.kinds import Kind
from queueing.lulls import lull
from queueing.outbox import Enqueued, NewJob
from tests.stores import House

Enqueue = Callable[..., list[Enqueued]]


@pytest.fixture(autouse=True)
def fresh_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process saw and whom it served is of no concern to the next test."""
    monkeypatch.setattr(shares, "_desk", shares.Desk())
    monkeypatch.setattr(debts, "_owed", type(debts._owed)())
    monkeypatch.setattr(lull, "_lasts", False)
    monkeypatch.setattr(lull, "_until", float("-inf"))


@pytest.fixture
def enqueue(db: None) -> Enqueue:
    """enqueue("lane", n, kind=…, size=…, team=…, project=…): n jobs at its tail, committed."""
    numbers = count()

    def _enqueue(
        lane: str = "lane",
        jobs: int = 1,
        *,
        kind: Kind = kinds.EVENT,
        size: int = 0,
        team: str = "team",
        project: str = "project",
    ) -> list[Enqueued]:
        new = [
            NewJob(kind, lane, kind.job_id(lane, str(next(numbers))), f"source-{n}", team,
                   project, size=size)
            for n in range(jobs)
        ]  # fmt: skip
        with transaction.atomic():
            return list(outbox.enqueue(new))

    return _enqueue


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would have been sent: the ids of the jobs named in messages, in order."""
    sent: list[str] = []
    for publish in ("publish", "publish_first"):
        monkeypatch.setattr(broker, publish, lambda job_id, kind: sent.append(job_id))
    return sent


@pytest.fixture
def no_thread(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """no_thread("call"): the system starts no more threads of that name; `""`, it does again."""
    start, refused = threading.Thread.start, [""]

    def refusing(thread: threading.Thread) -> None:
        if refused[0] and thread.name.startswith(refused[0]):
            raise RuntimeError("can't start new thread")
        start(thread)

    def refuse(name: str) -> None:
        refused[0] = name

    monkeypatch.setattr(threading.Thread, "start", refusing)
    return refuse


@contextmanager
def at(url: str) -> Iterator[None]:
    """Within this block the queue store is the one at `url`."""
    with override_settings(QUEUE_STORE_URL=url):
        try:
            yield
        finally:
            messages.hang_up()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A private queue store of its own, not started."""
    house = House(tmp_path)
    yield house
    house.store.stop()
