"""A database that somebody else holds: callers are told to come back, nothing is lost."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

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
    assert impatient.post(HOOK, call).headers["X-Duplicate"] == "false"
    impatient.wait_settled()


def test_a_worker_comes_back_to_what_the_lock_kept_it_from(impatient: Stack) -> None:
    calls = [p for p in payloads() if p["hook_event_name"] == "PostToolUse"][1:20]
    with impatient.frozen("worker"):
        for call in calls:
            assert impatient.post(HOOK, call).status_code == 200
    with locked(impatient):
        until(lambda: "database is locked" in worker_log(impatient))
    impatient.wait_settled()
    assert impatient.jobs("state <> 'completed'") == 0
