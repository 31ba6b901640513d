"""What only a real server can show: sockets, threads, bodies that are too long, a locked file."""

import gzip
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from tests.claudemem.api.conftest import Server
from tests.postgres import on_postgresql, shown_on_sqlite
from tests.waiting import until

MEGABYTE = 1024 * 1024
ROUTES = ["/v1/events", "/v1/hooks/claude-code"]
about_requests = shown_on_sqlite("requests and their bodies")


def _chunks(size: int) -> Iterator[bytes]:
    block = b" " * (64 * 1024)
    while size > 0:
        yield block[:size]
        size -= len(block)


def _body(size: int, chunked: bool) -> Any:
    return _chunks(size) if chunked else b" " * size


@about_requests
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("megabytes", [6, 50])
@pytest.mark.parametrize(("key", "status"), [("good", 413), ("wrong", 403), ("", 401)])
def test_a_body_that_is_too_long_is_answered_and_the_answer_arrives(
    server: Server, key: str, status: int, megabytes: int, chunked: bool
) -> None:
    headers = {"X-Api-Key": server.key if key == "good" else key} if key else {}
    with server.client(**headers) as client:
        body = _body(megabytes * MEGABYTE, chunked)
        answer = client.post("/v1/events", content=body)
        assert answer.status_code == status
        assert answer.json()["error"] in ("PayloadTooLarge", "Forbidden", "Unauthorized")
        # The connection is still good for another call.
        assert client.get("/healthz").status_code == 200


@about_requests
def test_bodies_of_strangers_that_never_end_keep_out_nobody_with_a_key(server: Server) -> None:
    head = "POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
    with ExitStack() as begun:
        for _ in range(16):
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            begun.enter_context(closing(connection)).sendall(head.encode())
        with server.client(Authorization=f"Bearer {server.key}") as client:
            body = _event(server, "x" * (4 * MEGABYTE))
            assert client.post("/v1/events", json=body).status_code == 201


@about_requests
@pytest.mark.parametrize("header", ["Content_Length: x", "X_Api_Key: {key}", "X_Forwarded_For: a"])
def test_a_header_with_underscores_passes_for_no_other(server: Server, header: str) -> None:
    asked = f"GET /v1/jobs HTTP/1.1\r\nHost: a\r\n{header.format(key=server.key)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(asked.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


@about_requests
def test_a_client_that_asks_before_it_sends_is_spared_the_sending(server: Server) -> None:
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Api-Key: {server.key}\r\n"
        f"Content-Length: {50 * MEGABYTE}\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("path", ROUTES)
def test_a_body_within_the_limit_is_read_whole(server: Server, path: str, chunked: bool) -> None:
    text = json.dumps(_hook("x" * (4 * MEGABYTE)) if "hooks" in path else _event(server, "big"))
    body = iter([text[:1000].encode(), text[1000:].encode()]) if chunked else text.encode()
    with server.client(Authorization=f"Bearer {server.key}") as client:
        assert client.post(path, content=body).is_success


@about_requests
@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    "body",
    [b"{", b"[" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b'{"a": NaN}'],
    ids=["malformed", "nested lists", "nested objects", "not a number"],
)
def test_rubbish_is_400_over_the_wire(server: Server, path: str, body: bytes) -> None:
    with server.client(Authorization=f"Bearer {server.key}") as client:
        answer = client.post(path, content=body)
        assert answer.status_code == 400
        assert answer.json()["error"] == "ValidationError"


@about_requests
def test_a_compressed_body_is_taken_and_a_bomb_is_413(server: Server) -> None:
    packed = {"Authorization": f"Bearer {server.key}", "Content-Encoding": "gzip"}
    with server.client(**packed) as client:
        body = json.dumps(_event(server, "packed")).encode()
        assert client.post("/v1/events", content=gzip.compress(body)).status_code == 201
        bomb = gzip.compress(bytes(100 * MEGABYTE), 1)
        assert client.post("/v1/events", content=bomb).status_code == 413


@about_requests
def test_head_sends_no_body(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"HEAD /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n")
    assert b"content-length: 39\r\n" in answer


