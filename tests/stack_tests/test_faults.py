"""A whole server of which a process dies or stands still: its supervisor is there to replace it.

What happens to nodes that nobody replaces is in `tests/integration`.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import httpx
import pytest

from tests.backlog import in_the_middle, prove, send_hooks, send_wide, tool_calls
from tests.stack import HOOK, OPEN, Stack
from tests.waiting import until

pytestmark = pytest.mark.stack


def test_a_killed_worker_loses_nothing(recovered: Stack) -> None:
    in_the_middle(recovered, 200, send_wide)
    recovered.wait_replaced("worker", recovered.kill("worker"))
    prove(recovered)


def test_a_killed_web_loses_nothing_that_it_accepted(recovered: Stack) -> None:
    calls = tool_calls(60)
    accepted = [recovered.post(HOOK, call).headers["X-Event-Id"] for call in calls[:30]]
    recovered.wait_replaced("web", recovered.kill("web"))
    until(recovered.healthy)
    again = [recovered.post(HOOK, call).headers["X-Event-Id"] for call in calls]
    assert again[:30] == accepted
    prove(recovered)


def test_a_store_that_does_not_answer_delays_nobody(with_store: Stack) -> None:
    # The machine may make one answer late, and a wait of the web's each time.
    until(lambda: captured_in_silence(with_store) < 1.0)
    prove(with_store)


def captured_in_silence(stack: Stack) -> float:
    """How long captures take at most while the store says nothing."""
    with stack.frozen("store"):
        answers = [stack.post(HOOK, call) for call in tool_calls(4)]
        assert {answer.headers["X-Transport"] for answer in answers} == {"queued_only"}
        assert {answer.status_code for answer in answers} == {200}
        event = {"projectId": stack.project_id, "sourceType": "api", "eventType": "note",
                 "occurredAtEpoch": int(time.time() * 1000), "payload": {}}  # fmt: skip
        answer = stack.post("/v1/events", event).json()
        assert answer["generationJob"]["transport"] == "queued_only"
    return max(map(seconds, answers))


def test_a_store_that_is_down_delays_nobody(with_store: Stack) -> None:
    until(lambda: captured_without(with_store) < 1.0)
    prove(with_store)


def captured_without(stack: Stack) -> float:
    """How long a capture takes while there is no store."""
    # It would be there again before a test that has to wait its turn has asked.
    with stack.unattended():
        pid = stack.kill("store")
        answer = stack.post(HOOK, tool_calls(1)[0])
    assert (answer.status_code, answer.headers["X-Transport"]) == (200, "queued_only")
    stack.wait_replaced("store", pid)
    return seconds(answer)


def seconds(answer: httpx.Response) -> float:
    """How long it took, and not how long it took to see that it is as documented."""
    return answer.elapsed.total_seconds()


def test_a_worker_that_stood_still_finds_its_work_done(recovered: Stack) -> None:
    in_the_middle(recovered, 200, send_wide)
    with at_work_frozen(recovered):
        late = f"state = 'processing' AND lease_until < {recovered.now}"
        until(lambda: recovered.jobs(late) == recovered.jobs("state = 'processing'") > 0)
    prove(recovered)


@contextmanager
def at_work_frozen(stack: Stack) -> Iterator[None]:
    """The worker stands still with jobs in hand, and not just between two of them."""
    while True:
        if not stack.jobs(OPEN):
            send_wide(stack, 200)
        with stack.frozen("worker"):
            if stack.jobs("state = 'processing'"):
                yield
                return


def operated(stack: Stack, *arguments: str) -> dict[str, Any]:
    """What came of an operator's deed within the default team."""
    told: dict[str, Any] = json.loads(stack.cli("jobs", *arguments, "--team", "default"))
    return told


def test_what_an_operator_does_on_the_command_line_reaches_the_worker(
    recovered: Stack,
) -> None:
    """It cancels and retries, pauses and resumes."""
    # Without beat nothing but the command itself nudges the worker of the Celery engine.
    with recovered.frozen("beat") if "beat" in recovered.pids() else nullcontext():
        with recovered.frozen("worker"):
            job = recovered.post(HOOK, tool_calls(1)[0]).headers["X-Job-Id"]
            assert operated(recovered, "cancel", job)["outcome"] == "cancelled"
        # Its message stands behind that of the cancelled job.
        send_hooks(recovered, 1)
        recovered.wait_settled()
        operated(recovered, "drain")
        assert operated(recovered, "retry", job)["outcome"] == "requeued"
        waits = json.loads(recovered.cli("jobs", "inspect", job, "--team", "default", "--json"))
        assert waits["waitsFor"] == f"an operator, who paused team:{waits['teamId']}"
        recovered.cli("jobs", "resume", "team:default")
        until(lambda: recovered.jobs(f"state = 'completed' AND id = '{job}'") == 1)
    prove(recovered)
