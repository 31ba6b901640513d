"""`claudemem install AGENT` and `claudemem uninstall AGENT`, as a user calls them."""

import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner, Result
from django.db import OperationalError

from claudemem.cli import cli
from claudemem.commands import disconnect, installed_keys
from claudemem.commands import install as command
from observations import keys
from observations.models import ApiKey
from tests.claudemem.homes import home

pytestmark = pytest.mark.django_db

VARIABLE = "CLAUDE_MEM_SERVER_API_KEY"
REMOTE_KEY = "cmem_" + "7" * 48


@dataclass(frozen=True, slots=True)
class Machine:
    """A user's home, in which commands are run."""

    home: Path

    def run(self, *arguments: str, typed: str = "") -> Result:
        return CliRunner().invoke(cli, arguments, input=typed)

    def does(self, *arguments: str) -> str:
        """What a command says that must work."""
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def fails(self, *arguments: str, typed: str = "") -> str:
        """What a command complains of that must fail, having changed no file."""
        before = self.files()
        result = self.run(*arguments, typed=typed)
        assert result.exit_code != 0, result.output
        assert self.files() == before
        return " ".join(result.stderr.split())

    def files(self) -> dict[str, bytes]:
        """All files, by their paths."""
        return {
            str(path.relative_to(self.home)): path.read_bytes()
            for path in self.home.rglob("*")
            if path.is_file()
        }

    def read(self, path: str) -> Any:
        return json.loads((self.home / path).read_text())

    @property
    def key(self) -> str:
        """The key in the client's file."""
        return str(self.read(".claude-mem/client/config.json")["key"])


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    home = tmp_path / "home"
    here = home / "src" / "shop"
    here.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("CLAUDE_MEM_DATA_DIR", str(home / ".claude-mem"))
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(here)
    return Machine(home)


def test_one_line_connects_and_another_leaves_nothing(machine: Machine) -> None:
    told = machine.does("install", "claude-code", "--yes")
    assert "connected  Claude Code" in told
    assert "claudemem start" in told
    assert set(machine.files()) == {
        ".claude/settings.json", ".claude.json", ".claude-mem/client/config.json",
    }  # fmt: skip
    assert machine.read(".claude/settings.json")["env"] == {VARIABLE: machine.key}
    principal = keys.authenticate(machine.key)
    assert principal is not None
    assert principal.project_id is None
    assert principal.scopes == {"memories:read", "memories:write"}
    assert ApiKey.objects.get().name.startswith("claude-code on ")
    assert machine.key not in told

    told = machine.does("uninstall", "claude-code", "--yes")
    assert "revoked   the key" in told
    assert machine.files() == {}
    assert ApiKey.objects.get().revoked_at is not None
    assert not (machine.home / ".claude").exists()
    assert "not connected" in machine.does("uninstall", "claude-code", "--yes")


def test_files_with_the_key_in_them_are_their_owners_alone(machine: Machine) -> None:
    settings = machine.home / ".claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_text("{}")
    settings.chmod(0o644)
    machine.does("install", "claude-code", "--yes")

    for name in machine.files():
        assert stat.S_IMODE((machine.home / name).stat().st_mode) == 0o600, name
    assert stat.S_IMODE((machine.home / ".claude-mem/client").stat().st_mode) == 0o700


def test_a_second_time_nothing_is_changed_and_that_is_said(machine: Machine) -> None:
    machine.does("install", "claude-code", "--yes")
    before = machine.files()

    assert "nothing to change" in machine.does("install", "claude-code")
    assert machine.files() == before
    assert ApiKey.objects.count() == 1


def test_a_key_that_was_revoked_is_replaced_everywhere(machine: Machine) -> None:
    machine.does("install", "claude-code", "--yes")
    former = machine.key
    keys.revoke(ApiKey.objects.get().id)
    machine.does("install", "claude-code", "--yes")

    assert keys.authenticate(machine.key) is not None
    assert not any(former.encode() in content for content in machine.files().values())


@pytest.mark.parametrize("action", ["install", "uninstall"])
def test_a_dry_run_shows_and_changes_nothing(machine: Machine, action: str) -> None:
    if action == "uninstall":
        machine.does("install", "claude-code", "--yes")
    before, made = machine.files(), ApiKey.objects.count()
    told = machine.does(action, "claude-code", "--dry-run")

    assert "/v1/hooks/claude-code" in told
    assert "nothing was changed" in told
    assert machine.files() == before
    assert ApiKey.objects.filter(revoked_at=None).count() == made


