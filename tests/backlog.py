"""A backlog of work, so that there is a middle of it in which something can go wrong."""

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any
from uuid import uuid4

from tests import proofs
from tests.stack import HOOK, OPEN, Stack, payloads
from tests.waiting import until

SESSIONS = 50


def tool_calls(jobs: int, sessions: int = SESSIONS) -> list[dict[str, Any]]:
    """So many hook payloads that each make a job, spread over sessions of their own."""
    call = next(p for p in payloads() if p["hook_event_name"] == "PostToolUse")
    run = uuid4().hex
    return [{**call, "session_id": f"{run}-{number % sessions}", "tool_use_id": f"{run}-{number}"}
            for number in range(jobs)]  # fmt: skip


def send_batch(stack: Stack, jobs: int, sessions: int = SESSIONS) -> None:
    """So many events in one request."""
    events = [
        {"projectId": stack.project_id, "sourceType": "hook", "eventType": "PostToolUse",
         "occurredAtEpoch": int(time.time() * 1000), "payload": call,
         "contentSessionId": call["session_id"]}
        for call in tool_calls(jobs, sessions)
    ]  # fmt: skip
    assert stack.post("/v1/events/batch", events).status_code == 201


def send_wide(stack: Stack, jobs: int) -> None:
    """A session each: that many calls, and a middle that lasts, however little goes in one call."""
    send_batch(stack, jobs, sessions=jobs)


def send_hooks(stack: Stack, jobs: int) -> None:
    """So many events, one after the other."""
    answers = [stack.post(HOOK, call) for call in tool_calls(jobs)]
    assert {answer.status_code for answer in answers} == {200}


def in_the_middle(stack: Stack, jobs: int, send: Callable[[Stack, int], None]) -> None:
    """Make a backlog, and return when some of it is done and much of it is not. Where nobody looked
    in time, and hardly any is left: another one.
    """
    until(lambda: _is_amid(stack, jobs, send))


def _is_amid(stack: Stack, jobs: int, send: Callable[[Stack, int], None]) -> bool:
    done = stack.jobs("state = 'completed'")
    send(stack, jobs)
    until(lambda: stack.jobs("state = 'completed'") > done)
    return stack.jobs(OPEN) > jobs / 4


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
