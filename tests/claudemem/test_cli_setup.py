"""`claudemem setup`: what a user types and what is in the settings file then."""

import json
import os
import shlex
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from claudemem import statefile
from claudemem.kept import ENGINE, HOST, MODE, PORT, URL
from queueing import binaries, pids
from tests.servers import serving
from tests.stack import ROOT, environment
from tests.terminal import Terminal

pytestmark = pytest.mark.once

BINARY = "CLAUDE_MEM_REDIS_BINARY"
BARE = str(Path(__file__).parent / "bare.py")
MANAGED = {ENGINE: "celery", MODE: "managed"}
THEIRS = {"CLAUDE_MEM_MODEL": "x", "theme": "dark"}
# What a stand-in of a package manager does with its arguments.
STANDIN = """#!/bin/sh
echo "${{0##*/}} $*" >> {log}
case "${{0##*/}} $*" in
{cases}
esac
exit {otherwise}
"""
# Of each manager: its question, what it runs, and the name of the program that it brings.
INSTALLS = {
    "brew": ("brew info valkey", "brew install valkey", "valkey-server"),
    "apt-get": (
        "apt-cache show --no-all-versions valkey-tools",
        "apt-get install --yes --no-install-recommends valkey-tools",
        "valkey-check-rdb",
    ),
    "dnf": (
        "dnf --quiet info valkey",
        "dnf install --assumeyes --setopt=install_weak_deps=False valkey",
        "valkey-server",
    ),
    "yum": ("yum --quiet info valkey", "yum install --assumeyes valkey", "valkey-server"),
    "apk": ("apk search --exact valkey", "apk add valkey", "valkey-server"),
    "pacman": ("pacman -Si valkey", "pacman -S --needed --noconfirm valkey", "valkey-server"),
}


def real_server() -> Path:
    """The server that the installation brings."""
    found = binaries.bundled()
    assert found
    return found


@dataclass
class Machine:
    """A machine with nothing on it but what a test puts there."""

    home: Path
    root: bool = True

    @property
    def file(self) -> Path:
        return self.home / ".claude-mem" / "settings.json"

    @property
    def path(self) -> Path:
        return self.home / "bin"

    @property
    def log(self) -> list[str]:
        """What was asked of the package managers."""
        log = self.home / "log"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def settings(self) -> dict[str, Any]:
        held: dict[str, Any] = json.loads(self.file.read_text())
        return held

    @property
    def environment(self) -> dict[str, str]:
        return environment(
            {
                "HOME": str(self.home),
                "PATH": str(self.path),
                "BARE_ROOT": "1" if self.root else "0",
                "PYTHONPATH": str(ROOT),
            }
        )

    def write(self, text: str) -> None:
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_text(text)

    def setup(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, BARE, "setup", *arguments], stdin=subprocess.DEVNULL, cwd=ROOT,
            env={**self.environment, **variables}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def terminal(self, *arguments: str) -> Terminal:
        return Terminal([sys.executable, BARE, "setup", *arguments], self.environment)

    def has(self, name: str, *cases: str, otherwise: int = 0) -> None:
        """Put a program on the PATH that answers some calls, and others with an exit code."""
        text = STANDIN.format(
            log=shlex.quote(str(self.home / "log")), cases="\n".join(cases), otherwise=otherwise
        )
        (self.path / name).write_text(text)
        (self.path / name).chmod(0o755)

    def has_server(self, name: str = "valkey-server") -> Path:
        """Put a real server on the PATH."""
        (self.path / name).symlink_to(real_server())
        return self.path / name

    def links(self, name: str) -> str:
        """A command of the shell that puts a real server on the PATH."""
        return shlex.join(["/bin/ln", "-s", str(real_server()), str(self.path / name)])

    def has_manager(self, name: str, asked: str = "", run: str = "", brings: str = "") -> None:
        """Put a package manager there that knows `asked`, and brings a real server by `run`."""
        usual = INSTALLS[name]
        asked, run, brings = asked or usual[0], run or usual[1], brings or usual[2]
        cases = (f'"{asked}") echo known; exit 0;;', f'"{run}") {self.links(brings)}; exit 0;;')
        for program in {name, asked.partition(" ")[0]}:
            self.has(program, *cases, otherwise=3)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "bin").mkdir()
    return Machine(tmp_path)


# --- what is here is used -------------------------------------------------------------------------


def test_a_server_that_is_here_is_managed(machine: Machine) -> None:
    server = machine.has_server()
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    assert machine.settings == MANAGED
    assert stat.S_IMODE(machine.file.stat().st_mode) == 0o600
    assert "queue     celery\nstore     managed  Valkey " in done.stdout
    assert str(server) in done.stdout
    assert str(machine.file) in done.stdout