@pytest.mark.parametrize("action", ["install", "uninstall"])
def test_where_nobody_can_be_asked_nothing_is_changed_without_yes(
    machine: Machine, action: str
) -> None:
    if action == "uninstall":
        machine.does("install", "claude-code", "--yes")
    assert "say --yes" in machine.fails(action, "claude-code")
    assert ApiKey.objects.filter(revoked_at=None).count() == (action == "uninstall")


@pytest.mark.parametrize(("answer", "changed"), [("n\n", False), ("y\n", True), ("\n", True)])
def test_on_a_terminal_it_asks(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, answer: str, changed: bool
) -> None:
    monkeypatch.setattr(command, "somebody_is_there", lambda: True)
    result = machine.run("install", "claude-code", typed=answer)

    assert "Change these files?" in result.stdout
    assert bool(machine.files()) == changed == ApiKey.objects.exists()


@pytest.mark.parametrize("broken", [".claude/settings.json", ".claude.json"])
def test_a_file_that_cannot_be_understood_keeps_all_as_they_were(
    machine: Machine, broken: str
) -> None:
    path = machine.home / broken
    path.parent.mkdir(exist_ok=True)
    path.write_text("{ // mine\n}")

    assert "there is a comment" in machine.fails("install", "claude-code", "--yes")
    assert not ApiKey.objects.exists()


