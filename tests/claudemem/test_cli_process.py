"""The command line and the real processes: what a user types and what comes of it."""

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.db import DatabaseError, OperationalError

from claudemem import cli, leash, peek
from queueing import access, pids
from tests.postgres import database_of, on_postgresql, shown_on_sqlite
from tests.servers import serving
from tests.stores import kept
from tests.waiting import until

pytestmark = pytest.mark.stack
about_processes = shown_on_sqlite("processes and settings")

ROOT = Path(__file__).parents[2]


def run(
    *arguments: str, data: Path, typed: str = "", database: str = ""
) -> subprocess.CompletedProcess[str]:
    """What `claudemem ARGUMENTS` does in a data directory, with its own database or that URL's."""
    named = {"CLAUDE_MEM_SERVER_DATABASE_URL": database} if database else database_of(data)
    environment = {**os.environ, **named, "CLAUDE_MEM_DATA_DIR": str(data)}
    return subprocess.run(
        [sys.executable, "-m", "claudemem", *arguments],
        cwd=ROOT, env=environment, input=typed, capture_output=True, text=True, check=False,
    )  # fmt: skip


class Installation:
    """A data directory in which `claudemem up` was called."""

    def __init__(self, root: Path) -> None:
        self.data = root / "memory"
        self.port = access.free_port()
        self.output = root / "output.txt"
        self.process = self.up()
        try:
            self.ready()
        except BaseException:
            # Nobody else knows of it yet: it would be left running, and blamed on a later test.
            self.stop()
            raise
        self.first_words = self.output.read_text()

    def up(self) -> subprocess.Popen[bytes]:
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "claudemem", "up", "--data-dir", str(self.data),
                 "--port", str(self.port)],
                cwd=ROOT, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                env={**os.environ, **database_of(self.data)},
            )  # fmt: skip
        return self.process

    def ready(self) -> None:
        """Wait until everything runs and the web answers."""
        until(lambda: "ready at" in self.output.read_text(), seconds=90)
        until(lambda: len(self.family()) == 5, seconds=60)

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(run("status", "--json", data=self.data).stdout)
        return answer

    def family(self) -> list[psutil.Process]:
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True)]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("installation"))
    yield installation
    if installation.process.poll() is None:
        installation.stop()
    kept(installation.data).stop()