@pytest.mark.skipif(on_postgresql(), reason="nobody can lock a whole PostgreSQL by a file")
def test_while_the_database_is_locked_events_are_503_and_the_rest_goes_on(server: Server) -> None:
    before = len(_reads(server))
    lock = sqlite3.connect(server.data_dir / "claude-mem.sqlite3", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    try:
        with server.client(Authorization=f"Bearer {server.key}") as client:
            answer = client.post("/v1/events", json=_event(server, "locked"))
            assert answer.status_code == 503
            assert answer.json()["error"] == "ServiceUnavailable"
            assert answer.headers["Retry-After"]
            assert client.get("/healthz").status_code == 200
            begun = time.monotonic()
            assert client.get("/v1/jobs").status_code == 200
            question = {"projectId": server.project_id, "query": "lock"}
            assert client.post("/v1/search", json=question).status_code == 200
            assert time.monotonic() - begun < 5
            assert len(_reads(server)) == before
    finally:
        lock.execute("ROLLBACK")
        lock.close()
    with server.client(Authorization=f"Bearer {server.key}") as client:
        assert client.post("/v1/events", json=_event(server, "locked")).status_code == 201
    # What was read meanwhile is entered in the audit as soon as that can be.
    until(lambda: _reads(server)[before:] == ["jobs_list", "search"])


def _reads(server: Server) -> list[str]:
    with closing(sqlite3.connect(server.data_dir / "claude-mem.sqlite3")) as database:
        rows = database.execute(
            "SELECT details ->> 'mode' FROM observations_auditentry"
            " WHERE action = 'observation.read' ORDER BY id"
        )
        return [row[0] for row in rows]


def test_those_who_wait_never_take_every_thread(server: Server) -> None:
    statuses: list[tuple[int, bool]] = []

    def wait(number: int) -> None:
        with server.client(Authorization=f"Bearer {server.key}") as client:
            answer = client.post("/v1/events?wait=true", json=_event(server, f"wait {number}"))
            statuses.append((answer.status_code, answer.json().get("waitTimedOut", False)))

    waiters = [threading.Thread(target=wait, args=(number,)) for number in range(16)]
    for waiter in waiters:
        waiter.start()
    with server.client() as client:
        started = time.monotonic()
        assert client.get("/healthz").status_code == 200
        assert time.monotonic() - started < 2
    for waiter in waiters:
        waiter.join(20)
    assert statuses == [(201, True)] * 16


def test_health_says_what_is_missing_and_readiness_that_events_are_taken(server: Server) -> None:
    with server.client() as client:
        assert client.get("/api/readiness").json() == {"status": "ready", "mcpReady": True}
        health = client.get("/api/health")
        assert (health.status_code, health.json()["status"]) == (503, "degraded")
        assert health.json()["queue"]["redis"]["status"] == "error"


def test_a_use_of_a_key_is_known_soon_and_the_key_that_is_handed_on_works(server: Server) -> None:
    with server.client(Authorization=f"Bearer {server.key}") as client:
        made = client.post("/v1/keys", json={"label": "wire"}).json()
        assert made["mcpUrl"] == f"{server.url}/v1/mcp"
        with server.client(Authorization=f"Bearer {made['apiKey']}") as reader:
            assert reader.get("/v1/jobs").status_code == 200
        about = f"/v1/keys/{made['id']}"
        until(lambda: client.get(about).json()["key"]["lastUsedAt"])
        assert client.delete(about).json()["status"] == "revoked"


def _event(server: Server, text: str) -> dict[str, Any]:
    return {
        "projectId": server.project_id,
        "sourceType": "api",
        "eventType": "note",
        "occurredAtEpoch": 1_700_000_000_000,
        "payload": {"text": text},
    }


def _hook(text: str) -> dict[str, Any]:
    return {
        "session_id": "s-1",
        "hook_event_name": "PostToolUse",
        "cwd": "/home/dev/shop",
        "tool_use_id": str(len(text)),
        "tool_response": {"stdout": text},
    }


def test_a_program_of_this_machine_gets_its_page_without_a_key_and_a_proxy_does_not(
    server: Server,
) -> None:
    with server.client() as client:
        page = client.get("/api/context/inject?projects=default")
        assert (page.status_code, page.headers["Content-Type"]) == (
            200,
            "text/plain; charset=utf-8",
        )
        assert page.text.startswith("<claude-mem-context>\n# [default] ")
        told = client.post("/api/sessions/init", json={"contentSessionId": "s-1", "prompt": "go"})
        assert (told.status_code, told.json()["promptNumber"]) == (200, 1)
        for sent in ({"X-Forwarded-For": "10.0.0.1"}, {"Host": "memory.example"}):
            refused = client.get("/api/context/inject?projects=default", headers=sent)
            assert refused.status_code == 401
        assert client.post("/api/admin/shutdown").status_code == 403
        assert client.get("/healthz").status_code == 200
