"""Kinds of jobs: what there can be, and the deterministic ids of their jobs."""

import re
from dataclasses import replace

import pytest

from queueing import kinds

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("kind", "prefix"), [(kinds.EVENT, "evt"), (kinds.EVENT_BATCH, "evb"), (kinds.SUMMARY, "sum")]
)
def test_an_id_has_the_shape_of_the_wire_contract(kind: kinds.Kind, prefix: str) -> None:
    assert re.fullmatch(f"{prefix}_[0-9a-f]{{64}}", kind.job_id("one", "two"))


def test_an_id_is_always_the_same_and_another_if_any_part_is() -> None:
    parts = ["team", "project", "source"]
    made = kinds.EVENT.job_id(*parts)
    assert made == kinds.EVENT.job_id(*parts)
    others = {kinds.EVENT.job_id(*parts[:n], "x", *parts[n + 1 :]) for n in range(3)}
    others |= {kinds.SUMMARY.job_id(*parts), kinds.EVENT.job_id(*parts[:2])}
    others |= {kinds.EVENT.job_id("teamp", "roject", "source")}
    assert len(others | {made}) == 7


def test_no_kind_is_worked_in_batches_without_a_second_attempt() -> None:
    with pytest.raises(ValueError, match="event must have two attempts or be worked one by one"):
        replace(kinds.EVENT, max_attempts=1)
    assert replace(kinds.EVENT, max_attempts=1, batch_jobs=1).batch_jobs == 1
    assert replace(kinds.EVENT, max_attempts=2).max_attempts == 2
