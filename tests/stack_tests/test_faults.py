"""Processes that die, and stores that go away, in the middle of a backlog."""

import json
import signal
import time
from collections.abc import Callable
from contextlib import closing
from shutil import rmtree
from typing import Any
from uuid import uuid4

import httpx
import pytest
import redis

from queueing.pids import mark
from tests import proofs
from tests.stack import HOOK, OPEN, Stack, payloads
from tests.waiting import until

pytestmark = pytest.mark.stack

SESSIONS = 50


def tool_calls(jobs: int, sessions: int = SESSIONS) -> list[dict[str, Any]]:
    """So many hook payloads that each make a job, spread over sessions of their own."""
    call = next(p for p in payloads() if p["hook_event_name"] == "PostToolUse")
    run = uuid4().hex
    return [{**call, "session_id": f"{run}-{number % sessions}", "tool_use_id": f"{run}-{number}"}
            for number in range(jobs)]  # fmt: skip


def send_batch(stack: Stack, jobs: int) -> None:
    """So many events in one request."""
    events = [
        {"projectId": stack.project_id, "sourceType": "hook", "eventType": "PostToolUse",
         "occurredAtEpoch": int(time.time() * 1000), "payload": call,
         "contentSessionId": call["session_id"]}
        for call in tool_calls(jobs)
    ]  # fmt: skip
    assert stack.post("/v1/events/batch", events).status_code == 201


def send_hooks(stack: Stack, jobs: int) -> None:
    """So many events, one after the other."""
    answers = [stack.post(HOOK, call) for call in tool_calls(jobs)]
    assert {answer.status_code for answer in answers} == {201}


def in_the_middle(stack: Stack, jobs: int, send: Callable[[Stack, int], None]) -> None:
    """Make a backlog, and return when some of it is done and most of it is not."""
    done = stack.jobs("state = 'completed'")
    send(stack, jobs)
    until(lambda: stack.jobs("state = 'completed'") > done)
    assert stack.jobs(OPEN) > jobs / 4


def prove(stack: Stack) -> None:
    """All completes; nothing is lost, nothing there twice, nothing out of order."""
    stack.wait_settled()
    with closing(stack.connect()) as database:
        assert proofs.violations(database) == []
    assert stack.jobs("state <> 'completed'") == 0
    entered = "observations_auditentry"
    assert stack.count(entered, "action = 'generation_job.completed'") == stack.jobs(
        "state = 'completed'"
    )
    assert stack.count(entered, "action = 'observation.created'") == stack.count(
        "observations_observation"
    )


def test_a_killed_worker_loses_nothing(recovered: Stack) -> None:
    in_the_middle(recovered, 300, send_hooks)
    recovered.wait_replaced("worker", recovered.kill("worker"))
    prove(recovered)


def test_a_killed_store_loses_nothing(recovered: Stack) -> None:
    in_the_middle(recovered, 300, send_hooks)
    recovered.wait_replaced("store", recovered.kill("store"))
    prove(recovered)


def test_a_killed_store_takes_no_worker_along(recovered: Stack) -> None:
    # Something in hand and a thread to spare: a worker that waits for messages meanwhile.
    for call in tool_calls(2, sessions=2):
        recovered.post(HOOK, call)
    until(lambda: recovered.jobs("state = 'processing'"))
    worker = recovered.pids()["worker"]
    recovered.wait_replaced("store", recovered.kill("store"))
    send_hooks(recovered, 5)
    prove(recovered)
    assert recovered.pids()["worker"] == worker


def test_a_store_whose_data_was_deleted_loses_nothing(recovered: Stack) -> None:
    in_the_middle(recovered, 500, send_batch)
    gone = mark(recovered.pids()["store"])
    recovered.kill("store")
    until(lambda: not gone.alive)
    rmtree(recovered.data / "redis" / "data")
    recovered.wait_replaced("store", gone.pid)
    prove(recovered)


def test_a_store_that_was_flushed_loses_nothing(recovered: Stack) -> None:
    in_the_middle(recovered, 500, send_batch)
    with closing(redis.Redis.from_url(recovered.store_access().url)) as store:
        store.flushall()
    prove(recovered)


def test_a_killed_web_loses_nothing_that_it_accepted(recovered: Stack) -> None:
    calls = tool_calls(60)
    accepted = [recovered.post(HOOK, call).headers["X-Event-Id"] for call in calls[:30]]
    recovered.wait_replaced("web", recovered.kill("web"))
    until(recovered.healthy)
    again = [recovered.post(HOOK, call).headers["X-Event-Id"] for call in calls]
    assert again[:30] == accepted
    prove(recovered)


def test_a_store_that_does_not_answer_delays_nobody(recovered: Stack) -> None:
    with recovered.frozen("store"):
        answers = [timed(recovered, call) for call in tool_calls(4)]
        assert {answer.headers["X-Transport"] for _, answer in answers} == {"queued_only"}
        assert {answer.status_code for _, answer in answers} == {201}
        assert max(seconds for seconds, _ in answers) < 1.0
        event = {"projectId": recovered.project_id, "sourceType": "api", "eventType": "note",
                 "occurredAtEpoch": int(time.time() * 1000), "payload": {}}  # fmt: skip
        answer = recovered.post("/v1/events", event).json()
        assert answer["generationJob"]["transport"] == "queued_only"
    prove(recovered)


def test_a_store_that_is_down_delays_nobody(recovered: Stack) -> None:
    pid = recovered.kill("store")
    seconds, answer = timed(recovered, tool_calls(1)[0])
    assert (answer.status_code, answer.headers["X-Transport"]) == (201, "queued_only")
    assert seconds < 1.0
    recovered.wait_replaced("store", pid)
    prove(recovered)


def timed(stack: Stack, call: dict[str, Any]) -> tuple[float, httpx.Response]:
    """An answer, and how many seconds it took."""
    started = time.perf_counter()
    answer = stack.post(HOOK, call)
    return time.perf_counter() - started, answer


def test_a_worker_that_stood_still_finds_its_work_done(recovered: Stack) -> None:
    in_the_middle(recovered, 200, send_hooks)
    taken = recovered.jobs("state = 'processing'")
    with recovered.frozen("worker"):
        late = f"state = 'processing' AND lease_until < {recovered.now}"
        until(lambda: recovered.jobs(late) == recovered.jobs("state = 'processing'") > 0)
    assert taken > 0
    prove(recovered)


def test_a_worker_is_stopped_gently_in_the_middle(recovered: Stack) -> None:
    in_the_middle(recovered, 200, send_hooks)
    recovered.wait_replaced("worker", recovered.kill("worker", signal.SIGTERM))
    prove(recovered)


def test_an_operators_cancel_and_retry_from_the_command_line_reach_the_worker(
    recovered: Stack,
) -> None:
    # Without beat nothing but the command itself nudges the worker.
    with recovered.frozen("beat"):
        with recovered.frozen("worker"):
            job = recovered.post(HOOK, tool_calls(1)[0]).headers["X-Job-Id"]
            assert json.loads(recovered.cli("jobs", "cancel", job))["outcome"] == "cancelled"
        # Its message stands behind that of the cancelled job.
        send_hooks(recovered, 1)
        recovered.wait_settled()
        assert json.loads(recovered.cli("jobs", "retry", job))["outcome"] == "requeued"
        until(lambda: recovered.jobs(f"state = 'completed' AND id = '{job}'") == 1)
    prove(recovered)