def test_what_others_have_in_the_file_stays(machine: Machine) -> None:
    machine.has_server()
    machine.write(json.dumps({"env": {**THEIRS, HOST: "h"}, "hooks": {}}))
    machine.setup("--managed")
    assert machine.settings == {"env": {**THEIRS, **MANAGED}, "hooks": {}}


def test_a_server_that_is_no_server_or_too_old_counts_as_none(machine: Machine) -> None:
    machine.has("valkey-server")
    machine.has("redis-server", '*) echo "Redis server v=6.0.16 sha=0"; exit 0;;')
    assert "no Valkey or Redis server (6.2 or later)" in machine.setup().stderr
    assert not machine.file.exists()


def test_setup_again_shows_what_is_chosen_and_changes_what_is_asked(machine: Machine) -> None:
    machine.has_server()
    first = machine.setup()
    before = machine.file.stat().st_ino
    again = machine.setup().stdout
    assert again.startswith(first.stdout)
    assert "To change it, name another" in again
    assert machine.file.stat().st_ino == before
    assert machine.setup("--queue", "database").stdout.startswith("queue     database\nkept in")
    assert machine.settings == {**MANAGED, ENGINE: "database"}
    assert machine.setup().stdout.startswith("queue     database\n")
    assert machine.setup("--queue", "celery").stdout == first.stdout
    assert machine.settings == MANAGED


def test_the_engine_without_a_store_needs_nothing(machine: Machine) -> None:
    done = machine.setup("--queue", "database")
    assert done.returncode == 0
    assert machine.settings == {ENGINE: "database"}


def test_an_engine_is_changed_without_a_word_about_the_store_that_was_chosen(
    machine: Machine,
) -> None:
    machine.write(json.dumps({ENGINE: "database", URL: "redis://:hidden@queue:7000/0"}))
    done = machine.setup("--queue", "celery")
    assert "store     external  queue:7000/0\n" in done.stdout
    assert machine.settings == {ENGINE: "celery", URL: "redis://:hidden@queue:7000/0"}


def test_what_claude_mem_wrote_by_itself_is_no_choice(machine: Machine) -> None:
    machine.has_server()
    seeded = {ENGINE: "sqlite", URL: "", HOST: "127.0.0.1", PORT: "6379", MODE: "external"}
    machine.write(json.dumps({**THEIRS, **seeded}))
    machine.setup()
    assert machine.settings == {**THEIRS, **MANAGED}


def test_a_server_that_was_uninstalled_is_looked_for_again(machine: Machine) -> None:
    machine.write(json.dumps({**MANAGED, BINARY: "/nowhere/valkey-server"}))
    assert machine.setup().returncode == 1
    machine.has_server()
    assert machine.setup().returncode == 0
    assert machine.settings == MANAGED


def test_a_path_that_is_named_must_lead_to_a_server(machine: Machine) -> None:
    machine.has_server()
    done = machine.setup(**{BINARY: "/nowhere/valkey-server"})
    assert done.returncode == 1
    assert BINARY in done.stderr
    assert not machine.file.exists()
    assert machine.setup("--queue", "database", **{BINARY: "/nowhere"}).returncode == 0


# --- a server of the user's -----------------------------------------------------------------------


def test_a_url_is_tried_and_used_and_its_password_never_shown(machine: Machine) -> None:
    machine.has_server()
    with serving(machine.home) as url:
        done = machine.setup("--redis-url", url, "--yes")
    assert done.returncode == 0, done.stderr
    assert machine.settings == {ENGINE: "celery", MODE: "external", URL: url}
    assert "store     external  Valkey " in done.stdout
    assert "127.0.0.1:" in done.stdout
    assert "set appendonly yes" in done.stderr
    assert "hidden" not in done.stdout + done.stderr


def test_a_url_of_the_environment_is_used_where_nothing_else_is_asked(machine: Machine) -> None:
    machine.has_server()
    with serving(machine.home) as url:
        done = machine.setup(**{URL: url})
        assert machine.settings == {ENGINE: "celery", MODE: "external", URL: url}
        assert "wins over" not in done.stderr
        machine.setup("--queue", "database", **{URL: url})
        assert machine.settings[ENGINE] == "database"


def test_a_url_of_the_environment_does_not_replace_what_was_chosen(machine: Machine) -> None:
    machine.has_server()
    machine.setup()
    done = machine.setup(**{URL: "redis://:hidden@127.0.0.1:1/0"})
    assert (done.returncode, machine.settings) == (0, MANAGED)
    assert f"Warning: {URL} is set in the environment" in done.stderr


