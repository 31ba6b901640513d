"""Two workers and a store, on which everything falls that can: nothing is lost, and order stays."""

from collections.abc import Callable
from contextlib import closing

import pytest
import redis

from tests.backlog import in_the_middle, prove, send_batch, send_hooks, tool_calls
from tests.nodes import Broker, Fleet, Setup, Worker
from tests.stack import HOOK
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


def caught(fleet: Fleet, worker: Worker) -> list[str]:
    """Stop a worker at a moment when it has something in hand: what that is."""

    def stop() -> list[str]:
        worker.kill("SIGSTOP")
        if not (held := fleet.held_by(worker)):
            worker.kill("SIGCONT")
        return held

    return until(stop)


def test_a_killed_workers_jobs_run_elsewhere_within_ten_seconds(fresh: Setup, fleet: Fleet) -> None:
    dying, survivor = fresh.worker_cluster
    in_the_middle(fleet, 500, send_batch)
    held = caught(fleet, dying)
    dying.kill()
    those = f"id IN ({', '.join('?' * len(held))})"
    undone = f"SELECT count(*) FROM queueing_generationjob WHERE {those} AND state <> 'completed'"
    until(lambda: fleet.sql(undone, *held) == [(0,)], 10)
    assert set(held) <= {job for _, job in fleet.claims_of(survivor)}
    prove(fleet)


def test_a_worker_that_is_told_to_stop_ends_well_and_costs_no_job_an_attempt(
    fresh: Setup, fleet: Fleet
) -> None:
    before = fleet.jobs("attempts > 1")
    in_the_middle(fleet, 500, send_batch)
    until(lambda: fleet.held_by(fresh.worker))
    fresh.worker.kill("SIGTERM")
    assert fresh.worker.wait_ended() == 0
    assert fleet.held_by(fresh.worker) == []
    prove(fleet)
    assert fleet.jobs("attempts > 1") == before


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


def test_a_kind_can_have_a_worker_of_its_own(fresh: Setup, fleet: Fleet) -> None:
    live, bulk = fresh.worker_cluster
    live.serve("event,upkeep")
    bulk.serve("event-batch,summary")
    live.assert_log_exists("observations are made offline")
    send_batch(fleet, 30)
    calls = tool_calls(30, sessions=5)
    for call in (*calls, {**calls[0], "hook_event_name": "SessionEnd", "reason": "other"}):
        fleet.post(HOOK, call)
    prove(fleet)
    assert {kind for kind, _ in fleet.claims_of(live)} == {"event"}
    assert {kind for kind, _ in fleet.claims_of(bulk)} == {"event-batch", "summary"}