@pytest.fixture
def running(installation: Installation) -> Installation:
    """All of it runs, whatever the test before did to it."""
    if installation.process.poll() is not None:
        installation.up()
        installation.ready()
    return installation


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a database and nothing else."""
    data = tmp_path_factory.mktemp("data") / "memory"
    assert run("migrate", data=data).stdout == "the database was brought up to date\n"
    return data


def test_the_first_run_shows_an_admin_and_a_key_that_work(running: Installation) -> None:
    said = running.first_words
    password = re.findall(r"admin password  (\S+)", said)
    key = re.findall(r"API key +(cmem_[0-9a-f]{48})", said)
    assert (len(password), len(key)) == (1, 1)
    assert f"http://127.0.0.1:{running.port}/admin/" in said
    kept = b"".join(path.read_bytes() for path in running.data.rglob("*") if path.is_file())
    for secret in (password[0], key[0]):
        assert secret.encode() not in kept
    program = (
        "import django; django.setup();"
        "from django.contrib.auth import authenticate; from observations import keys;"
        f"user = authenticate(username='admin', password={password[0]!r});"
        f"who = keys.authenticate({key[0]!r});"
        "print(user.is_superuser, sorted(who.scopes), who.project_id)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, **database_of(running.data), "CLAUDE_MEM_DATA_DIR": str(running.data),
             "DJANGO_SETTINGS_MODULE": "claudemem.settings"},
    ).stdout  # fmt: skip
    assert told == "True ['memories:read', 'memories:write'] None\n"


def test_status_tells_that_all_is_well(running: Installation) -> None:
    told = run("status", data=running.data)
    assert told.returncode == 0, told.stdout
    report = running.status()
    assert report["healthy"]
    assert report["problems"] == []
    assert [process["name"] for process in report["processes"]] == [
        "supervisor", "store", "web", "worker", "beat",
    ]  # fmt: skip
    assert (report["web"], report["database"]["ready"]) == (True, True)
    assert report["store"]["version"].startswith("9.")
    assert report["jobs"]["failed"] == 0
    password = access.read(running.data / "redis")
    assert password is not None
    assert password.password not in told.stdout + json.dumps(report)


def test_all_of_it_takes_less_than_250_megabytes(running: Installation) -> None:
    assert sum(pids.memory(process.pid) for process in running.family()) < 250e6


@about_processes
def test_nothing_listens_beyond_loopback(running: Installation) -> None:
    places = {
        connection.laddr
        for process in running.family()
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert {place.ip for place in places} == {"127.0.0.1"}
    assert running.port in {place.port for place in places}
    assert len(places) == 2


@about_processes
def test_no_secret_is_in_a_process_list(running: Installation) -> None:
    known = access.read(running.data / "redis")
    assert known is not None
    for process in running.family():
        assert known.password not in " ".join(process.cmdline())


@about_processes
def test_a_killed_web_answers_again(running: Installation) -> None:
    web = next(p for p in running.status()["processes"] if p["name"] == "web")
    os.kill(web["pid"], signal.SIGKILL)
    until(lambda: "web was started again" in running.output.read_text())
    until(lambda: peek.healthy("127.0.0.1", running.port))


@about_processes
def test_a_killed_store_is_found_again_by_worker_and_beat(running: Installation) -> None:
    until(lambda: kept(running.data).running())
    server = kept(running.data).running()
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    until(lambda: "store was started again" in running.output.read_text())

    def taken() -> bool:
        # Beat sends a message a second, and the worker takes it.
        known = access.read(running.data / "redis")
        assert known is not None
        sent = access.ask(known, "INFO commandstats")
        return "cmdstat_lpush" in sent and "cmdstat_brpop" in sent

    until(taken)
    assert running.status()["healthy"]


def test_ctrl_c_stops_it_all_and_the_next_start_shows_no_secret(running: Installation) -> None:
    family = running.family()
    assert running.stop() == 0
    assert [process for process in family if process.is_running()] == []
    told = run("status", data=running.data)
    assert told.returncode == 1
    assert "start it with `claudemem start`" in told.stdout
    running.up()
    running.ready()
    assert "shown once" not in running.output.read_text()


@about_processes
def test_the_real_children_end_with_a_killed_supervisor_and_the_store_stays(
    running: Installation,
) -> None:
    adopted = kept(running.data).process()
    assert adopted is not None
    marks = [pids.mark(process.pid) for process in running.family()[1:]]
    children = [mark for mark in marks if mark != adopted]
    assert len(children) == 3
    running.process.kill()
    running.process.wait()
    until(lambda: not any(child.alive for child in children), seconds=8)
    assert kept(running.data).process() == adopted


@about_processes
@pytest.mark.parametrize("command", [("worker", "start"), ("beat",), ("flower",)])
def test_without_a_queue_store_a_worker_says_what_to_do(
    command: tuple[str, ...], data: Path
) -> None:
    told = run(*command, data=data)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.count("\n") == 1
    assert "run `claudemem start`" in told.stderr


@about_processes
@pytest.mark.parametrize("command", [("worker", "start"), ("beat",)])
def test_a_private_store_that_does_not_run_is_mentioned_and_waited_for(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    kept(tmp_path).start()
    kept(tmp_path).stop()
    said = tmp_path / "said.txt"
    with said.open("wb") as output:
        waiting = subprocess.Popen(
            [sys.executable, "-m", "claudemem", *command, "--data-dir", str(tmp_path)],
            cwd=ROOT, stdout=output, stderr=output, env={**os.environ, **database_of(tmp_path)},
        )  # fmt: skip
    try:
        until(lambda: "start it with `claudemem start`" in said.read_text(), 60)
        assert waiting.poll() is None
    finally:
        waiting.kill()
        waiting.wait()


@about_processes
@pytest.mark.parametrize("name", ["database", "sqlite"])
@pytest.mark.parametrize("command", [("beat",), ("flower",), ("up", "--flower")])
def test_what_the_database_engine_has_no_use_for_says_so(
    name: str, command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_MEM_QUEUE_ENGINE", name)
    refused = run(*command, data=tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.count("\n") == 1
    assert "choose celery" in refused.stderr


@about_processes
def test_an_engine_that_there_is_not_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_MEM_QUEUE_ENGINE", "rabbitmq")
    refused = run("up", data=tmp_path)
    assert refused.returncode == 1
    assert "CLAUDE_MEM_QUEUE_ENGINE must be one of: celery, database" in refused.stderr


@about_processes
def test_what_looks_like_a_misspelt_setting_is_mentioned_at_the_start(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_MEM_SEVER_PORT", "1")
    said = run("beat", data=data).stderr
    assert said.startswith("Warning: CLAUDE_MEM_SEVER_PORT is no setting: CLAUDE_MEM_SERVER_PORT")


@about_processes
def test_settings_that_contradict_one_another_stop_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_MEM_HEARTBEAT_SECONDS", "5")
    refused = run("first-run", data=tmp_path / "data")
    assert refused.returncode == 1
    assert "CLAUDE_MEM_LEASE_SECONDS" in refused.stderr
    assert "Traceback" not in refused.stderr


@about_processes
def test_a_queue_store_that_would_drop_messages_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, "--maxmemory-policy", "allkeys-lru") as url:
        monkeypatch.setenv("CLAUDE_MEM_REDIS_URL", url)
        for command in (("first-run",), ("worker", "start"), ("beat",)):
            refused = run(*command, data=tmp_path / "data")
            assert (refused.returncode, refused.stdout) == (1, "")
            assert "set it to noeviction" in refused.stderr


@about_processes
def test_what_flower_would_need_stops_the_start_of_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("CLAUDE_MEM_FLOWER_PORT", str(port))
        refused = run("up", "--port", str(access.free_port()), "--flower", data=tmp_path)
    assert refused.returncode == 1
    assert f"flower: port {port} is taken" in refused.stderr
    monkeypatch.setenv("CLAUDE_MEM_FLOWER_HOST", "0.0.0.0")
    refused = run("up", "--flower", data=tmp_path)
    assert refused.returncode == 1
    assert "set CLAUDE_MEM_FLOWER_PASSWORD" in refused.stderr
    assert not (tmp_path / "redis").exists()


def test_migrate_says_when_there_is_nothing_to_do(data: Path) -> None:
    assert run("migrate", data=data).stdout == "the database is up to date\n"


def test_createadmin_makes_a_user_and_shows_the_password_once(data: Path) -> None:
    told = run("createadmin", "ada", data=data)
    assert told.returncode == 0, told.stderr
    assert re.search(r"admin user +ada\nadmin password +\S{20}", told.stdout)
    again = run("createadmin", "ada", data=data)
    assert again.returncode == 1
    assert "there is a user 'ada' already" in again.stderr


@about_processes
def test_createadmin_reads_a_password_and_never_repeats_it(data: Path) -> None:
    told = run("createadmin", "bob", "--password-stdin", data=data, typed="a long passphrase\n")
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")
    short = run("createadmin", "eve", "--password-stdin", data=data, typed="12\n")
    assert short.returncode == 1
    assert "too short" in short.stderr


@about_processes
def test_the_option_for_the_data_directory_wins_wherever_it_stands(
    data: Path, tmp_path: Path
) -> None:
    for arguments in (
        ("--data-dir", str(tmp_path / "here"), "migrate"),
        ("migrate", "--data-dir", str(tmp_path / "there")),
    ):
        assert run(*arguments, data=data).returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"here", "there"}


def test_a_database_without_tables_is_a_sentence(tmp_path: Path) -> None:
    told = run("createadmin", data=tmp_path / "new")
    assert told.returncode == 1
    assert told.stderr.count("\n") == 1
    assert "`claudemem migrate`" in told.stderr
    debugged = run("--debug", "createadmin", data=tmp_path / "new")
    assert "Traceback" in debugged.stderr


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (OSError(errno.EROFS, "Read-only file system", "/data"), "let this user write there"),
        (OSError(errno.ENOSPC, "No space left on device"), "make room"),
        (OperationalError("database or disk is full"), "make room"),
        (OperationalError("attempt to write a readonly database"), "let this user write there"),
        (OperationalError("database is locked"), "run it again"),
        (DatabaseError("file is not a database"), "put a backup in its place"),
        (OperationalError("no such table: auth_user"), "`claudemem migrate`"),
    ],
)
def test_each_error_says_what_to_do_about_it(error: Exception, advice: str) -> None:
    assert advice in cli.sentence(error)


@pytest.mark.skipif(on_postgresql(), reason="this file would not be opened")
def test_a_file_that_is_no_database_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "claude-mem.sqlite3").write_text("Dear diary, " * 100)
    told = run("search", "x", data=tmp_path)
    assert (told.returncode, told.stderr.count("\n")) == (1, 1)
    assert "file is not a database" in told.stderr
    assert "put a backup in its place" in told.stderr


@about_processes
def test_what_replay_lacks_is_named_as_option_and_as_variable(data: Path) -> None:
    told = run("replay", str(Path(__file__)), data=data)
    assert told.returncode == 2
    assert "--key" in told.stderr
    assert "CLAUDE_MEM_SERVER_API_KEY" in told.stderr


@about_processes
@pytest.mark.parametrize("command", [("search", "x"), ("jobs", "list"), ("api-key", "list")])
def test_a_postgresql_that_is_away_is_one_sentence(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    away = f"postgres://ada:hidden@127.0.0.1:{access.free_port()}/claudemem"
    told = run(*command, data=tmp_path / "none", database=away)
    assert told.returncode == 1
    assert told.stderr.count("\n") == 1
    assert "see that PostgreSQL runs" in told.stderr
    assert "hidden" not in told.stderr


@about_processes
def test_status_says_why_postgresql_cannot_be_had(tmp_path: Path) -> None:
    port = access.free_port()
    away = f"postgres://ada:hidden@127.0.0.1:{port}/claudemem"
    told = run("status", data=tmp_path, database=away)
    assert told.returncode == 1
    assert f"port {port} failed: Connection refused" in told.stdout
    assert "hidden" not in told.stdout + told.stderr


@about_processes
def test_a_wrong_call_exits_with_2(data: Path) -> None:
    assert run("dance", data=data).returncode == 2
    assert run("up", "--port", "nowhere", data=data).returncode == 2
    told = run("worker", "start", "--queues", "event,events", data=data)
    assert (told.returncode, "no queue 'events'" in told.stderr) == (2, True)


def test_every_line_of_the_table_is_a_command() -> None:
    context = cli.cli.make_context("claudemem", [], resilient_parsing=True)
    for name in cli.COMMANDS:
        command = cli.cli.get_command(context, name)
        assert command is not None, name
        assert command.help, name
        assert {"data_dir", "debug"} <= {parameter.name for parameter in command.params}


@about_processes
@pytest.mark.parametrize("group", [(), ("jobs",), ("db",), ("api-key",), ("worker",)])
def test_no_line_of_the_help_is_cut_off(tmp_path: Path, group: tuple[str, ...]) -> None:
    _, _, commands = run(*group, "--help", data=tmp_path).stdout.partition("Commands:")
    assert commands
    assert "..." not in commands


def test_logs_are_named_by_the_users_day(tmp_path: Path) -> None:
    os.close(leash.open_log(tmp_path, "web", leash.today()))
    assert [path.name for path in tmp_path.iterdir()] == [f"web-{leash.today().isoformat()}.log"]
