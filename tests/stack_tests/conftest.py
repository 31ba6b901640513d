"""Whole servers, shared as far as what is done to them allows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.stack import (
    CELERY,
    CROSSED,
    HOOK,
    SHORT_LEASES,
    STRAIGHT,
    Stack,
    payloads,
    recording,
    stack,
)

# Few threads and a slow provider: a backlog then has a middle in which things can go wrong.
SLOW = {"CLAUDE_MEM_PROVIDER_DELAY_MS": "150", "CLAUDE_MEM_WORKER_THREADS": "4"}


@dataclass(frozen=True, slots=True)
class Replayed:
    """A server that took all the recordings and is done with them, and how it answered."""

    stack: Stack
    answers: list[httpx.Response]


@pytest.fixture(scope="package", params=CROSSED)
def replayed(request: pytest.FixtureRequest) -> Iterator[Replayed]:
    """For tests that leave nothing behind."""
    with stack(engine=request.param) as running:
        answers = running.replay()
        running.wait_settled()
        yield Replayed(running, answers)


@pytest.fixture(scope="package")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """For tests that look at it, with Flower beside it. One job failed, for a reason now mended."""
    modes = tmp_path_factory.mktemp("modes")
    with stack({"CLAUDE_MEM_MODES_DIR": str(modes)}, flower=True) as running:
        running.make_key(project=None)
        _fail_a_job(running, modes / "code.json")
        running.replay()
        running.wait_settled()
        yield running


def _fail_a_job(running: Stack, mode: Path) -> None:
    """Let the first job meet a mode that cannot be read."""
    mode.write_text("{")
    for payload in payloads([recording("locks-explained")]):
        running.post(HOOK, payload)
        if running.jobs():
            break
    running.wait_settled()
    mode.unlink()


@pytest.fixture(scope="module", params=STRAIGHT)
def slow_stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """For tests that kill its processes, one after the other, and wait until it has recovered."""
    with stack({**SLOW, **SHORT_LEASES}, engine=request.param) as running:
        yield running


@pytest.fixture
def recovered(slow_stack: Stack) -> Iterator[Stack]:
    """The slow server; after the test it is complete again."""
    yield slow_stack
    slow_stack.wait_complete()
    slow_stack.wait_settled()


@pytest.fixture
def with_store(recovered: Stack) -> Stack:
    """The same, for what is about the queue store alone."""
    if recovered.engine != CELERY:
        pytest.skip("about the queue store, and this engine has none")
    return recovered
