"""A database that somebody else holds: callers are told to come back, nothing is lost."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import httpx
import pytest

from tests.postgres import on_postgresql
from tests.stack import ENGINES, HOOK, Stack, payloads, recording, stack
from tests.waiting import until

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(on_postgresql(), reason="nobody can lock a whole PostgreSQL by a file"),
]


@pytest.fixture(scope="module", params=ENGINES)
def impatient(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A server that waits for its database for a moment only."""
    with stack({"CLAUDE_MEM_DATABASE_TIMEOUT": "0.3"}, engine=request.param) as running:
        yield running


def worker_log(running: Stack) -> str:
    """Everything that the worker has said."""
    return "".join(log.read_text() for log in (running.data / "logs").glob("worker-*.log"))


@contextmanager
def locked(running: Stack) -> Iterator[None]:
    """Hold the database's write lock in this block."""
    path = running.data / "claude-mem.sqlite3"
    with closing(sqlite3.connect(path, timeout=20, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            database.execute("ROLLBACK")


def taken(running: Stack, call: dict[str, Any]) -> httpx.Response:
    """The answer to a hook that comes again until it is taken: another writer may just be slow."""

    def answered() -> httpx.Response | None:
        answer = running.post(HOOK, call)
        assert answer.status_code in (200, 503)
        return answer if answer.is_success else None

    found = until(answered)
    assert found
    return found


def test_a_locked_database_is_told_as_503_and_never_as_the_callers_fault(
    impatient: Stack,
) -> None:
    calls = payloads([recording("locks-explained")])
    event = {"projectId": impatient.project_id, "sourceType": "api", "eventType": "note",
             "occurredAtEpoch": int(time.time() * 1000), "payload": {}}  # fmt: skip
    start = {"projectId": impatient.project_id, "externalSessionId": "s"}
    with locked(impatient):
        answers = [
            impatient.post(HOOK, calls[1]),
            impatient.post("/v1/events", event),
            impatient.post("/v1/events/batch", [event, event]),
            impatient.post("/v1/sessions/start", start),
        ]
    assert [answer.status_code for answer in answers] == [503] * len(answers)
    assert all(answer.headers["Retry-After"] for answer in answers)
    assert all("locked" in answer.json()["message"] for answer in answers)
    assert impatient.count("observations_event") == 0


def test_what_was_refused_is_accepted_once_the_lock_is_gone(impatient: Stack) -> None:
    (call, *_) = [p for p in payloads() if p["hook_event_name"] == "PostToolUse"]
    with locked(impatient):
        assert impatient.post(HOOK, call).status_code == 503
    assert taken(impatient, call).headers["X-Duplicate"] == "false"
    impatient.wait_settled()


def test_a_worker_comes_back_to_what_the_lock_kept_it_from(impatient: Stack) -> None:
    calls = [p for p in payloads() if p["hook_event_name"] == "PostToolUse"][1:20]
    with ExitStack() as later:
        with impatient.frozen("worker"):
            for call in calls:
                taken(impatient, call)
            later.enter_context(locked(impatient))
        until(lambda: "database is locked" in worker_log(impatient))
    impatient.wait_settled()
    assert impatient.jobs("state <> 'completed'") == 0