def test_a_key_made_for_an_installation_that_fails_is_of_no_use(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(Path, "replace", full)
    assert "nothing was changed" in machine.fails("install", "claude-code", "--yes")
    assert not ApiKey.objects.filter(revoked_at=None).exists()


def test_a_key_that_is_given_is_used(machine: Machine) -> None:
    team, project = keys.tenant(None, "shop")
    held = ("memories:read", "memories:write")
    raw = keys.create("mine", held, team=team, project=project).raw
    machine.does("install", "claude-code", "--yes", "--key", raw)
    assert machine.key == raw

    narrow = keys.create("mine", ("memories:read",), team=team).raw
    assert "does not work" in machine.fails("install", "claude-code", "--yes", "--key", narrow)


def test_for_this_directory_alone_others_are_as_they_were(machine: Machine) -> None:
    machine.does("install", "claude-code", "--yes", "--project")
    local = "src/shop/.claude/settings.local.json"
    assert machine.key.encode() not in machine.files()[local]
    assert "hooks" in machine.read(local)
    assert "hooks" not in machine.read(".claude/settings.json")

    machine.does("uninstall", "claude-code", "--yes", "--project")
    assert local not in machine.files()
    assert not (machine.home / "src/shop/.claude").exists()
    assert keys.authenticate(machine.key) is not None


def test_what_was_not_sent_yet_is_kept_and_named(machine: Machine) -> None:
    machine.does("install", "claude-code", "--yes")
    client = machine.home / ".claude-mem/client"
    (client / "spool").write_text("waits")
    (client / "spool.next").write_text("half of wai")
    (client / "spool.lock").write_text("")
    for name in ("hook.log", "hook.log.1"):
        (client / name).write_text("a line")
    told = machine.does("uninstall", "claude-code", "--yes")

    assert f"kept      {client / 'spool'}, which was not sent yet" in told
    assert set(machine.files()) == {".claude-mem/client/spool"}


def test_what_is_not_ours_in_the_clients_directory_is_left(machine: Machine) -> None:
    machine.does("install", "claude-code", "--yes")
    client = machine.home / ".claude-mem/client"
    (client / "notes").mkdir()
    (client / "link").symlink_to("nowhere")
    told = machine.does("uninstall", "claude-code", "--yes")

    assert told.count("which is not ours") == 2
    assert {each.name for each in client.iterdir()} == {"notes", "link"}


def test_a_database_that_is_away_keeps_the_key_and_that_is_said(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_raw: str) -> bool:
        raise OperationalError("connection refused")

    machine.does("install", "claude-code", "--yes")
    monkeypatch.setattr(installed_keys, "revoke", away)
    told = machine.does("uninstall", "claude-code", "--yes")

    assert "the database cannot be used (connection refused)" in told
    assert "claudemem api-key revoke" in told
    assert machine.files() == {}


def test_who_is_connected_is_known_by_the_files_alone(machine: Machine) -> None:
    assert list(disconnect.connected()) == []
    machine.does("install", "claude-code", "--yes")
    (machine.home / ".claude-mem/client/config.json").unlink()
    assert [agent.name for agent in disconnect.connected()] == ["claude-code"]
    (machine.home / ".claude.json").write_text("{")
    assert list(disconnect.connected()) == []


def test_the_key_stays_while_another_agent_is_connected(machine: Machine) -> None:
    for agent in ("claude-code", "codex"):
        machine.does("install", agent, "--yes")
    assert ApiKey.objects.count() == 1

    assert "revoked" not in machine.does("uninstall", "claude-code", "--yes")
    assert keys.authenticate(machine.key) is not None
    assert "revoked" in machine.does("uninstall", "codex", "--yes")
    assert machine.files() == {}


@pytest.mark.stack
def test_before_the_first_start_the_key_is_made_all_the_same(tmp_path: Path) -> None:
    with home(tmp_path) as own:
        shown = own.run("install", "claude-code", "--dry-run")
        assert shown.returncode == 0, shown.stderr
        assert "/v1/hooks/claude-code" in shown.stdout
        assert list(tmp_path.iterdir()) == []

        told = own.run("install", "claude-code", "--yes")
        assert told.returncode == 0, told.stderr
        assert "claudemem start" in told.stdout
        said = json.loads((own.data / "client/config.json").read_text())
        assert said["url"] == f"http://127.0.0.1:{own.port}"
        assert said["key"].startswith("cmem_")


def test_options_that_do_not_go_together_are_refused(machine: Machine) -> None:
    for words, sentence in [
        (("uninstall", "--project"), "name it"),
        (("uninstall", "--dry-run"), "name it"),
        (("uninstall", "claude-code", "--purge-data"), "without an AGENT"),
        (("install", "emacs"), "'emacs' is not"),
    ]:
        assert sentence in machine.fails(*words)


# --- a server somewhere else ----------------------------------------------------------------------


class _Server(BaseHTTPRequestHandler):
    """Takes one key; says that there is no payload, or how agents connect."""

    held: ClassVar[str] = REMOTE_KEY

    def _answer(self, status: int) -> None:
        known = self.headers["Authorization"] == f"Bearer {self.held}"
        body = b"{}"
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(status if known else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/memory/v1/connect" else 404)

    def do_POST(self) -> None:
        self._answer(400 if self.path == "/memory/v1/hooks/claude-code" else 404)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/memory"
        server.shutdown()


def test_a_server_somewhere_else_is_asked_before_anything_is_written(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served() as url:
        for arguments, sentence in [
            ((url,), "a key for"),
            ((url, "--key", "cmem_wrong"), "does not take the key"),
            ((url + "/else", "--key", REMOTE_KEY), "is no memory server"),
            ((url, "--key", "two words"), "the key is none"),
            (("memory.example.com", "--key", REMOTE_KEY), "needs the URL"),
            (("https://me:secret@host", "--key", REMOTE_KEY), "no name or password"),
        ]:
            assert sentence in machine.fails(
                "install", "claude-code", "--yes", "--remote", *arguments
            )
        monkeypatch.setenv(VARIABLE, REMOTE_KEY)
        machine.does("install", "claude-code", "--yes", "--remote", f"{url}/")
        monkeypatch.delenv(VARIABLE)
        again = machine.does("install", "claude-code", "--remote", url)

    assert "nothing to change" in again
    assert machine.read(".claude-mem/client/config.json") == {
        "url": url, "key": REMOTE_KEY, "ca": None,
    }  # fmt: skip
    hook = machine.read(".claude/settings.json")["hooks"]["Stop"][0]["hooks"][0]
    assert hook["url"] == f"{url}/v1/hooks/claude-code"
    assert not ApiKey.objects.exists()
    assert "no server answers" in machine.fails(
        "install", "claude-code", "--yes", "--remote", url, "--key", REMOTE_KEY
    )
    told = machine.does("uninstall", "claude-code", "--yes")
    assert f"who runs {url} revokes it" in told
    assert machine.files() == {}
