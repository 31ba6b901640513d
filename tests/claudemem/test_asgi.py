"""Asynchronous applications beside Django, on one port of a real web."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from queueing import access
from tests.stack import ROOT, environment
from tests.waiting import until

pytestmark = pytest.mark.once


@dataclass(frozen=True)
class Web:
    url: str
    port: int
    home: Path
    process: subprocess.Popen[bytes]

    def raw(self, head: str) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.sendall(head.encode())
        return connection


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    home, port = tmp_path_factory.mktemp("echo"), access.free_port()
    given = environment() | {
        "CLAUDE_MEM_DATA_DIR": str(home),
        "CLAUDE_MEM_SERVER_PORT": str(port),
        "CLAUDE_MEM_WEB_THREADS": "2",
    }  # fmt: skip
    migrate = [sys.executable, "-m", "claudemem", "migrate"]
    subprocess.run(migrate, env=given, cwd=ROOT, check=True, capture_output=True)
    with open(home / "log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.claudemem.echo"], env=given, cwd=ROOT, stderr=log
        )
    web = Web(f"http://127.0.0.1:{port}", port, home, process)
    try:
        until(lambda: _answers(web.url), seconds=60)
        yield web
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").is_success
    except httpx.HTTPError:
        return False


def test_an_asynchronous_application_answers_at_its_path_alone(web: Web) -> None:
    answer = httpx.post(f"{web.url}/v1/echo", content=b"hello", headers={"X-Request-Id": "a-1"})
    assert answer.json() == {"body": "hello", "id": "a-1"}
    assert httpx.get(f"{web.url}/v1/echo/").status_code == 200
    assert httpx.put(f"{web.url}/v1/echo", content=b"").status_code == 404
    assert httpx.get(f"{web.url}/v1/echoes").status_code == 404


def test_its_answers_carry_what_every_answer_carries(web: Web) -> None:
    ours = httpx.get(f"{web.url}/v1/echo", headers={"Origin": "http://localhost:3000"}).headers
    django = httpx.get(f"{web.url}/v1/jobs", headers={"Origin": "http://localhost:3000"}).headers
    own = {"content-length", "content-type", "date", "x-request-id", "www-authenticate"}
    assert {k: v for k, v in ours.items() if k not in own} == {
        k: v for k, v in django.items() if k not in own
    }
    assert len(ours["X-Request-Id"]) == 36


def test_one_that_fails_is_an_error_of_its_own(web: Web) -> None:
    answer = httpx.get(f"{web.url}/v1/echo?fail")
    assert (answer.status_code, answer.json()["error"]) == (500, "InternalError")
    assert answer.headers["X-Request-Id"]
    assert "ValueError: as asked" in (web.home / "log").read_text()
    assert httpx.get(f"{web.url}/v1/echo").is_success


def test_a_client_that_does_not_read_is_not_sent_more_and_its_end_is_heard(web: Web) -> None:
    connection = web.raw("GET /v1/echo?flood HTTP/1.1\r\nHost: a\r\n\r\n")
    flooded = web.home / "flooded"
    until(flooded.exists)
    until(lambda: _stands_still(flooded))
    connection.close()
    until(lambda: (web.home / "gone").exists())
    assert (web.home / "gone").read_text() == "http.disconnect"


def _stands_still(flooded: Path) -> bool:
    before = flooded.stat().st_mtime_ns
    try:
        until(lambda: flooded.stat().st_mtime_ns != before, seconds=0.5)
    except AssertionError:
        return True
    return False


def test_bodies_that_do_not_end_hold_no_thread_of_two(web: Web) -> None:
    head = "POST /v1/events HTTP/1.1\r\nHost: a\r\n"
    begun = [
        *(web.raw(f"{head}Content-Length: 100\r\n\r\n{{") for _ in range(4)),
        *(web.raw(f"{head}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n") for _ in range(4)),
        *(web.raw(f"{head}Content-Length: 90000000\r\n\r\n{{") for _ in range(4)),
    ]
    try:
        assert httpx.get(f"{web.url}/readyz", timeout=30).is_success
        assert httpx.post(f"{web.url}/v1/events", content=b"{}", timeout=30).status_code == 401
    finally:
        for connection in begun:
            connection.close()


def test_what_would_last_for_ever_ends_cleanly_when_the_web_does(web: Web) -> None:
    with httpx.stream("GET", f"{web.url}/v1/echo?forever", timeout=30) as answer:
        told = answer.iter_raw()
        assert next(told) == b": begun\n\n"
        web.process.send_signal(signal.SIGTERM)
        assert b"".join(told) == b": ended\n\n"
    assert web.process.wait(60) == 0
