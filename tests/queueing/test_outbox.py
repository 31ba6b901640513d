"""What stands in the rows of jobs that were enqueued, however many came together."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F

from queueing import kinds, outbox
from queueing.kinds import Kind
from queueing.models import GenerationJob, GenerationJobEvent, Lane
from queueing.outbox import Enqueued, NewJob

pytestmark = pytest.mark.django_db

# What no two jobs, or no two lanes, have in common.
OWN = {"id", "queue_job_id", "lane_id", "job_id", "key"}
TIMES = {"due_at", "created_at", "updated_at", "woken_at"}


def new(lane: str, number: int, kind: Kind = kinds.EVENT) -> NewJob:
    return NewJob(
        kind, lane, f"{lane}-{number}", f"source-{number}", "team", "project", "session",
        size=number * 40_000, covers=number * 3_000_000_000, origin={"source": "ü\n", "n": number},
    )  # fmt: skip


def enqueued(jobs: Sequence[NewJob]) -> list[Enqueued]:
    with transaction.atomic():
        return list(outbox.enqueue(jobs))


def written(row: Any) -> dict[str, Any]:
    """Its columns but for its own; of a time only whether there is one."""
    columns = {name: value for name, value in vars(row).items() if name not in {*OWN, "_state"}}
    return {name: value is not None if name in TIMES else value for name, value in columns.items()}


def rows_of(lane: str) -> list[dict[str, Any]]:
    jobs = GenerationJob.objects.filter(lane__key=lane).order_by("seq")
    history = GenerationJobEvent.objects.filter(job__lane__key=lane).order_by("job__seq", "id")
    return [written(row) for row in (*Lane.objects.filter(key=lane), *jobs, *history)]


def told(rows: Sequence[Enqueued]) -> list[tuple[int, bool]]:
    return [(row.seq, row.is_head) for row in rows]


def test_a_job_that_comes_alone_is_written_as_those_are_that_come_together() -> None:
    kinds_of = {1: kinds.SUMMARY, 2: kinds.EVENT, 3: kinds.EVENT_BATCH}

    one_by_one = [*(enqueued([new("alone", *each)])[0] for each in kinds_of.items())]
    at_once = enqueued([new("together", *each) for each in kinds_of.items()])

    assert told(one_by_one) == told(at_once) == [(1, True), (2, False), (3, False)]
    assert rows_of("alone") == rows_of("together")
    assert len(rows_of("alone")) == 1 + 3 + 3


def test_a_job_that_comes_to_an_idle_lane_is_its_head_and_gives_it_its_kind() -> None:
    for lane in ("alone", "together"):
        enqueued([new(lane, 1)])
    Lane.objects.update(head=F("tail") + 1, woken_at=None)

    alone = enqueued([new("alone", 2, kinds.SUMMARY)])
    together = enqueued([new("together", 2, kinds.SUMMARY), new("other", 1)])

    assert told(alone) == told(together[:1]) == [(2, True)]
    assert rows_of("alone") == rows_of("together")
    lane = Lane.objects.get(key="alone")
    assert (lane.kind, lane.head, lane.tail) == ("summary", 2, 2)
    assert lane.woken_at is not None


def test_the_time_of_a_job_is_told_as_it_is_stored() -> None:
    (alone,) = enqueued([new("alone", 1)])
    together = enqueued([new("together", 1), new("other", 1)])

    for row in (alone, *together):
        assert row.created_at == GenerationJob.objects.get(id=row.id).created_at
