"""What the end-to-end script of claude-mem asks of a server, in its order."""

import json
import socket
import subprocess
import time
from typing import Any
from uuid import uuid4

import pytest

from tests.contracts.conftest import Wire, refused, told
from tests.stack import CELERY

pytestmark = pytest.mark.stack


def test_it_is_alive_and_ready(wire: Wire) -> None:
    assert told(wire.as_().get("/healthz"), 200) == {"status": "ok", "runtime": "server-beta"}
    assert told(wire.as_().get("/api/readiness"), 200)["status"] == "ready"


def test_health_names_the_queue_by_its_old_name_and_the_store_as_well(wire: Wire) -> None:
    queue = told(wire.as_().get("/api/health"), 200)["queue"]
    assert (queue["engine"], queue["redis"]["status"]) == ("bullmq", "ok")


def test_info_says_that_database_and_queue_are_active(wire: Wire) -> None:
    info = told(wire.as_().get("/v1/info"), 200)
    assert info["runtime"] == "server-beta"
    assert info["postgres"]["initialized"] is True
    assert info["boundaries"]["queueManager"]["status"] == "active"


def test_the_queue_store_answers_a_raw_ping(wire: Wire) -> None:
    assert wire.stack.engine == CELERY
    known = wire.stack.store_access()
    with socket.create_connection(("127.0.0.1", known.port), timeout=10) as store:
        store.sendall(f"AUTH {known.password}\r\nPING\r\n".encode())
        said = b""
        while said.count(b"\r\n") < 2:
            said += store.recv(100)
    assert said == b"+OK\r\n+PONG\r\n"


@pytest.mark.parametrize(
    ("key", "status", "error"),
    [("", 401, "Unauthorized"), ("cmem_unknown", 403, "Forbidden"), ("reader", 403, "Forbidden")],
    ids=["no key", "an unknown key", "a key that only reads"],
)
def test_a_session_is_refused_before_its_body_is_looked_at(
    wire: Wire, key: str, status: int, error: str
) -> None:
    assert refused(wire.as_(key).post("/v1/sessions/start", {}), status, error)


def test_a_full_key_goes_through_a_session_from_start_to_end(wire: Wire) -> None:
    one = wire.one
    body = {"projectId": wire.project, "contentSessionId": uuid4().hex}
    session = told(
        one.post("/v1/sessions/start", body | {"platformSource": "docker-e2e"}), 201
    )["session"]  # fmt: skip
    assert session["id"]
    assert session["projectId"] == wire.project
    event = wire.event(serverSessionId=session["id"], memorySessionId=uuid4().hex)
    waited = told(one.post("/v1/events?wait=true", event), 201)
    assert waited["event"]["id"]
    assert waited["generationJob"]["id"]
    assert told(one.get(f"/v1/events/{waited['event']['id']}"), 200)
    assert told(one.get(f"/v1/jobs/{waited['generationJob']['id']}"), 200)
    assert told(one.post(f"/v1/sessions/{session['id']}/end"), 200)


def test_an_event_that_is_waited_for_has_its_job_although_nobody_works_it(wire: Wire) -> None:
    begun = time.monotonic()
    waited = wire.unworked("?wait=true")
    assert time.monotonic() - begun < 30
    assert waited["event"]["id"]
    assert waited["generationJob"]["status"] == "queued"
    assert waited["waitTimedOut"] is True


def test_a_made_key_is_printed_with_its_id_and_project(wire: Wire) -> None:
    made = _create(wire)
    assert made["key"].startswith("cmem_")
    assert made["id"]
    assert made["projectId"]
    # The script makes one key after the other and expects all of them in one project.
    assert _create(wire)["projectId"] == made["projectId"]


def test_a_revoked_key_stays_refused_after_a_restart_and_all_else_goes_on(wire: Wire) -> None:
    made = _create(wire)
    with_it = wire.as_(made["key"])
    body = {"projectId": made["projectId"]}
    assert told(with_it.post("/v1/sessions/start", body), 201)
    assert wire.stack.cli("api-key", "revoke", made["id"])
    assert refused(with_it.post("/v1/sessions/start", body), 403, "Forbidden")
    with pytest.raises(subprocess.CalledProcessError):
        wire.stack.cli("api-key", "revoke", made["id"])
    wire.stack.end()
    wire.stack.start()
    assert refused(with_it.post("/v1/sessions/start", body), 403, "Forbidden")
    assert wire.session(contentSessionId=uuid4().hex)["id"]
    assert wire.captured("?wait=true")["generationJob"]["id"]


def _create(wire: Wire) -> dict[str, Any]:
    scopes = "memories:read,memories:write"
    made: dict[str, Any] = json.loads(
        wire.stack.cli("api-key", "create", "--name", "e2e", "--scope", scopes)
    )
    return made
