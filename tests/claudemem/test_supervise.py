"""`claudemem up` with a real store and tiny children."""

import json
import os
import pty
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from claudemem import statefile, supervise
from claudemem.board import PlainBoard
from claudemem.members import Child, Program
from claudemem.restarts import Restarts, backoff
from claudemem.statefile import Rolled
from queueing import access, pids
from queueing.pids import Mark
from tests.claudemem.crew import STEADY
from tests.stores import kept
from tests.waiting import until

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
THREE = {"web": "", "worker": "", "beat": ""}


class Crew:
    """One data directory, and the supervisors that a test runs in it."""

    def __init__(self, root: Path) -> None:
        self.root = root / "data"
        self.output = root / "output.txt"
        self.port = access.free_port()
        self.supervisors: list[subprocess.Popen[bytes]] = []

    def start(self, table: dict[str, str], terminal: int = -1) -> subprocess.Popen[bytes]:
        """A supervisor that writes to a file, or to a terminal."""
        with open(terminal, "wb") if terminal >= 0 else self.output.open("ab") as output:
            supervisor = subprocess.Popen(
                [sys.executable, "-m", "tests.claudemem.crew", str(self.root), str(self.port),
                 json.dumps(table)],
                cwd=ROOT, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        self.supervisors.append(supervisor)
        return supervisor

    def started(self, table: dict[str, str]) -> subprocess.Popen[bytes]:
        """A supervisor all of whose children have said hello."""
        supervisor = self.start(table)
        until(lambda: (s := statefile.read(self.root)) and all(m.process for m in s.members))
        for name in table.keys() - {"prepare", "store", "grace"}:
            until(lambda name=name: f"hello from {name}" in self.log(name))
        return supervisor

    def mark(self, name: str) -> Mark | None:
        state = statefile.read(self.root)
        members = {member.name: member for member in state.members} if state else {}
        return members[name].process if name in members else None

    def marks(self) -> list[Mark]:
        state = statefile.read(self.root)
        return [member.process for member in state.members if member.process] if state else []

    def said(self) -> str:
        return self.output.read_text()

    def log(self, name: str) -> str:
        return "".join(path.read_text() for path in self.root.glob(f"logs/{name}-*.log"))


@pytest.mark.parametrize("detached", [False, True])
def test_what_takes_long_is_told_to_who_waits_at_a_terminal(
    detached: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    supervise._announce(detached, PlainBoard(), "it takes long")
    told = capsys.readouterr()
    assert (told.out, told.err) == ("it takes long\n", "it takes long\n" if detached else "")


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    crew = Crew(tmp_path)
    yield crew
    for supervisor in crew.supervisors:
        supervisor.kill()
        supervisor.wait()
    kept(crew.root).stop()


def test_all_start_in_order_and_stop_in_reverse_and_nothing_is_left(crew: Crew) -> None:
    supervisor = crew.started({"prepare": "print('preparing')", **THREE})
    marks = crew.marks()
    assert len(marks) == 4
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(60) == 0
    assert [re.split(r" \(", line)[0] for line in crew.said().splitlines()] == [
        "store started", "preparing", "web started", "worker started", "beat started",
        "stopping: calls in hand have 5 s to end; a second Ctrl-C ends them",
        "beat stopped", "worker stopped", "web stopped", "store stopped",
    ]  # fmt: skip
    assert not any(mark.alive for mark in marks)
    assert statefile.read(crew.root) is None


def test_the_terminals_ctrl_c_reaches_the_supervisor_alone(crew: Crew) -> None:
    supervisor = crew.started(THREE)
    os.killpg(supervisor.pid, signal.SIGINT)
    assert supervisor.wait(60) == 0
    assert "KeyboardInterrupt" not in crew.log("web") + crew.log("worker") + crew.log("beat")
    assert "Received SIGINT" not in crew.log("redis")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_also_stops_when_it_is_told_to_and_when_its_terminal_closes(
    crew: Crew, number: signal.Signals
) -> None:
    supervisor = crew.started({"web": ""})
    supervisor.send_signal(number)
    assert supervisor.wait(60) == 0
    assert "store stopped" in crew.said()


def rolled(crew: Crew, supervisor: subprocess.Popen[bytes]) -> Rolled:
    """What came of a rolling restart that is asked for now."""
    before = statefile.read(crew.root)
    assert before is not None
    supervisor.send_signal(signal.SIGUSR1)
    after = until(lambda: (s := statefile.read(crew.root)) and s.rolled != before.rolled and s)
    return after.rolled


def test_a_rolling_restart_replaces_each_child_and_leaves_the_store(crew: Crew) -> None:
    supervisor = crew.started(THREE)
    store, *children = crew.marks()
    assert rolled(crew, supervisor) == Rolled(1)
    assert crew.mark("store") == store
    assert not any(child.alive for child in children)
    assert len([mark for mark in crew.marks() if mark.alive]) == 4
    said = [line for line in crew.said().splitlines() if "replaced" in line]
    assert said == ["web was replaced", "worker was replaced", "beat was replaced"]
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(60) == 0


def test_a_successor_that_does_not_live_leaves_everything_as_it_was(crew: Crew) -> None:
    once = f"import os; os.mkdir({str(crew.root / 'once')!r}); {STEADY}"
    supervisor = crew.started({"web": "", "worker": once, "beat": ""})
    until(lambda: (crew.root / "once").exists())
    _, web, *kept = crew.marks()
    failed = rolled(crew, supervisor)
    assert failed == Rolled(1, "another worker ended, its log says why: the one that runs was kept")
    assert crew.marks()[2:] == kept
    assert all(mark.alive for mark in kept)
    assert not web.alive


def test_under_nohup_it_outlives_its_terminal(crew: Crew) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what nohup does
    try:
        supervisor = crew.started({"web": ""})
    finally:
        signal.signal(signal.SIGHUP, before)
    supervisor.send_signal(signal.SIGHUP)
    web = crew.mark("web")
    assert web is not None
    web.signal(signal.SIGKILL)
    until(lambda: "web was started again" in crew.said())
    assert "stopped" not in crew.said()


def test_a_child_that_dies_is_started_again_and_the_board_says_so(crew: Crew) -> None:
    crew.started(THREE)
    first = crew.mark("worker")
    assert first is not None
    first.signal(signal.SIGKILL)
    second = until(lambda: (mark := crew.mark("worker")) and mark.pid != first.pid and mark)
    assert second.alive
    assert "worker was ended by SIGKILL; it starts again in 0.5 s" in crew.said()
    assert "worker was started again" in crew.said()
    state = statefile.read(crew.root)
    assert state is not None
    assert {m.name: m.restarts for m in state.members} == {
        "store": 0, "web": 0, "worker": 1, "beat": 0,
    }  # fmt: skip


def test_a_child_that_cannot_live_is_started_less_and_less_often(crew: Crew) -> None:
    crew.started({"web": "", "worker": "sys.exit(3)"})
    until(lambda: "starts again in 2 s" in crew.said())
    delays = re.findall(r"worker stopped with exit code 3.*again in (\S+) s", crew.said())
    assert delays == ["0.5", "1", "2"]


def test_a_killed_store_is_back_on_its_port_soon(crew: Crew) -> None:
    crew.started({"web": ""})
    url, first = kept(crew.root).url, crew.mark("store")
    assert first is not None
    first.signal(signal.SIGKILL)
    server = until(kept(crew.root).running, seconds=8)
    assert (kept(crew.root).url, server.pid == first.pid) == (url, False)
    until(lambda: "store was started again" in crew.said())


def test_a_killed_supervisor_takes_its_children_along_and_its_successor_adopts_the_store(
    crew: Crew,
) -> None:
    first = crew.started(THREE)
    left, *children = crew.marks()
    first.kill()
    first.wait()
    until(lambda: not any(child.alive for child in children), seconds=8)
    assert left.alive
    second = crew.start(THREE)
    until(lambda: "found running" in crew.said())
    assert kept(crew.root).process() == left
    until(lambda: crew.mark("beat") not in children)
    second.send_signal(signal.SIGINT)
    assert second.wait(60) == 0
    assert not left.alive


def test_data_that_the_store_cannot_read_are_mentioned(crew: Crew) -> None:
    supervisor = crew.started({"web": ""})
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(60) == 0
    (damaged,) = crew.root.glob("redis/data/appendonlydir/*.manifest")
    damaged.write_text("garbage")
    crew.started({"web": ""})
    assert "could not read its data" in crew.said()
    assert f"kept in {crew.root}/redis/data-damaged-" in crew.said()


def test_without_a_server_to_run_nothing_is_started_and_a_sentence_says_why(crew: Crew) -> None:
    supervisor = crew.start({"store": "/dev/null", **THREE})
    assert supervisor.wait(60) == 1
    assert "CLAUDE_MEM_REDIS_BINARY names /dev/null, which is no file" in crew.said()
    assert "started" not in crew.said()


def test_a_store_that_is_not_ours_is_neither_started_nor_stopped(crew: Crew) -> None:
    supervisor = crew.started({"store": "external", "web": ""})
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(60) == 0
    assert crew.said().splitlines()[1:] == ["web stopped"]
    assert not (crew.root / "redis").exists()


def test_a_taken_port_is_a_sentence_and_nothing_is_started(crew: Crew) -> None:
    first = crew.started({"web": ""})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        other = Crew(crew.root.parent / "other")
        other.root.parent.mkdir()
        other.port = taken.getsockname()[1]
        assert other.start(THREE).wait(60) == 1
    assert other.said() == (
        f"port {other.port} is taken by another program: choose another one with --port, or stop "
        "that program\n"
    )
    assert kept(other.root).url == ""
    assert not list(other.root.glob("logs/*"))
    assert first.poll() is None


def test_a_second_start_in_one_directory_is_a_sentence(crew: Crew) -> None:
    first = crew.started({"web": ""})
    assert crew.start({"web": ""}).wait(60) == 1
    assert f"already runs in {crew.root} at http://127.0.0.1:{crew.port}" in crew.said()
    assert first.poll() is None
    assert all(mark.alive for mark in crew.marks())


def test_if_the_database_cannot_be_prepared_nothing_is_left_running(crew: Crew) -> None:
    supervisor = crew.start({"prepare": "raise SystemExit('no room')", **THREE})
    assert supervisor.wait(60) == 1
    assert "no room" in crew.said()
    assert "could not be prepared" in crew.said()
    assert "web" not in crew.said()
    assert kept(crew.root).process() is None


def test_a_second_ctrl_c_does_not_wait_for_a_child_that_will_not_stop(crew: Crew) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, lambda *_: print('deaf', flush=True))\n"
    child = deaf + "print('listening', flush=True)\nwhile True: time.sleep(600)"
    supervisor = crew.started({"web": child, "grace": "600"})
    until(lambda: "listening" in crew.log("web"))
    supervisor.send_signal(signal.SIGINT)
    until(lambda: "deaf" in crew.log("web"))
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(60) == 0  # the child would have ten minutes
    assert "store stopped" in crew.said()


def test_on_a_terminal_it_draws_a_board_and_survives_the_terminals_end(crew: Crew) -> None:
    ours, terminal = pty.openpty()
    supervisor = crew.start(THREE, terminal)
    shown = b""
    while b"beat" not in shown or b"Ctrl-C stops everything" not in shown:
        shown += os.read(ours, 65536)
    for part in (f"http://127.0.0.1:{crew.port}/admin/", "running", "Valkey 9.", " MB"):
        assert part.encode() in shown
    marks = until(crew.marks)
    os.close(ours)
    marks[2].signal(signal.SIGKILL)
    until(lambda: crew.mark("worker") not in {None, marks[2]})
    supervisor.send_signal(signal.SIGHUP)
    supervisor.wait(60)
    assert not any(mark.alive for mark in marks)


def test_each_child_has_a_log_of_the_day_that_only_its_owner_reads(crew: Crew) -> None:
    crew.started(THREE)
    logs = sorted(crew.root.glob("logs/*.log"))
    assert [re.sub(r"-\d{4}-\d\d-\d\d\.log$", "", path.name) for path in logs] == [
        "beat", "redis", "web", "worker",
    ]  # fmt: skip
    assert {stat.S_IMODE(path.stat().st_mode) for path in logs if "redis" not in path.name} == {
        0o600
    }
    assert crew.log("web") == "hello from web\n"


def test_a_childs_output_goes_to_the_log_of_the_day(tmp_path: Path) -> None:
    program = (
        "import sys, time; from datetime import date; from pathlib import Path\n"
        "from claudemem import leash\n"
        "days = iter([date(2031, 1, 1)])\n"
        "leash.today = lambda: next(days, date(2031, 1, 2))\n"
        "leash._LOOK_SECONDS = 0.01\n"
        f"logs = Path({str(tmp_path)!r}); leash.hold(logs, 'web')\n"
        "while not list(logs.iterdir()): time.sleep(0.01)\n"
        "while True: print('said', flush=True); time.sleep(0.01)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as child:
        log = tmp_path / "web-2031-01-02.log"
        until(lambda: log.exists() and "said" in log.read_text())
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(60) == 1


def test_the_supervisor_imports_neither_django_nor_a_redis_client() -> None:
    program = (
        "import sys; from claudemem import settings, supervise, board, cli\n"
        "heavy = {'django.apps', 'django.db', 'redis', 'celery', 'rich', 'asyncio', 'http.client'}"
        "\nsys.exit(' '.join(heavy & sys.modules.keys()) or 0)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_backoff_doubles_from_half_a_second_to_half_a_minute() -> None:
    assert [backoff(n) for n in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert backoff(10_000) == 30


def test_who_lived_a_minute_starts_over_with_the_shortest_delay() -> None:
    restarts = Restarts()
    restarts.born(0)
    assert [restarts.died(1), restarts.died(2), restarts.died(4)] == [0.5, 1, 2]
    assert not restarts.due(5.9)
    assert restarts.due(6)
    restarts.born(6)
    assert restarts.died(66) == 0.5


def test_a_mark_is_of_one_process_only() -> None:
    mine = pids.mark(os.getpid())
    assert mine.alive
    assert not Mark(mine.pid, mine.token + "1").alive
    assert not Mark(mine.pid, "").alive
    assert not Mark(mine.pid, "another").signal(signal.SIGKILL)


def test_a_child_that_has_died_is_known_by_its_mark_until_that_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    child = Child(Program("brief", (sys.executable, "-c", "")), tmp_path / "logs", tmp_path)
    child.start()
    first = child.status().process
    assert first is not None
    until(lambda: not first.alive)
    assert child.status().process == first
    assert "exit code 0" in child.tend()
    assert child.status().process is None
