"""The running server whose wire is looked at: one for all `test_wire_*` files, and webs beside it.

A web beside it is the same program over the same database, with other settings.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.conformance import check_response
from tests.contracts.wire_world import World
from tests.stack import ROOT, Stack, environment, free_port, stack
from tests.waiting import until

# A caller that waits in vain is told so soon, and nobody is taken for one who guesses keys.
SETTINGS = {"CLAUDE_MEM_WAIT_SECONDS": "1", "CLAUDE_MEM_FAILED_CALLS_PER_MIN": "0"}


# What becomes of a job: the queue store has it, or has it later where the machine is too busy now.
SENT = {"enqueued", "queued_only"}
_LETTERS = str.maketrans("0123456789", "ghijklmnop")


class Client:
    """A caller of the server at `url` with a key, if it has one."""

    def __init__(self, url: str, key: str = "") -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.http = httpx.Client(
            base_url=url, headers=headers, timeout=60.0, trust_env=False,
            event_hooks={"response": [check_response]},
        )  # fmt: skip

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.http.get(path, headers=_dashed(headers))

    def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return self.http.post(path, json={} if body is None else body, headers=_dashed(headers))

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return self.http.request(method, path, json=body, headers=_dashed(headers))


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


class Wire:
    """A running server with the world of `wire_world` in it."""

    def __init__(self, running: Stack) -> None:
        self.stack = running
        self.world = _world(running)
        self.project = self.world.projects["one"]
        self._clients: dict[tuple[str, str], Client] = {}
        self._webs = ExitStack()
        self._beside: dict[tuple[tuple[str, str], ...], str] = {}

    def as_(self, key: str = "", url: str = "") -> Client:
        """A caller with the key of that name; with none if it is empty, else with that text."""
        raw = self.world.keys.get(key, key)
        place = (url or self.stack.url, raw)
        if place not in self._clients:
            self._clients[place] = Client(*place)
        return self._clients[place]

    @property
    def one(self) -> Client:
        """A caller with a key of project one that reads and writes."""
        return self.as_("one")

    def beside(self, **settings: str) -> str:
        """The URL of a web over the same database with these settings; of each set there is one."""
        which = tuple(sorted(settings.items()))
        if which not in self._beside:
            self._beside[which] = self._webs.enter_context(_web(self.stack, settings))
        return self._beside[which]

    def close(self) -> None:
        self._webs.close()
        for client in self._clients.values():
            client.http.close()

    # --- what is sent -----------------------------------------------------------------------------

    def event(self, **fields: Any) -> dict[str, Any]:
        """An event's body, of project one unless said, and like no other."""
        return {
            "projectId": self.project,
            "sourceType": "api",
            "eventType": "tool_use",
            "occurredAtEpoch": 1_700_000_000_000,
            "payload": {"tool_name": "Bash", "n": uuid4().hex},
            **fields,
        }

    def session(self, **fields: Any) -> dict[str, Any]:
        """What an answer tells of a session that was started with these names."""
        answer = self.one.post("/v1/sessions/start", {"projectId": self.project, **fields})
        assert answer.is_success, answer.text
        told: dict[str, Any] = answer.json()["session"]
        return told

    def captured(self, query: str = "", **fields: Any) -> dict[str, Any]:
        """What an answer tells of an event that was captured."""
        return told(self.one.post(f"/v1/events{query}", self.event(**fields)), 201)

    def unworked(self, query: str = "") -> dict[str, Any]:
        """The same of one whose job no worker takes, of the key and project `quiet`."""
        event = self.event(projectId=self.world.projects["quiet"])
        return told(self.as_("quiet").post(f"/v1/events{query}", event), 201)

    def remembered(self, content: str, **fields: Any) -> dict[str, Any]:
        """A memory that was made by hand."""
        body = {"projectId": self.project, "content": content, **fields}
        memory: dict[str, Any] = told(self.one.post("/v1/memories", body), 201)["memory"]
        return memory

    # --- what became of it ------------------------------------------------------------------------

    def rows(self, table: str, **where: str) -> int:
        """How many rows a table has whose columns have these values."""
        clause = " AND ".join(f"{column} = ?" for column in where) or "true"
        query = f"SELECT count(*) FROM {table} WHERE {clause}"
        return int(self.stack.sql(query, *where.values())[0][0])

    def entries(self, action: str, *, about: str = "") -> list[dict[str, Any]]:
        """The details of audit entries with this action, oldest first.

        They are those `about` a resource, or else those of project one.
        """
        query = "SELECT details FROM observations_auditentry WHERE action = ?"
        column, value = ("resource_id", about) if about else ("project_id", self.project)
        rows = self.stack.sql(f"{query} AND {column} = ? ORDER BY id", action, value)
        return [json.loads(row[0]) if isinstance(row[0], str) else row[0] for row in rows]


def a_word(name: str) -> str:
    """A word that no other test says, of letters alone: what is searched for is cut at numbers."""
    return f"{name}{uuid4().hex.translate(_LETTERS)}"


def told(answer: httpx.Response, status: int) -> Any:
    """The JSON of an answer that must have `status`."""
    assert answer.status_code == status, answer.text
    return answer.json()


def refused(answer: httpx.Response, status: int, error: str) -> str:
    """The message of an answer that must be this error; "" where it has none."""
    body = told(answer, status)
    assert body["error"] == error, body
    return str(body.get("message", ""))


def _world(running: Stack) -> World:
    settings = environment({**running.settings, "CLAUDE_MEM_DATA_DIR": str(running.data)})
    said = subprocess.run(
        [sys.executable, "-m", "tests.contracts.wire_world"], cwd=ROOT, text=True,
        env={**settings, "DJANGO_SETTINGS_MODULE": "claudemem.settings"},
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    return World(**json.loads(said))


@contextmanager
def _web(running: Stack, settings: dict[str, str]) -> Iterator[str]:
    port = int(settings.get("CLAUDE_MEM_SERVER_PORT") or free_port())
    named = {**running.settings, **settings, "CLAUDE_MEM_SERVER_PORT": str(port)}
    named["CLAUDE_MEM_DATA_DIR"] = str(running.data)
    said = running.home / f"web-{port}.log"
    with said.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "claudemem", "web"], cwd=ROOT, env=environment(named),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _answers(url) or process.poll() is not None)
        assert process.poll() is None, said.read_text()
        yield url
    finally:
        process.terminate()
        process.wait(60)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="package")
def wire() -> Iterator[Wire]:
    """The running server. Tests leave it as they found it, but for rows of their own."""
    with stack(SETTINGS) as running:
        wire = Wire(running)
        try:
            yield wire
        finally:
            wire.close()
