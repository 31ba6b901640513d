"""What holds of every answer, and what a server says of itself."""

import re
from uuid import uuid4

import pytest

from tests.contracts.conftest import Wire, refused, told
from tests.waiting import until

pytestmark = pytest.mark.stack

HARDENED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-DNS-Prefetch-Control": "off",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Origin-Agent-Cluster": "?1",
}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def test_health_is_ok_and_says_what_it_runs_on(wire: Wire) -> None:
    health = told(wire.as_().get("/api/health"), 200)
    assert health["status"] == "ok"
    assert (health["initialized"], health["mcpReady"]) == (True, True)
    assert health["pid"] == wire.stack.pids()["web"]
    assert health["platform"]
    assert health["runtime"] == "server-beta"


def test_health_is_degraded_while_the_queue_store_says_nothing(wire: Wire) -> None:
    def degraded() -> bool:
        answer = wire.as_().get("/api/health")
        return answer.status_code == 503 and answer.json()["queue"]["redis"]["status"] == "error"

    with wire.stack.frozen("store"):
        until(degraded)
    until(lambda: wire.as_().get("/api/health").status_code == 200)


def test_the_version_is_told(wire: Wire) -> None:
    assert re.match(r"\d+\.\d+", told(wire.as_().get("/api/version"), 200)["version"])


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_route_that_there_is_not_is_named_with_its_method(wire: Wire, method: str) -> None:
    said = refused(wire.one.call(method, "/v1/nothing-there?a=b"), 404, "NotFound")
    assert said == f"Cannot {method} /v1/nothing-there"


def test_an_error_is_its_name_and_a_message_and_nothing_that_is_empty(wire: Wire) -> None:
    for answer in (wire.as_().get("/v1/jobs"), wire.one.get("/v1/jobs/none")):
        assert set(answer.json()) == {"error", "message"}


def test_a_caller_names_its_request_or_it_gets_a_name(wire: Wire) -> None:
    kept = f"Mine-{uuid4().hex}_1"
    assert wire.one.get("/v1/jobs", X_Request_Id=kept).headers["X-Request-Id"] == kept
    for odd in ("-x", "a b", "a" * 65, "a/b"):
        made = wire.one.get("/v1/jobs", X_Request_Id=odd).headers["X-Request-Id"]
        assert UUID.fullmatch(made)
    assert UUID.fullmatch(wire.one.get("/v1/jobs").headers["X-Request-Id"])


def test_the_name_of_a_request_is_in_the_list_of_jobs_and_in_the_audit(wire: Wire) -> None:
    name = uuid4().hex
    assert told(wire.one.get("/v1/jobs", X_Request_Id=name), 200)["requestId"] == name
    event = told(wire.one.post("/v1/events", wire.event(), X_Request_Id=name), 201)["event"]
    (entry,) = wire.entries("event.received", about=event["id"])
    assert entry["requestId"] == name


@pytest.mark.parametrize("path", ["/healthz", "/v1/jobs", "/v1/nothing-there", "/v1/info"])
def test_every_answer_is_hardened_and_names_no_product(wire: Wire, path: str) -> None:
    headers = wire.as_().get(path).headers
    assert {name: headers[name] for name in HARDENED} == HARDENED
    assert "X-Powered-By" not in headers


def test_the_root_is_a_page_for_browsers_and_hides_no_route(wire: Wire) -> None:
    answer = wire.as_().get("/", Accept="text/html")
    assert answer.status_code in (200, 302)
    assert told(wire.as_().get("/healthz"), 200)


def test_bodies_that_are_no_json_or_too_large_are_the_callers_fault(wire: Wire) -> None:
    http = wire.one.http
    headers = {"Content-Type": "application/json"}
    assert http.post("/v1/events", content=b"{", headers=headers).status_code == 400
    large = http.post("/v1/events", content=b" " * (5 * 1024 * 1024 + 1), headers=headers)
    assert large.status_code == 413


def test_an_origin_from_elsewhere_is_not_let_in_and_is_no_fault_of_ours(wire: Wire) -> None:
    answer = wire.one.get("/v1/jobs", Origin="https://elsewhere.example")
    assert answer.status_code < 500
    assert "Access-Control-Allow-Origin" not in answer.headers
    local = wire.one.get("/v1/jobs", Origin="http://localhost:5173")
    assert local.headers["Access-Control-Allow-Origin"] == "http://localhost:5173"