@pytest.mark.parametrize("wrong", ["policy", "password", "away", "scheme", "port"])
def test_a_url_that_is_refused_changes_nothing(machine: Machine, wrong: str) -> None:
    machine.write('{"CLAUDE_MEM_QUEUE_ENGINE":"database"}')
    flags = ("--maxmemory-policy", "allkeys-lru") if wrong == "policy" else ()
    with serving(machine.home, *flags) as url:
        tried = {
            "policy": url,
            "password": url.replace("hidden", "hidden2"),
            "away": "redis://:hidden@127.0.0.1:1/0",
            "scheme": url.replace("redis:", "http:"),
            "port": "redis://:hidden@127.0.0.1:99999/0",
        }[wrong]
        done = machine.setup("--redis-url", tried)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "hidden" not in done.stdout + done.stderr
    assert machine.file.read_text() == '{"CLAUDE_MEM_QUEUE_ENGINE":"database"}'


@pytest.mark.parametrize(
    "asked",
    [
        ("--redis-url", "redis://h/0", "--docker"),
        ("--docker", "--managed"),
        ("--queue", "database", "--install-redis"),
    ],
)
def test_two_wishes_that_contradict_each_other_are_refused(
    machine: Machine, asked: tuple[str, ...]
) -> None:
    done = machine.setup(*asked)
    assert (done.returncode, "choose one" in done.stderr) == (2, True)


# --- Docker ---------------------------------------------------------------------------------------


def test_docker_is_chosen_where_it_answers(machine: Machine) -> None:
    machine.has("docker", '"docker version "*) echo 28.1.0; exit 0;;', otherwise=9)
    machine.write(json.dumps({**THEIRS, URL: "redis://h/0"}))
    done = machine.setup("--docker", "--yes")
    assert done.returncode == 0, done.stderr
    assert machine.settings == {**THEIRS, ENGINE: "celery", MODE: "docker"}
    assert "store     docker  a Valkey that Docker 28.1.0 runs" in done.stdout
    # Nothing is fetched or started by a choice.
    assert [line.split()[1] for line in machine.log] == ["version", "context"]
    assert "store     docker\n" in machine.setup().stdout


def test_docker_that_does_not_answer_is_not_chosen(machine: Machine) -> None:
    for _ in range(2):
        done = machine.setup("--docker")
        assert (done.returncode, "Docker does not answer" in done.stderr) == (1, True)
        assert not machine.file.exists()
        machine.has("docker", otherwise=1)


def test_on_a_terminal_docker_is_offered_where_it_answers(machine: Machine) -> None:
    machine.has("docker", "*) echo 28.1.0; exit 0;;")
    with machine.terminal() as terminal:
        terminal.expect("4  let Docker run a Valkey")
        terminal.expect("Which [1]:")
        terminal.type("4")
        assert terminal.wait() == 0
    assert machine.settings == {ENGINE: "celery", MODE: "docker"}


# --- nothing is here, and nobody can be asked -----------------------------------------------------


@pytest.mark.parametrize("name", INSTALLS)
def test_without_a_server_it_fails_with_the_exact_command(machine: Machine, name: str) -> None:
    machine.root = name != "brew"
    machine.has_manager(name)
    asked, command, _ = INSTALLS[name]
    done = machine.setup("--yes")
    assert done.returncode == 1
    assert "run `claudemem setup --install-redis`" in done.stderr
    assert f"`{command}`" in done.stderr
    assert machine.log == [asked]
    assert not machine.file.exists()


@pytest.mark.parametrize("asked", [(), ("--install-redis",)])
def test_who_is_not_root_is_told_what_root_must_run(
    machine: Machine, asked: tuple[str, ...]
) -> None:
    machine.root = False
    machine.has_manager("dnf")
    machine.has("sudo")
    done = machine.setup(*asked)
    assert done.returncode == 1
    assert f"run `sudo {INSTALLS['dnf'][1]}` and then `claudemem setup`" in done.stderr
    assert machine.log == [INSTALLS["dnf"][0]]
    assert not machine.file.exists()


def test_where_no_package_is_known_yet_none_is_guessed(machine: Machine) -> None:
    machine.has("apt-get")
    machine.has("apt-cache", otherwise=100)
    assert "looks for one after `apt-get update`" in machine.setup().stderr
    machine.root = False
    assert "run `sudo apt-get update` and `claudemem setup` again" in machine.setup().stderr


