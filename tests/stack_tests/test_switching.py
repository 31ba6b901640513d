"""A server whose engine is changed between two of its lives, with work waiting."""

from collections.abc import Iterator

import pytest

from tests.backlog import prove, send_batch
from tests.stack import CELERY, DATABASE, OPEN, SHORT_LEASES, Stack, stack
from tests.stack_tests.conftest import SLOW
from tests.waiting import until

pytestmark = pytest.mark.stack

# A call takes up to 16 jobs of a lane: it is the lanes that make it last, and so long that much is
# left when all has stopped. What the last engine is given need not last.
LASTING, AT_LAST = {"CLAUDE_MEM_PROVIDER_DELAY_MS": "1000"}, {"CLAUDE_MEM_PROVIDER_DELAY_MS": "0"}
BACKLOG = 300
AT_ONCE = 150


@pytest.fixture
def running() -> Iterator[Stack]:
    with stack({**SLOW, **SHORT_LEASES, **LASTING}, engine=CELERY) as made:
        yield made


def switch(running: Stack, engine: str) -> None:
    """Stop everything and start it with another engine, with much to do still."""
    running.end()
    assert running.jobs(OPEN) > BACKLOG / 4
    running.engine = engine
    running.start()


def send(running: Stack, jobs: int) -> None:
    # On a busy machine some of it would be done before all of it is there.
    with running.frozen("worker"):
        for _ in range(jobs // AT_ONCE):
            send_batch(running, AT_ONCE)


def test_another_engine_takes_a_backlog_over_in_both_directions(running: Stack) -> None:
    send(running, BACKLOG)
    until(lambda: running.jobs("state = 'completed'"))
    switch(running, DATABASE)
    done = running.jobs("state = 'completed'")
    send(running, AT_ONCE)
    until(lambda: running.jobs("state = 'completed'") > done)
    running.settings |= AT_LAST
    switch(running, CELERY)
    assert running.jobs() == BACKLOG + AT_ONCE
    prove(running)
