"""A whole server whose worker dies in its calls, or hangs in them: what is in hand goes on.

Its leases are long: nothing here is taken over because a lease ran out.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from queueing.direct import moment
from tests.stack import HOOK, STRAIGHT, Stack, payloads, stack
from tests.standin import StandIn, running
from tests.waiting import until

pytestmark = pytest.mark.stack

LEASE, CALL, MOST_HUNG = 60, 8, 2
POISON, INNOCENT, SLOW_HEAD = "POISONOUS", "INNOCENT", "NEVER-BEGINS"


@pytest.fixture(scope="module")
def standin() -> Iterator[StandIn]:
    with running() as standin:
        yield standin


@pytest.fixture(scope="module", params=STRAIGHT)
def asking(request: pytest.FixtureRequest, standin: StandIn) -> Iterator[Stack]:
    """A server that asks the stand-in, and gives a call eight seconds."""
    settings = {
        "CLAUDE_MEM_SERVER_PROVIDER": "openrouter",
        "OPENROUTER_BASE_URL": f"{standin.url}/",
        "OPENROUTER_API_KEY": "sk-any",
        "CLAUDE_MEM_SERVER_MODEL": "a-model",
        "CLAUDE_MEM_RETRY_BASE_SECONDS": "0.5",
        "CLAUDE_MEM_RECONCILE_SECONDS": "0.5",
        "CLAUDE_MEM_LEASE_SECONDS": str(LEASE),
        "CLAUDE_MEM_CALL_SECONDS": str(CALL),
        "CLAUDE_MEM_HUNG_CALLS": str(MOST_HUNG),
    }
    with stack(settings, engine=request.param) as running:
        yield running
        standin.marked.clear()


def send(asking: Stack, *words: str, session: str = "") -> list[str]:
    """A tool call of a session for each word, which its prompt then holds; their jobs."""
    call = next(p for p in payloads() if p["hook_event_name"] == "PostToolUse")
    session = session or uuid4().hex
    calls = (
        {**call, "session_id": session, "tool_use_id": uuid4().hex,
         "tool_input": {"command": f"echo {word}"}} for word in words
    )  # fmt: skip
    return [asking.post(HOOK, each).headers["X-Job-Id"] for each in calls]


def asked(standin: StandIn, word: str) -> int:
    """How many requests held a word."""
    return sum(word in prompt for prompt in standin.prompts)


def lines(asking: Stack, job: str) -> list[tuple[str, Any]]:
    """What became of a job, and when."""
    found = asking.sql(
        "SELECT event, created_at FROM queueing_generationjobevent WHERE job_id = ? ORDER BY id",
        job,
    )
    return [(event, moment(at)) for event, at in found]


def events(asking: Stack, job: str) -> list[str]:
    """What became of a job."""
    return [event for event, _ in lines(asking, job)]


def test_a_job_that_kills_its_worker_is_given_up_and_nothing_else_is(
    asking: Stack, standin: StandIn
) -> None:
    standin.requests.clear()
    standin.marked = {POISON: "hang", INNOCENT: "hang"}
    began, died = time.monotonic(), None
    poison, *behind = send(asking, POISON, "first behind", "second behind")
    innocent = [job for _ in range(3) for job in send(asking, INNOCENT)]
    for death in (1, 2):
        # In hand with each other twice: nobody can tell which of them it is that kills.
        until(lambda so=death: asked(standin, POISON) == so and asked(standin, INNOCENT) == 3 * so)
        worker = asking.kill("worker")
        died = died or datetime.now(UTC)
        asking.wait_replaced("worker", worker)
    # Each at its last chance: with the others beside it the next death would be theirs too.
    standin.marked[INNOCENT] = "slowly"
    until(lambda: asked(standin, POISON) == 3)
    asking.wait_replaced("worker", asking.kill("worker"))
    asking.wait_settled()
    took = time.monotonic() - began
    states = dict(asking.sql("SELECT id, state FROM queueing_generationjob"))
    assert states == {poison: "failed"} | dict.fromkeys([*behind, *innocent], "completed")
    assert events(asking, poison) == ["queued", *["processing"] * 3, "failed"]
    error = asking.get(f"/v1/jobs/{poison}").json()["generationJob"]["lastError"]
    assert error["classification"] == "worker_lost"
    assert "died or hung in each of its attempts" in error["reason"]
    assert died
    (again,) = [at for event, at in lines(asking, poison) if event == "processing"][1:2]
    back = (again - died).total_seconds()
    print(f"\n{asking.engine}: taken over in {back:.1f} s, given up in {took:.1f} s")
    assert back < LEASE / 2


def test_calls_that_hang_are_left_behind_and_a_worker_with_many_is_replaced(
    asking: Stack, standin: StandIn
) -> None:
    standin.marked = {SLOW_HEAD: "slow head"}
    standin.requests.clear()
    worker = asking.pids()["worker"]
    hanging = [job for _ in range(MOST_HUNG) for job in send(asking, SLOW_HEAD)]
    until(lambda: asked(standin, SLOW_HEAD) == MOST_HUNG)
    (beside,) = send(asking, "beside")
    until(lambda: asking.jobs(f"state = 'completed' AND id = '{beside}'"))
    until(lambda: all("retry_scheduled" in events(asking, job) for job in hanging))
    until(lambda: "calls hung of late" in asking.get("/v1/health").text)
    standin.marked.clear()
    asking.wait_replaced("worker", worker)
    asking.wait_settled()
    assert [events(asking, job)[:3] for job in hanging] == [
        ["queued", "processing", "retry_scheduled"]
    ] * MOST_HUNG
    assert asking.jobs("state = 'completed' AND attempts > 1") >= MOST_HUNG
    (said,) = asking.sql(
        "SELECT details FROM queueing_generationjobevent WHERE job_id = ? AND event = ?",
        hanging[0],
        "retry_scheduled",
    )
    assert "hung" in str(said)
    assert "2 calls hang, so this worker ends" in log_of(asking, "worker")
    assert "worker stopped with exit code 75" in asking.output.read_text()


def log_of(asking: Stack, role: str) -> str:
    """What a role has written."""
    return "".join(path.read_text() for path in sorted((asking.data / "logs").glob(f"{role}-*")))
