"""Every write route while a part is away: an answer soon, that says so, and then all goes on.

PostgreSQL is stopped in tests/stack_tests/test_postgres_faults.py.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from observations import scopes
from tests.contracts.conftest import Wire, told
from tests.contracts.wire_routes import ROUTES, Route, written
from tests.postgres import on_postgresql
from tests.stack import DATABASE, HOOK, Stack
from tests.stores import Disk, mounted
from tests.waiting import until

pytestmark = pytest.mark.stack

# A second, and another for a machine that has much else to do.
SOON = 2.0
WRITES = [
    route for route in ROUTES if route.need and scopes.writes(route.need) and route.method != "GET"
]
# What changes nothing has no disk to ask: all jobs are done, and a project's key makes no project.
NOTHING_TO_DO = {"/v1/sessions/{session_id}/clear-queue": 200, "/v1/projects": 403}
SETTLED = {"job_id": 409, "key_id": 404}


def test_without_the_queue_store_every_write_is_taken_within_a_second(wire: Wire) -> None:
    with wire.stack.frozen("store"):
        for route in WRITES:
            if "project_id" in route.names:
                continue  # it would empty what others look at
            answer = _asked(wire.one.http, route, {"project_id": wire.project})
            assert answer.status_code < 500, (route, answer.text)
            assert answer.elapsed.total_seconds() < SOON, route
        event = told(wire.one.post("/v1/events", wire.event()), 201)
        assert event["generationJob"]["transport"] == "queued_only"
        until(lambda: wire.as_().get("/api/health").json()["queue"]["redis"]["status"] == "error")
    until(lambda: wire.as_().get("/api/health").status_code == 200)
    path = f"/v1/jobs/{event['generationJob']['id']}"
    until(lambda: wire.one.get(path).json()["generationJob"]["status"] == "completed")


@pytest.fixture
def disk() -> Iterator[Disk]:
    with (
        tempfile.TemporaryDirectory(prefix="claudemem-disk-") as place,
        mounted(Path(place) / "disk", megabytes=24) as disk,
    ):
        yield disk


@pytest.mark.skipif(on_postgresql(), reason="what PostgreSQL does on a full disk is its own")
def test_on_a_full_disk_every_write_is_503_within_a_second_and_goes_on_afterwards(
    disk: Disk,
) -> None:
    running = Stack(disk.root, engine=DATABASE)
    try:
        running.start()
        running.make_key()
        ids = _made(running)
        disk.fill()
        until(lambda: _hook(running).status_code == 503)
        for route in WRITES:
            answer = _asked(running.http, route, ids)
            usual = {SETTLED[name] for name in SETTLED if name in route.names}
            expected = usual or {NOTHING_TO_DO.get(route.path, 503)}
            assert answer.status_code in expected, (route, answer.text)
            assert answer.elapsed.total_seconds() < SOON, route
        assert running.get("/v1/jobs").status_code == 200
        disk.clear()
        until(lambda: _hook(running).status_code == 200)
    finally:
        running.stop()


def _made(running: Stack) -> dict[str, str]:
    """Ids of what there is, by what they are called in addresses."""
    project = running.project_id
    event = running.post("/v1/events", written(project, "first")).json()["event"]["id"]
    session = running.post("/v1/sessions/start", written(project, "second")).json()["session"]["id"]
    memory = running.post("/v1/memories", written(project, "third")).json()["memory"]["id"]
    running.wait_settled()
    (job,) = running.sql("SELECT id FROM queueing_generationjob")[0]
    return {
        "project_id": project, "event_id": event, "session_id": session, "job_id": job,
        "memory_id": memory, "observation_id": memory,
    }  # fmt: skip


def _asked(http: httpx.Client, route: Route, ids: dict[str, str]) -> httpx.Response:
    path = route.path.format(**{name: ids.get(name, "none") for name in route.names})
    body = written(ids["project_id"], f"{time.monotonic_ns()}")
    return http.request(
        route.method, path, json=[body] if path.endswith("/batch") else body,
        headers={"Accept": "application/json, text/event-stream"},
    )  # fmt: skip


def _hook(running: Stack) -> httpx.Response:
    return running.post(HOOK, {
        "session_id": "s", "hook_event_name": "PostToolUse", "cwd": "/home/dev/shop",
        "tool_use_id": f"{time.monotonic_ns()}", "tool_name": "Bash",
        "tool_input": {"command": "ls"}, "tool_response": {"stdout": "x" * 4000},
    })  # fmt: skip
