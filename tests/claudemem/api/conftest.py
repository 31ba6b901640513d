"""Callers of the API: within this process, and over the wire of a real server."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.http import HttpResponse
from django.test import Client

from claudemem import condition, monitor
from observations import keys
from observations.models import Project, Team
from queueing import access
from tests import conformance, prepared
from tests.postgres import database_of
from tests.waiting import until

RawKey = Callable[..., str]


@dataclass(frozen=True)
class Api:
    """The API as somebody with `key` sees it; without one if it is empty.

    Each answer must be as it is documented, unless a test makes something go wrong within.
    """

    key: str = ""
    documented: bool = True

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self.call("GET", path, b"", **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.call("POST", path, content, **headers)

    def call(self, method: str, path: str, content: bytes, **headers: str) -> HttpResponse:
        """A call with `headers` given as `X_Request_Id="…"`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key:
            named["Authorization"] = f"Bearer {self.key}"
        client = Client(raise_request_exception=False)
        answer: Any = client.generic(
            method, path, content, content_type="application/json", headers=named
        )
        if self.documented:
            conformance.check(method, path, answer.status_code, answer.headers, answer.content)
        return answer  # type: ignore[no-any-return]


def told(answer: HttpResponse, status: int) -> Any:
    """The JSON of an answer that must have `status`."""
    assert answer.status_code == status, answer.content
    return json.loads(answer.content)


def refused(answer: HttpResponse, status: int, error: str) -> str:
    """The message of an answer that must be this error; of an invalid one, the paths."""
    body = told(answer, status)
    assert body["error"] == error
    if "issues" in body:
        assert all(issue["message"] for issue in body["issues"])
        return " ".join(".".join(map(str, issue["path"])) for issue in body["issues"])
    return str(body["message"])


@pytest.fixture
def raw_key(team: Team) -> RawKey:
    """raw_key("a:b", …, project=…): a fresh key of the team with these scopes, `*` if none."""

    def _raw_key(*scopes: str, project: Project | None = None, owner: Team | None = team) -> str:
        return keys.create("test", scopes or ("*",), team=owner, project=project).raw

    return _raw_key


@pytest.fixture
def api(raw_key: RawKey) -> Api:
    """The API with a key of the team."""
    return Api(raw_key())


@pytest.fixture
def asked_anew(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Health is asked anew each time, with patience for a busy machine, and answers are awaited."""
    monitor.forget()
    condition.forget()
    asked = (
        monitor._store, monitor._fitness, monitor._table, monitor._open, monitor._jobs
    )  # fmt: skip
    monkeypatch.setattr(monitor, "STARTED", time.monotonic() - 10_000)
    for question in (*asked, condition._known, condition._accepting):
        monkeypatch.setattr(question, "_keep", -1.0)
        monkeypatch.setattr(question, "_patience", 30.0)
    yield
    monitor.forget()
    condition.forget()


@pytest.fixture
def event(project: Project) -> dict[str, Any]:
    """An event's body with nothing but what it needs."""
    return {
        "projectId": project.id,
        "sourceType": "api",
        "eventType": "tool_use",
        "occurredAtEpoch": 1_700_000_000_123,
        "payload": {"tool_name": "Bash", "tool_input": {"command": "ls"}},
    }


@dataclass(frozen=True)
class Server:
    """A server in a process of its own, with a data directory of its own."""

    url: str
    port: int
    key: str
    project_id: str
    data_dir: Path

    def client(self, **headers: str) -> httpx.Client:
        hooks = {"response": [conformance.check_response]}
        return httpx.Client(
            base_url=self.url, headers=headers, timeout=30.0, trust_env=False, event_hooks=hooks
        )


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data_dir = tmp_path_factory.mktemp("server") / "data"
    prepared.copied_to(data_dir)
    port = access.free_port()
    environment = (
        os.environ
        | database_of(data_dir)
        | {
            "CLAUDE_MEM_DATA_DIR": str(data_dir),
            "CLAUDE_MEM_SERVER_PORT": str(port),
            "CLAUDE_MEM_WAIT_SECONDS": "0.3",
            "CLAUDE_MEM_LOCAL_PROJECT": "default",
            "CLAUDE_MEM_DATABASE_TIMEOUT": "2",
        }
    )
    made = json.loads(_run(environment, "api-key", "create", "--scope", "*"))
    url = f"http://127.0.0.1:{port}"
    with open(data_dir / "web.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "claudemem", "web"], env=environment, stdout=log, stderr=log
        )
    try:
        until(lambda: _is_healthy(url, process))
        yield Server(url, port, made["key"], made["projectId"], data_dir)
    finally:
        process.terminate()
        process.wait(60)


def _run(environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "-m", "claudemem", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def _is_healthy(url: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the server did not start"
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).is_success
    except httpx.TransportError:
        return False
