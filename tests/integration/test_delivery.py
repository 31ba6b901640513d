"""Celery's workers and their store, on which everything falls that can: nothing is lost.

What workers of either engine do is in `tests/contracts/engine_suite.py`.
"""

from collections.abc import Callable
from contextlib import closing

import pytest
import redis

from tests.backlog import in_the_middle, prove, send_batch, send_hooks
from tests.nodes import Broker, Fleet, Setup
from tests.waiting import until

pytestmark = pytest.mark.stack


def test_two_workers_share_the_lanes_and_keep_their_order(fresh: Setup, fleet: Fleet) -> None:
    workers = fresh.worker_cluster
    assert fresh.ready(control=True)
    until(lambda: fresh.answering() == {worker.hostname() for worker in workers})
    send_hooks(fleet, 100)
    prove(fleet)
    shares = [len(fleet.claims_of(worker)) for worker in workers]
    assert sum(shares) >= 100
    assert min(shares) > 10


def flush(broker: Broker) -> None:
    with closing(redis.Redis.from_url(broker.config()["host_url"])) as client:
        client.flushall()


def kill(broker: Broker) -> None:
    broker.kill()
    broker.restart()


@pytest.mark.parametrize("harm", [Broker.restart, kill, Broker.wipe, flush])
def test_a_store_that_goes_away_takes_nothing_and_nobody_along(
    fresh: Setup, fleet: Fleet, harm: Callable[[Broker], None]
) -> None:
    workers = fresh.answering()
    in_the_middle(fleet, 500, send_batch)
    harm(fresh.broker)
    send_hooks(fleet, 5)
    prove(fleet)
    until(lambda: fresh.answering() == workers)
