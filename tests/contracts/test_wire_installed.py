"""What `claudemem install` writes works: sessions replayed as the agent itself would run them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.claude_code import Sessions
from tests.contracts.conftest import Wire
from tests.stack import ROOT, environment, payloads, recording
from tests.waiting import until

pytestmark = pytest.mark.stack

Told = subprocess.CompletedProcess[str]
# Those that are posted for some tools alone.
ASKED = {"PreToolUse": "Read"}


class Home:
    """A user's home beside the running server."""

    def __init__(self, wire: Wire, root: Path) -> None:
        self.root, self.here = root, root / "src" / "procrastinate"
        self.here.mkdir(parents=True)
        self._wire = wire

    def run(self, *arguments: str) -> str:
        """What a command said."""
        running = self._wire.stack
        variables = {"CLAUDE_MEM_DATA_DIR": str(running.data), "HOME": str(self.root)}
        told: Told = subprocess.run(
            [sys.executable, "-m", "claudemem", *arguments], cwd=ROOT, text=True,
            env=environment({**running.settings, **variables}), capture_output=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert told.returncode == 0, told.stderr
        return told.stdout

    def server(self) -> Any:
        """The MCP server as Claude Code knows it."""
        return json.loads((self.root / ".claude.json").read_text())["mcpServers"]["claude-mem"]


@pytest.fixture(scope="module")
def home(wire: Wire, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    made = Home(wire, tmp_path_factory.mktemp("home"))
    told = made.run("install", "claude-code", "--yes")
    assert "start it with" not in told
    yield made
    key = json.loads((wire.stack.data / "client" / "config.json").read_text())["key"]
    assert "revoked" in made.run("uninstall", "claude-code", "--yes")
    assert not (made.root / ".claude").exists()
    assert wire.as_("", wire.stack.url).http.get(
        "/v1/connect", headers={"Authorization": f"Bearer {key}"}
    ).status_code == 403  # fmt: skip


def session(name: str) -> list[dict[str, Any]]:
    """The payloads of a recording, as a session of its own."""
    theirs = payloads([recording(name)])
    text, former = json.dumps(theirs), theirs[0]["session_id"]
    again: list[dict[str, Any]] = json.loads(text.replace(former, str(uuid4())))
    return again


def stored(wire: Wire, played: list[dict[str, Any]]) -> list[str]:
    """The kinds of events that a session is known to have, in order."""
    found = wire.stack.sql(
        "SELECT e.event_type FROM observations_event e "
        "JOIN observations_session s ON s.id = e.session_id "
        "WHERE s.content_session_id = ? ORDER BY e.number",
        played[0]["session_id"],
    )
    return [row[0] for row in found]


def due(played: list[dict[str, Any]]) -> list[str]:
    """The kinds of events that are to be stored of it."""
    return [
        each["hook_event_name"]
        for each in played
        if ASKED.get(each["hook_event_name"], each.get("tool_name")) == each.get("tool_name")
    ]


def arrive(wire: Wire, claude: Sessions, played: list[dict[str, Any]]) -> None:
    """Wait until what was played so far is stored: what a command had no time to send on a busy
    machine, the next one sends.
    """

    def arrived() -> bool:
        if len(stored(wire, played)) == len(due(played)):
            return True
        claude.send_rest()
        return False

    until(arrived)


def test_a_session_is_stored_whole_by_the_hooks_that_were_installed(wire: Wire, home: Home) -> None:
    played = session("retry-max-wait")
    claude = Sessions(home.root, home.here)
    for number, payload in enumerate(played, 1):
        assert len(claude.fire(payload)) == (payload["hook_event_name"] in due([payload]))
        arrive(wire, claude, played[:number])

    assert sorted(stored(wire, played)) == sorted(due(played))
    assert {"SessionStart", "UserPromptSubmit", "PostToolUse", "Stop"} < set(stored(wire, played))


def test_the_plugin_does_the_same_with_its_own_client_and_a_key_of_the_environment(
    wire: Wire, home: Home, tmp_path: Path
) -> None:
    home.run("plugin", "build", str(tmp_path / "team"), "--remote", wire.stack.url)
    key = {"CLAUDE_MEM_SERVER_API_KEY": wire.world.keys["home"]}
    played = [each for each in session("locks-explained") if due([each])][:3]
    claude = Sessions(tmp_path, home.here, plugin=tmp_path / "team" / "claudemem", **key)
    for number, payload in enumerate(played, 1):
        claude.fire(payload)
        arrive(wire, claude, played[:number])

    assert played[0]["hook_event_name"] == "SessionStart"
    assert stored(wire, played) == due(played)


def test_a_session_that_is_off_leaves_nothing(wire: Wire, home: Home) -> None:
    played = session("locks-explained")
    claude = Sessions(home.root, home.here, MEM_OFF="1")
    assert [said for each in played for said in claude.fire(each) if said] == []
    assert stored(wire, played) == []


def test_tools_of_memory_answer_to_the_entry_that_was_installed(home: Home) -> None:
    entry = home.server()
    called = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "projects"}}
    answer = httpx.post(
        entry["url"], json=called, timeout=60,
        headers={**entry["headers"], "Accept": "application/json, text/event-stream"},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert "error" not in answer.json()


def test_a_running_server_is_a_remote_one_to_whoever_names_it(wire: Wire, home: Home) -> None:
    key = home.server()["headers"]["Authorization"].removeprefix("Bearer ")
    told = home.run("install", "claude-code", "--remote", wire.stack.url, "--key", key)
    assert "nothing to change" in told
