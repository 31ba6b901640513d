"""Whole servers, shared as far as what is done to them allows."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.stack import SHORT_LEASES, Stack, stack

# Few threads and a slow provider: a backlog then has a middle in which things can go wrong.
SLOW = {"CLAUDE_MEM_PROVIDER_DELAY_MS": "150", "CLAUDE_MEM_WORKER_THREADS": "4"}


@dataclass(frozen=True, slots=True)
class Replayed:
    """A server that took all the recordings and is done with them, and how it answered."""

    stack: Stack
    answers: list[httpx.Response]


@pytest.fixture(scope="package")
def replayed() -> Iterator[Replayed]:
    """For tests that leave nothing behind."""
    with stack(flower=True) as running:
        answers = running.replay()
        running.wait_settled()
        yield Replayed(running, answers)


@pytest.fixture(scope="module")
def slow_stack() -> Iterator[Stack]:
    """For tests that kill its processes, one after the other, and wait until it has recovered."""
    with stack({**SLOW, **SHORT_LEASES}) as running:
        yield running


@pytest.fixture
def recovered(slow_stack: Stack) -> Iterator[Stack]:
    """The slow server; after the test it is complete again."""
    yield slow_stack
    slow_stack.wait_complete()
    slow_stack.wait_settled()
