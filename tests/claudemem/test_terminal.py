"""What becomes of a server whose terminal goes."""

import os
import pty
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from claudemem import peek, statefile
from queueing.pids import Mark
from tests.claudemem.homes import Home, home
from tests.postgres import shown_on_sqlite
from tests.waiting import until

pytestmark = [pytest.mark.stack, shown_on_sqlite("processes and terminals")]

ROOT = Path(__file__).resolve().parents[2]
# The leader of a session that does not pass on what it is told, as `make` does not.
LEADER = """
import os, signal, subprocess, sys
signal.signal(signal.SIGHUP, lambda *_: None)
group = {"process_group": 0} if "background" in sys.argv[1] else {}
child = subprocess.Popen(sys.argv[2:], **group)
child.wait()
"""
CREW = """
import sys
from pathlib import Path
from tests.claudemem.crew import plan
from claudemem.board import choose
from claudemem.supervise import up
up(plan(Path(sys.argv[1]), int(sys.argv[2]), {"store": "external", "web": ""}), choose())
"""


@contextmanager
def terminal(leads: str, command: list[str], **variables: str) -> Iterator[int]:
    """The other end of a new terminal, in which a leader of that kind runs the command."""
    pid, ours = pty.fork()
    if not pid:
        arguments = [sys.executable, "-c", LEADER, leads, *command]
        os.chdir(ROOT)
        os.execve(sys.executable, arguments, {**os.environ, **variables})
    try:
        yield ours
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def crew(root: Path) -> list[str]:
    return [sys.executable, "-c", CREW, str(root), "28999"]


def supervisor(root: Path) -> Mark:
    """The supervisor, once its child runs."""
    state = until(lambda: (s := statefile.read(root)) and s.members[0].process and s)
    return state.supervisor


def test_it_ends_with_its_terminal_even_if_the_leader_of_the_session_does_not_tell(
    tmp_path: Path,
) -> None:
    with terminal("in foreground", crew(tmp_path)) as ours:
        running = supervisor(tmp_path)
        os.close(ours)
        until(lambda: not running.alive)
    assert statefile.read(tmp_path) is None


def test_a_job_in_the_background_outlives_the_terminal(tmp_path: Path) -> None:
    with terminal("in background", crew(tmp_path)) as ours:
        running = supervisor(tmp_path)
        web = statefile.read(tmp_path)
        assert web is not None
        os.close(ours)
        first = web.members[0].process
        assert first is not None
        first.signal(signal.SIGKILL)
        # It still looks after its children.
        until(lambda: (s := statefile.read(tmp_path)) and s.members[0].process not in {None, first})
        assert running.signal(signal.SIGTERM)
        until(lambda: not running.alive)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Home]:
    with home(tmp_path) as made:
        yield made


def test_what_start_has_started_outlives_the_terminal(own: Home) -> None:
    command = [sys.executable, "-m", "claudemem", "start"]
    with terminal("in foreground", command, **own.variables) as ours:
        until(lambda: own.announced, 60)
        shown = b""
        while b"stops it" not in shown:
            shown += os.read(ours, 65536)
        os.close(ours)
    assert b"shown once" in shown
    assert peek.healthy("127.0.0.1", own.port)
