"""The whole server with a model behind it: recordings in, memories out; and all that goes wrong."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from queueing.direct import moment
from tests import proofs
from tests.stack import (
    CROSSED,
    HOOK,
    IN_TRANSACTION,
    RECORDINGS,
    SOON,
    Stack,
    environment,
    payloads,
    stack,
)
from tests.stack_tests.test_privacy import found_in
from tests.standin import StandIn, running
from tests.waiting import until

pytestmark = pytest.mark.stack

KEY = "sk-the-right-one"
CONNECTIONS = 3  # a process, at most


@pytest.fixture(scope="module", params=CROSSED)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def standin(engine: str) -> Iterator[StandIn]:
    """One for each server, which counts what that one asks."""
    with running() as standin:
        yield standin


@pytest.fixture(scope="module")
def modelled(standin: StandIn, engine: str) -> Iterator[Stack]:
    """A server that asks the stand-in."""
    settings = {
        "CLAUDE_MEM_SERVER_PROVIDER": "OpenRouter",
        "CLAUDE_MEM_OPENROUTER_BASE_URL": "",
        "OPENROUTER_BASE_URL": f"{standin.url}/",
        "OPENROUTER_API_KEY": "",
        "CLAUDE_MEM_OPENROUTER_API_KEY": KEY,
        "CLAUDE_MEM_SERVER_MODEL": "a-model",
        "CLAUDE_MEM_PAUSE_SECONDS": "1",
        "CLAUDE_MEM_USAGE_METERING": "1",
        "CLAUDE_MEM_RETRY_BASE_SECONDS": "0.5",
        "CLAUDE_MEM_POSTGRES_POOL_MAX": str(CONNECTIONS),
        **SOON,
    }
    with stack(settings, engine=engine) as running:
        yield running


def status(running: Stack) -> dict[str, object]:
    command = running._command("status", "--json")
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment(running.settings)
    )
    told: dict[str, object] = json.loads(done.stdout)
    return told


def tool_calls(count: int, session: str) -> list[dict[str, Any]]:
    """So many tool calls of a session, no two the same."""
    call = next(p for p in payloads() if p["hook_event_name"] == "PostToolUse")
    return [{**call, "session_id": session, "tool_use_id": uuid4().hex} for _ in range(count)]


def send(running: Stack, *calls: dict[str, Any]) -> list[str]:
    """The jobs of these hook payloads, in order."""
    return [running.post(HOOK, call).headers["X-Job-Id"] for call in calls]


def job(running: Stack, job_id: str) -> dict[str, Any]:
    """What the API tells of a job."""
    answer = running.get(f"/v1/jobs/{job_id}")
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()["generationJob"]
    return found


def _provider(running: Stack) -> dict[str, Any]:
    """What is told of the provider; it may be a second old."""
    found: dict[str, Any] = running.get("/v1/info").json()["boundaries"]["providerRegistry"]
    return found


def test_a_refused_key_pauses_everything_until_it_is_right(
    modelled: Stack, standin: StandIn
) -> None:
    standin.key = "another"
    for number, payload in enumerate(payloads(RECORDINGS[:2])):
        modelled.post(HOOK, payload | {"session_id": f"s{number % 4}"})
    until(lambda: len(standin.requests) >= 3)
    assert len(standin.requests) < 10
    assert modelled.jobs("attempts > 1") == 0
    assert modelled.jobs("state IN ('failed', 'completed')") == 0
    assert "401" in str(status(modelled)["problems"])
    told = until(lambda: (told := _provider(modelled))["status"] == "errored" and told)
    assert "key" in told["reason"]
    standin.key = KEY
    modelled.wait_settled()
    assert modelled.jobs("attempts > 1 OR state <> 'completed'") == 0
    until(lambda: _provider(modelled)["status"] == "active")


def test_all_recordings_become_memories_and_nothing_private_is_sent(
    modelled: Stack, standin: StandIn
) -> None:
    modelled.replay()
    modelled.wait_settled()
    assert modelled.jobs("state <> 'completed'") == 0
    assert modelled.count("observations_observation", "kind = 'summary'") >= len(RECORDINGS)
    others = "CAST(metadata AS text) NOT LIKE '%openrouter%'"
    assert modelled.count("observations_observation", others) == 0
    assert "<private>" not in standin.everything
    assert found_in(standin.everything.encode()) == []
    assert modelled.search("pytest tests")


def test_what_each_call_cost_is_in_the_history_once(modelled: Stack) -> None:
    told = [proofs.details_of(details) for (details,) in modelled.sql(
        "SELECT details FROM queueing_generationjobevent WHERE event = 'completed'")]  # fmt: skip
    assert sum("inputTokens" in each for each in told) > len(RECORDINGS)
    assert {each["inputTokens"] for each in told if "inputTokens" in each} == {100}


def used(running: Stack) -> dict[str, int]:
    """What was used in this month, by kind."""
    found: dict[str, int] = running.get("/v1/usage").json()["usage"]
    return found


def test_every_call_is_entered_with_its_tokens_also_those_that_fail_and_summaries(
    modelled: Stack, standin: StandIn
) -> None:
    before, asked = used(modelled), len(standin.requests)
    standin.next = ["prose"] * 2
    send(modelled, *tool_calls(1, "used"))
    modelled.wait_settled()
    send(modelled, *tool_calls(2, "used"), {**tool_calls(1, "used")[0], "hook_event_name": "Stop"})
    modelled.wait_settled()
    now, calls = used(modelled), len(standin.requests) - asked
    assert calls >= 4
    more = {kind: now[kind] - before[kind] for kind in now}
    assert more["tokens"] == 110 * calls
    assert (more["input_tokens"], more["output_tokens"]) == (100 * calls, 10 * calls)
    assert now["observation"] == modelled.count("observations_observation")
    # Each hook, and the looks at what was used.
    assert more["request"] >= 5


@pytest.mark.parametrize("mode", ["prose", "half", "wrong types"])
def test_rubbish_is_a_dead_letter_that_says_why_and_what_stands_behind_it_goes_on(
    modelled: Stack, standin: StandIn, mode: str
) -> None:
    before, standin.next = len(standin.requests), [mode] * 4
    with modelled.frozen("worker"):
        bad, *good = send(modelled, *tool_calls(4, f"rubbish-{mode}"))
    modelled.wait_settled()
    # All of them and a repair, the first alone and a repair, and then the others.
    assert [len(request["messages"]) for request in standin.requests[before:]] == [1, 3, 1, 3, 1]
    assert job(modelled, bad)["status"] == "failed"
    why = job(modelled, bad)["lastError"]
    assert why["classification"] == "parse_error"
    assert "cannot be read, and another when asked to repair it" in why["reason"]
    assert why["reason"] in modelled.cli("jobs", "failed", "--team", "default", "--limit", "1")
    done = modelled.sql(
        """SELECT history.job_id FROM queueing_generationjobevent history
        WHERE history.event = 'completed' AND history.job_id IN (?, ?, ?) ORDER BY history.id""",
        *good,
    )
    assert [job_id for (job_id,) in done] == good


def test_a_request_to_slow_down_is_heeded_while_others_go_on(
    modelled: Stack, standin: StandIn
) -> None:
    before, standin.next = len(standin.requests), ["429"]
    (slow,) = send(modelled, *tool_calls(1, "told to slow down"))
    until(lambda: job(modelled, slow)["lastError"])
    (other,) = send(modelled, *tool_calls(1, "not told"))
    until(lambda: job(modelled, other)["status"] == "completed")
    ((state, attempts, due, tried),) = modelled.sql(
        "SELECT state, attempts, due_at, updated_at FROM queueing_generationjob WHERE id = ?", slow
    )
    assert (state, attempts) == ("queued", 1)
    # To the millisecond: the statement reads the clock once for each of the two.
    assert 120 <= round((moment(due) - moment(tried)).total_seconds(), 3) < 130
    assert "slow down" in job(modelled, slow)["lastError"]["reason"]
    assert len(standin.requests) == before + 2
    modelled.change("UPDATE queueing_generationjob SET due_at = created_at WHERE id = ?", [[slow]])
    until(lambda: job(modelled, slow)["status"] == "completed")


@pytest.mark.parametrize("mode", ["500", "broken"])
def test_trouble_on_the_way_is_tried_again_soon(
    modelled: Stack, standin: StandIn, mode: str
) -> None:
    standin.next = [mode]
    (tried,) = send(modelled, *tool_calls(1, f"trouble {mode}"))
    until(lambda: job(modelled, tried)["status"] == "completed")
    assert job(modelled, tried)["attempts"] == 2


def test_a_used_up_quota_pauses_as_a_refused_key_does(modelled: Stack, standin: StandIn) -> None:
    standin.mode = "402"
    (tried,) = send(modelled, *tool_calls(1, "poor"))
    until(lambda: "quota or credit" in str(status(modelled)["problems"]))
    standin.mode = "good"
    modelled.wait_settled()
    assert (job(modelled, tried)["status"], job(modelled, tried)["attempts"]) == ("completed", 1)


def test_calls_that_wait_hold_no_connection_to_the_database(
    modelled: Stack, standin: StandIn
) -> None:
    calls, before = 4 * CONNECTIONS, len(standin.requests)
    standin.answering.clear()
    try:
        for number in range(calls):
            send(modelled, *tool_calls(1, f"waiting-{number}"))
        until(lambda: len(standin.requests) == before + calls)
        if modelled.on_postgresql:
            until(lambda: not modelled.count("pg_stat_activity", IN_TRANSACTION))
    finally:
        standin.answering.set()
    modelled.wait_settled()
