"""`claudemem uninstall`, as a user calls it."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from claudemem import cli, commands
from queueing import pids
from queueing.managed import ManagedStore
from tests.claudemem.homes import ROOT, Home, home
from tests.postgres import on_postgresql, shown_on_sqlite
from tests.queueing.test_external import serving
from tests.stack import environment
from tests.stores import mounted
from tests.waiting import until

pytestmark = pytest.mark.stack

KEPT = {"secret_key", *([] if on_postgresql() else ["claude-mem.sqlite3"])}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Home]:
    with home(tmp_path) as made:
        yield made


@pytest.fixture
def prepared(own: Home) -> Home:
    """A home that looks as if a server had been there."""
    own.data.mkdir()
    for name in ("secret_key", "claude-mem.sqlite3"):
        (own.data / name).write_text("x")
    return own


def test_it_stops_the_server_and_keeps_what_is_remembered(own: Home) -> None:
    own.start()
    marks = own.note().values()
    told = own.run("uninstall")
    assert told.returncode == 0, told.stderr
    assert not [mark for mark in marks if mark.alive]
    assert own.names() == KEPT
    lines = told.stdout.splitlines()
    assert lines[0] == "stopped   the server"
    for name in ("redis", "logs"):
        assert f"removed   {own.data / name}" in lines
    for name in KEPT:
        assert f"kept      {own.data / name}" in lines
    assert "--purge-data" in lines[-1 - on_postgresql()]
    assert own.start()["port"] == own.port
    purged = own.run("uninstall", "--purge-data", "--yes")
    assert purged.returncode == 0, purged.stderr
    assert not own.data.exists()


@shown_on_sqlite("files")
def test_where_nobody_can_be_asked_memory_is_removed_only_with_yes(prepared: Home) -> None:
    before = prepared.names()
    told = prepared.run("uninstall", "--purge-data")
    assert (told.returncode, told.stdout) == (2, "")
    assert "say --yes" in told.stderr
    assert prepared.names() == before


@shown_on_sqlite("files")
@pytest.mark.parametrize(("answer", "stays"), [("n\n", True), ("\n", True), ("y\n", False)])
def test_on_a_terminal_it_asks_first(prepared: Home, answer: str, stays: bool) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "claudemem", "uninstall", "--purge-data"],
        cwd=ROOT, env=environment(prepared.variables), stdin=theirs, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as asking:  # fmt: skip
        os.write(ours, answer.encode())
        said, complained = asking.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert b"for good?" in said + complained
    assert (asking.returncode != 0, prepared.data.exists()) == (stays, stays)


@shown_on_sqlite("files")
def test_there_may_be_nothing_to_remove(own: Home) -> None:
    told = own.run("uninstall")
    assert (told.returncode, own.data.exists()) == (0, False)
    assert "there is nothing to remove" in told.stdout


@shown_on_sqlite("files")
def test_a_directory_that_is_not_ours_is_left_alone(tmp_path: Path, prepared: Home) -> None:
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "redis").mkdir()
    for place in (tmp_path, tmp_path / "else"):
        told = prepared.run("uninstall", "--purge-data", "--yes", "--data-dir", str(place))
        assert (told.returncode, told.stdout) == (1, "")
        assert "is no directory of claudemem's alone" in told.stderr or "look like" in told.stderr
    assert (tmp_path / "else" / "redis").is_dir()


@pytest.mark.skipif(on_postgresql(), reason="who uses a server's database cannot be seen")
def test_a_process_that_still_uses_the_database_stops_it(prepared: Home) -> None:
    (database := prepared.data / "claude-mem.sqlite3").unlink()
    program = (
        "import sqlite3, sys, time\n"
        "kept = sqlite3.connect(sys.argv[1]); kept.execute('CREATE TABLE t (x)')\n"
        "print('open', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(database)],
        stdout=subprocess.PIPE,
    ) as user:
        assert user.stdout is not None
        until(user.stdout.readline)
        told = prepared.run("uninstall")
        user.kill()
    assert told.returncode == 1
    assert f"in use by the process {user.pid}" in told.stderr
    assert "secret_key" in prepared.names()


def test_what_belongs_to_others_is_named_and_left_alone(prepared: Home, tmp_path: Path) -> None:
    with serving(tmp_path) as url:
        told = prepared.run("uninstall", CLAUDE_MEM_REDIS_URL=url)
    place = url.rpartition("://")[2].rpartition("@")[2]
    assert f"kept      the queue store {place}" in told.stdout
    if on_postgresql():
        assert "kept      the database claudemem_" in told.stdout
    assert "hidden" not in told.stdout


@shown_on_sqlite("files")
def test_a_store_that_runs_without_a_server_is_stopped_first(prepared: Home) -> None:
    store = ManagedStore(prepared.data / "redis", prepared.data / "logs")
    store.start()
    process = store.process()
    told = prepared.run("uninstall")
    assert "stopped   the managed queue store" in told.stdout, told.stderr
    assert process is not None
    pids.reap(process.pid)
    assert not process.alive


@shown_on_sqlite("files")
def test_what_is_mounted_there_is_left_alone_with_all_the_rest(prepared: Home) -> None:
    (prepared.data / "backups").mkdir()
    before = prepared.names()
    with mounted(prepared.data / "backups" / "elsewhere") as disk:
        (disk.root / "of others").touch()
        told = prepared.run("uninstall", "--purge-data", "--yes")
        assert told.returncode == 1
        assert f"{disk.root} is a mount, " in told.stderr
        assert (disk.root / "of others").exists()
    assert prepared.names() == before


@shown_on_sqlite("files")
def test_of_two_at_once_one_removes_everything_and_the_other_says_so(prepared: Home) -> None:
    both = [prepared.begin("uninstall", "--purge-data", "--yes") for _ in range(2)]
    told = [(each.communicate(timeout=120), each.returncode) for each in both]
    assert 0 in [code for _, code in told]
    for (_, said), _ in told:
        assert b"should not have happened" not in said
    assert not prepared.data.exists()


@shown_on_sqlite("files")
@pytest.mark.parametrize("command", ["up", "start", "stop", "restart", "setup", "uninstall"])
def test_root_leaves_the_directory_of_another_user_alone(prepared: Home, command: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root could do it harm")
    os.chown(prepared.data, 12345, 12345)
    before = prepared.names()
    told = prepared.run(command)
    assert told.returncode == 1
    assert "belongs to the user 12345, and this is root: run it as that user" in told.stderr
    assert prepared.names() == before


@shown_on_sqlite("files")
@pytest.mark.parametrize("command", ["up", "start", "stop", "restart", "uninstall"])
def test_on_windows_it_is_said_where_to_run(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "ON_WINDOWS", True)
    told = CliRunner().invoke(cli.cli, [command])
    assert told.exit_code == 1
    assert "on Windows, run claudemem in WSL or in a container" in told.output
