"""Lanes with jobs in them, without anything that the jobs could be about."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from django.db import transaction

from queueing import broker, kinds, outbox
from queueing.kinds import Kind
from queueing.outbox import Enqueued, NewJob
from tests.stores import House

Enqueue = Callable[..., list[Enqueued]]


@pytest.fixture
def enqueue(db: None) -> Enqueue:
    """enqueue("lane", n, kind=…, size=…): n jobs at the lane's tail, committed."""
    numbers = count()

    def _enqueue(
        lane: str = "lane", jobs: int = 1, *, kind: Kind = kinds.EVENT, size: int = 0
    ) -> list[Enqueued]:
        new = [
            NewJob(kind, lane, kind.job_id(lane, str(next(numbers))), f"source-{n}", "team",
                   "project", size=size)
            for n in range(jobs)
        ]  # fmt: skip
        with transaction.atomic():
            return list(outbox.enqueue(new))

    return _enqueue


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would have been sent: the ids of the jobs named in messages, in order."""
    sent: list[str] = []
    monkeypatch.setattr(broker, "publish", lambda job_id, kind: sent.append(job_id))
    return sent


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A private queue store of its own, not started."""
    house = House(tmp_path)
    yield house
    house.store.stop()