def test_a_machine_without_a_known_package_manager_is_told_so(machine: Machine) -> None:
    for asked in ((), ("--install-redis",)):
        done = machine.setup(*asked)
        assert done.returncode == 1
        assert "brew, apt-get, dnf, yum, apk, pacman" in done.stderr
        assert "--queue database" in done.stderr


# --- installing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INSTALLS)
def test_a_server_is_installed_when_that_is_asked_for(machine: Machine, name: str) -> None:
    machine.root = name != "brew"
    machine.has_manager(name)
    machine.has("systemctl")
    asked, command, _ = INSTALLS[name]
    done = machine.setup("--install-redis", "--yes")
    assert done.returncode == 0, done.stderr
    # Asked, then run: no service is started or enabled by anybody.
    assert machine.log == [asked, command]
    assert done.stdout.startswith(f"running   {command}\n")
    assert {**machine.settings, **MANAGED} == machine.settings


def test_debians_tools_are_run_under_the_name_of_the_server(machine: Machine) -> None:
    machine.has_manager("apt-get")
    machine.setup("--install-redis")
    link = machine.file.parent / "redis" / "valkey-server"
    assert machine.settings == {**MANAGED, BINARY: str(link)}
    said = subprocess.run([link, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("Valkey server v=")
    # And the choice stands.
    again = machine.setup()
    assert (again.returncode, machine.settings[BINARY]) == (0, str(link))


def test_redis_is_taken_where_there_is_no_valkey(machine: Machine) -> None:
    installs = INSTALLS["dnf"][1].replace("valkey", "redis")
    machine.has_manager("dnf", "dnf --quiet info redis", installs)
    assert machine.setup("--install-redis").returncode == 0
    assert [line.rpartition(" ")[2] for line in machine.log] == ["valkey", "redis", "redis"]


def test_the_lists_of_packages_are_fetched_where_there_are_none(machine: Machine) -> None:
    fetched = machine.home / "fetched"
    machine.has(
        "apk",
        f'"apk update") : > "{fetched}"; exit 0;;',
        f'"apk add valkey") {machine.links("valkey-server")}; exit 0;;',
        f'*valkey) [ -e "{fetched}" ] && echo valkey-9; exit 0;;',
    )
    assert machine.setup("--install-redis").returncode == 0
    assert machine.log == [
        "apk search --exact valkey", "apk search --exact redis", "apk update",
        "apk search --exact valkey", "apk add valkey",
    ]  # fmt: skip


def test_a_manager_that_knows_no_server_is_named_with_what_to_do(machine: Machine) -> None:
    machine.has("pacman", '"pacman -Sy") exit 0;;', otherwise=1)
    done = machine.setup("--install-redis")
    assert done.returncode == 1
    assert "pacman knows no package valkey or redis" in done.stderr
    assert "`pacman -Sy`" in done.stderr


def test_an_installation_that_fails_changes_nothing_and_says_so(machine: Machine) -> None:
    machine.has("dnf", '"dnf --quiet info valkey") echo known; exit 0;;', otherwise=7)
    done = machine.setup("--install-redis")
    assert done.returncode == 1
    assert "failed (exit code 7)" in done.stderr
    assert not machine.file.exists()


def test_an_installation_that_brings_no_server_is_noticed(machine: Machine) -> None:
    machine.has("dnf", '"dnf --quiet info valkey") echo known; exit 0;;')
    done = machine.setup("--install-redis")
    assert done.returncode == 1
    assert "is found after `dnf install" in done.stderr
    assert not machine.file.exists()


def test_nothing_is_installed_where_a_server_is(machine: Machine) -> None:
    machine.has_server()
    machine.has_manager("dnf")
    assert machine.setup("--install-redis").returncode == 0
    assert (machine.log, machine.settings) == ([], MANAGED)


def test_homebrew_is_passed_over_by_root(machine: Machine) -> None:
    machine.has_manager("brew")
    machine.has_manager("apk")
    assert machine.setup("--install-redis").returncode == 0
    assert machine.log == ["apk search --exact valkey", "apk add valkey"]


# --- somebody can be asked ------------------------------------------------------------------------


def test_on_a_terminal_a_server_is_installed_after_the_command_was_shown(
    machine: Machine,
) -> None:
    machine.has_manager("dnf")
    with machine.terminal() as terminal:
        terminal.expect("Which [1]:")
        terminal.type("")
        terminal.expect(f"Run `{INSTALLS['dnf'][1]}`? [Y/n]")
        assert machine.log == [INSTALLS["dnf"][0]]
        terminal.type("y")
        terminal.expect("store     managed  Valkey")
        assert terminal.wait() == 0
    assert machine.settings == MANAGED


def test_on_a_terminal_no_is_an_answer(machine: Machine) -> None:
    machine.has_manager("dnf")
    with machine.terminal() as terminal:
        terminal.expect("Which [1]:")
        terminal.type("1")
        terminal.expect("? [Y/n]")
        terminal.type("n")
        assert terminal.wait() == 1
    assert machine.log == [INSTALLS["dnf"][0]]
    assert not machine.file.exists()


def test_on_a_terminal_who_is_not_root_runs_the_command_elsewhere(machine: Machine) -> None:
    machine.root = False
    machine.has_manager("apt-get")
    with machine.terminal() as terminal:
        terminal.expect("Which [1]:")
        terminal.type("1")
        terminal.expect(f"sudo {INSTALLS['apt-get'][1]}")
        terminal.expect("Enter when it is done")
        machine.has_server("valkey-check-rdb")
        terminal.type("")
        assert terminal.wait() == 0
    assert {**machine.settings, **MANAGED} == machine.settings


def test_on_a_terminal_a_url_that_is_refused_is_asked_for_again(machine: Machine) -> None:
    with serving(machine.home) as url, machine.terminal() as terminal:
        terminal.expect("Which [1]:")
        terminal.type("2")
        terminal.expect("(not shown):")
        terminal.type(url.replace("hidden", "hidden2"))
        terminal.expect("refuses the password")
        terminal.expect("Which [1]:")
        terminal.type("2")
        terminal.expect("(not shown):")
        terminal.type(url)
        terminal.expect("store     external  Valkey")
        assert terminal.wait() == 0
        assert "hidden" not in terminal.screen
        assert terminal.screen.count("has no append-only file") == 1
    assert machine.settings == {ENGINE: "celery", MODE: "external", URL: url}


def test_on_a_terminal_the_database_is_chosen(machine: Machine) -> None:
    with machine.terminal() as terminal:
        terminal.expect("Which [1]:")
        terminal.type("4")
        terminal.expect("Which [1]:")
        terminal.type("3")
        assert terminal.wait() == 0
    assert machine.settings == {ENGINE: "database"}


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_on_a_terminal_leaving_changes_nothing(machine: Machine, key: str) -> None:
    with machine.terminal() as terminal:
        terminal.expect("Which [1]:")
        terminal.press(key, "Aborted")
        assert terminal.wait() == 1
    assert not machine.file.exists()


def test_with_yes_nothing_is_asked_on_a_terminal_either(machine: Machine) -> None:
    with machine.terminal("--yes") as terminal:
        assert terminal.wait() == 1
        assert "nothing is installed unasked" in terminal.screen


# --- around it ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ['{"A": ', "[]", '{"A": "\0"}'])
def test_a_file_that_is_broken_is_not_touched(machine: Machine, text: str) -> None:
    machine.has_server()
    machine.write(text)
    for asked in ((), ("--queue", "database")):
        done = machine.setup(*asked)
        assert done.returncode == 1
        assert str(machine.file) in done.stderr
        assert machine.file.read_text() == text


def test_settings_that_cannot_be_used_are_mended_by_a_new_choice(machine: Machine) -> None:
    machine.has_server()
    machine.write(json.dumps({**MANAGED, URL: "rubbish", ENGINE: 7, PORT: []}))
    assert machine.setup("--managed").returncode == 0
    assert machine.settings == MANAGED


def test_a_variable_that_wins_over_the_choice_is_told(machine: Machine) -> None:
    machine.has_server()
    done = machine.setup("--managed", **{URL: "redis://:hidden@h/0", ENGINE: "sqlite"})
    assert done.returncode == 0
    assert f"Warning: {URL} is set in the environment" in done.stderr
    assert f"Warning: {ENGINE} is set in the environment" in done.stderr
    assert "hidden" not in done.stdout + done.stderr


def test_who_runs_is_told_to_start_again(machine: Machine) -> None:
    machine.has_server()
    assert "runs in" not in machine.setup().stdout
    me = statefile.State(pids.mark(os.getpid()), "http://127.0.0.1:1", ())
    statefile.write(machine.file.parent, me)
    done = machine.setup("--queue", "database")
    assert "the choice holds from its next start" in done.stdout


def test_a_data_directory_that_is_none_is_one_sentence(machine: Machine) -> None:
    machine.has_server()
    (machine.home / "file").touch()
    done = machine.setup("--data-dir", str(machine.home / "file" / "memory"))
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
