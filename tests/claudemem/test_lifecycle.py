"""`claudemem start`, `stop` and `restart`, as real processes."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from claudemem import peek, serverfiles, statefile
from claudemem.leash import today
from claudemem.members import RUNNING, Status
from claudemem.statefile import State
from queueing import access, pids
from queueing.pids import Mark
from tests.claudemem.homes import Home, home
from tests.postgres import on_postgresql, shown_on_sqlite
from tests.queueing.test_external import serving
from tests.stack import HOOK
from tests.stack_tests.test_model import tool_calls
from tests.waiting import until

pytestmark = pytest.mark.stack

about_processes = shown_on_sqlite("processes")
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home for tests one after the other; each starts what it needs."""
    with home(tmp_path_factory.mktemp("shared")) as made:
        yield made


@pytest.fixture
def idle(shared: Home) -> Home:
    """The shared home while nothing runs in it."""
    shared.run("stop")
    return shared


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Home]:
    with home(tmp_path) as made:
        yield made


@about_processes
def test_a_rolling_restart_of_what_does_not_run_says_what_to_do(idle: Home) -> None:
    told = idle.run("restart", "--rolling")
    assert (told.returncode, told.stdout) == (1, "")
    assert "run `claudemem start`" in told.stderr
    assert idle.run("restart", "--rolling", "--flower").returncode == 2


def test_start_returns_when_the_web_answers_and_shows_secrets_once_and_in_no_log(
    shared: Home,
) -> None:
    told = shared.run("start")
    assert told.returncode == 0, told.stderr
    answer = json.loads(told.stdout)
    assert answer == {
        "status": "ready",
        "runtime": "server-beta",
        "pid": shared.note()["supervisor"].pid,
        "port": shared.port,
    }
    assert peek.healthy("127.0.0.1", shared.port)
    secrets = re.findall(r"(?:password|API key) +(\S+)", told.stderr)
    assert len(secrets) == 2
    kept = "".join(p.read_bytes().decode("latin-1") for p in shared.data.rglob("*") if p.is_file())
    assert not [secret for secret in secrets if secret in kept]
    assert "`claudemem stop` stops it" in told.stderr
    assert "web started" in shared.logged()


def test_a_second_start_says_that_it_runs_and_leaves_it_alone(shared: Home) -> None:
    first = shared.start()
    told = shared.run("start", "--daemon", "--port", "1")
    assert (told.returncode, json.loads(told.stdout)) == (0, first)
    assert f"runs already at http://127.0.0.1:{shared.port}" in told.stderr
    assert "shown once" not in told.stderr


@needs_proc
def test_it_runs_without_a_terminal_in_a_session_of_its_own(shared: Home) -> None:
    pid = shared.start()["pid"]
    assert os.getsid(pid) == pid
    places = [os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)]
    assert places[0] == "/dev/null"
    assert all(re.search(r"/logs/up-[\d-]+\.log$", place) for place in places[1:])


def test_the_state_files_are_what_older_clients_read(shared: Home) -> None:
    told = shared.start()
    pid = json.loads((shared.data / ".server-beta.pid").read_text())
    parts = until(lambda: _settled(shared.data))
    assert list(pid) == ["pid", "port", "startedAt", "startToken"]
    assert (pid["pid"], pid["port"]) == (told["pid"], shared.port)
    assert pid["startToken"] == pids.token_of(told["pid"])
    assert (shared.data / ".server-beta.port").read_text() == f"{shared.port}\n"
    assert list(parts) == [
        "runtime", "pid", "port", "host", "startedAt", "bootstrap", "boundaries",
    ]  # fmt: skip
    assert (parts["runtime"], parts["host"]) == ("server-beta", "127.0.0.1")
    assert parts["bootstrap"]["initialized"] is True
    assert parts["bootstrap"]["schemaVersion"] > 0
    assert parts["boundaries"]["queueManager"]["status"] == "active"


def _settled(data: Path) -> dict[str, dict[str, dict[str, str]]]:
    """What the server says of its parts, once none is said to be in trouble any more."""
    parts: dict[str, dict[str, dict[str, str]]]
    parts = json.loads((data / ".server-beta.runtime.json").read_text())
    said = {part["status"] for part in parts["boundaries"].values()}
    return parts if said and "errored" not in said else {}


def test_stop_ends_all_of_it_and_says_so(shared: Home) -> None:
    shared.start()
    marks = shared.note().values()
    assert len(marks) >= 4
    told = shared.run("stop")
    assert (told.returncode, told.stdout, told.stderr) == (0, "Server stopped\n", "")
    assert not [mark for mark in marks if mark.alive]
    assert not shared.names() & {"up.json", *serverfiles.NAMES}
    again = shared.run("stop")
    assert (again.returncode, again.stdout) == (0, "Server is not running\n")


def test_stop_makes_no_directory(tmp_path: Path) -> None:
    none = Home(tmp_path)
    assert none.run("stop").stdout == "Server is not running\n"
    assert not none.data.exists()


@about_processes
def test_stop_and_start_know_a_server_of_up(idle: Home) -> None:
    foreground = idle.begin("up")
    # On a busy machine `start` could otherwise be the quicker one.
    until(lambda: "supervisor" in idle.note(), 60)
    told = idle.start()
    assert told["pid"] == foreground.pid
    assert idle.run("stop").stdout == "Server stopped\n"
    said, _ = foreground.communicate(timeout=30)
    assert foreground.returncode == 0
    assert b"store stopped" in said


@about_processes
def test_a_server_listens_at_a_name_of_this_machine(idle: Home) -> None:
    idle.start(CLAUDE_MEM_SERVER_HOST="localhost")
    assert peek.healthy("127.0.0.1", idle.port)
    told = idle.run("start", CLAUDE_MEM_SERVER_HOST="localhost").stderr
    assert f"runs already at http://localhost:{idle.port} " in told


@about_processes
def test_a_host_that_is_another_machine_is_refused_before_anything_starts(idle: Home) -> None:
    told = idle.run("start", CLAUDE_MEM_SERVER_HOST="192.0.2.1")
    assert told.returncode == 1
    assert told.stderr.startswith("Error: '192.0.2.1' is not this machine: ")
    assert not idle.note()


@about_processes
def test_of_two_starts_at_once_one_starts_it_and_both_succeed(idle: Home) -> None:
    both = [idle.begin("start") for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0][0] == said[1][0]
    assert sum(b"runs already" in words for _, words in said) == 1


@about_processes
def test_after_a_killed_supervisor_a_start_takes_over_at_once(shared: Home) -> None:
    shared.start()
    before = shared.note()
    before["supervisor"].signal(signal.SIGKILL)
    assert shared.start()["port"] == shared.port
    after = shared.note()
    assert after["store"] == before["store"]
    assert not [name for name in ("supervisor", "web") if before[name].alive]


@about_processes
def test_stop_ends_what_a_killed_supervisor_left_behind(shared: Home) -> None:
    shared.start()
    marks = shared.note()
    # One that stands still does not notice the end of its leash.
    marks["web"].signal(signal.SIGSTOP)
    marks["supervisor"].signal(signal.SIGKILL)
    until(lambda: not marks["supervisor"].alive)
    assert shared.run("stop").stdout == "Server stopped\n"
    assert not [mark for mark in marks.values() if mark.alive]
    assert not shared.names() & {"up.json", *serverfiles.NAMES}


@about_processes
def test_stop_works_whatever_is_wrong_with_the_settings(shared: Home) -> None:
    shared.start()
    assert shared.run("stop", CLAUDE_MEM_HEARTBEAT_SECONDS="soon").stdout == "Server stopped\n"


@about_processes
def test_a_start_can_be_stopped_before_it_is_done(idle: Home) -> None:
    starting = idle.begin("start")
    until(lambda: statefile.read(idle.data), 60)
    marks = idle.note()
    assert idle.run("stop").stdout == "Server stopped\n"
    _, said = starting.communicate(timeout=60)
    assert starting.returncode == 1
    assert "it was stopped while it started" in said.decode()
    assert not [mark for mark in {*marks.values(), *idle.seen} if mark.alive]


@about_processes
def test_a_start_during_a_stop_waits_for_its_end_and_starts_anew(shared: Home) -> None:
    before = shared.start()["pid"]
    web = shared.note()["web"]
    os.kill(web.pid, signal.SIGSTOP)  # so that the stop has to wait for it
    stopping = shared.begin("stop")
    until(lambda: (state := statefile.read(shared.data)) and state.stopping, 60)
    after = shared.start()["pid"]
    assert stopping.communicate(timeout=120)[0] == b"Server stopped\n"
    assert after != before
    assert peek.healthy("127.0.0.1", shared.port)


@about_processes
def test_a_start_that_is_interrupted_leaves_nothing_running(idle: Home) -> None:
    starting = idle.begin("start")
    until(lambda: statefile.read(idle.data), 60)
    idle.note()
    starting.send_signal(signal.SIGINT)
    _, said = starting.communicate(timeout=60)
    assert starting.returncode == 1
    assert "the start was interrupted" in said.decode()
    assert not idle.note()
    assert idle.run("stop").stdout == "Server is not running\n"


@about_processes
def test_a_setting_that_is_wrong_is_one_sentence(own: Home) -> None:
    told = own.run("start", CLAUDE_MEM_HEARTBEAT_SECONDS="5")
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.count("CLAUDE_MEM_LEASE_SECONDS") == 1
    assert "Traceback" not in told.stderr
    assert not own.note()


@about_processes
def test_a_port_of_a_stranger_is_one_sentence(own: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = own.run("start", "--port", port)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith(f"Error: port {port} is taken by another program")
    assert told.stderr.count("\n") == 1
    assert not own.names() & {"up.json", "redis", *serverfiles.NAMES}


@about_processes
def test_a_role_that_cannot_live_ends_the_start_with_the_end_of_its_log(idle: Home) -> None:
    told = idle.run("start", CLAUDE_MEM_ALIVE_FILE=str(idle.data / "nowhere" / "alive"))
    assert (told.returncode, told.stdout) == (1, "")
    assert re.search(r"Error: (web|worker|beat) did not start; .*\.log ends with:", told.stderr)
    assert "No such file or directory" in told.stderr
    assert idle.run("stop").stdout == "Server is not running\n"


@about_processes
def test_what_the_supervisor_says_at_its_end_is_told_by_the_start(idle: Home) -> None:
    # A directory where a log should be.
    log = idle.data / "logs" / f"web-{today().isoformat()}.log"
    log.unlink(missing_ok=True)
    log.mkdir()
    told = idle.run("start")
    log.rmdir()
    assert (told.returncode, told.stdout) == (1, "")
    assert "Error: Is a directory" in told.stderr
    assert idle.run("stop").stdout == "Server is not running\n"


@about_processes
@pytest.mark.parametrize(
    ("mount", "advice"),
    [("ro", "let this user write there"), ("size=64k", "make room")],
    ids=["read-only", "full"],
)
def test_a_directory_that_takes_nothing_is_one_sentence(own: Home, mount: str, advice: str) -> None:
    if not _may_mount():
        pytest.skip("this user may not mount")
    own.data.mkdir()
    full = "head -c 100k /dev/zero > $0/filler 2>/dev/null;" if "size" in mount else ""
    script = (
        f'mount -t tmpfs -o {mount} none "$0" && {{ {full} '
        f'"{sys.executable}" -m claudemem start; echo "ended $?"; pgrep -f "$0" >&2; }}'
    )
    told = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, str(own.data)],
        capture_output=True, text=True, env={**os.environ, **own.variables}, check=False,
    )  # fmt: skip
    assert "ended 1" in told.stdout, told
    assert advice in told.stderr
    assert "Traceback" not in told.stderr


def _may_mount() -> bool:
    if not shutil.which("unshare"):
        return False
    tried = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


@about_processes
def test_a_stale_number_of_a_stranger_is_never_signalled(own: Home) -> None:
    own.data.mkdir()
    with subprocess.Popen(["sleep", "600"]) as stranger:
        stale = Mark(stranger.pid, "boot:1")
        members = (Status("web", RUNNING, stale), Status("store", RUNNING, stale))
        statefile.write(own.data, State(stale, "http://127.0.0.1:1", members))
        serverfiles.write(own.data, serverfiles.Announced(stale, 1), "127.0.0.1", {})
        (own.data / "redis").mkdir()
        pids.write(own.data / "redis" / "redis.pid", stale)
        told = own.run("stop")
        assert stranger.poll() is None
        stranger.kill()
    assert told.stdout == "Server is not running\n"
    assert not own.names() & {"up.json", *serverfiles.NAMES}


@about_processes
@needs_proc
def test_a_restart_goes_on_where_and_with_what_it_ran(
    idle: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of these nothing is in the environment of the restart.
    monkeypatch.delitem(idle.variables, "CLAUDE_MEM_SERVER_PORT")
    special = {"CLAUDE_MEM_WORKER_THREADS": "3", "CLAUDE_MEM_SERVER_HOST": "127.0.0.2"}
    first = idle.start("--port", str(idle.port), **special)
    told = idle.run("restart")
    assert told.returncode == 0, told.stderr
    second = json.loads(told.stdout)
    assert (second["port"], second["pid"] == first["pid"]) == (idle.port, False)
    assert f"http://127.0.0.2:{idle.port}" in told.stderr
    given = Path(f"/proc/{idle.note()['worker'].pid}/environ").read_bytes().split(b"\0")
    assert b"CLAUDE_MEM_WORKER_THREADS=3" in given


@about_processes
def test_a_restart_that_cannot_be_done_stops_nothing(idle: Home, tmp_path: Path) -> None:
    before = idle.start()
    with serving(tmp_path, "--maxmemory-policy", "allkeys-lru") as unfit:
        for variable, value, said in (
            ("CLAUDE_MEM_QUEUE_ENGINE", "nonsense", "must be one of"),
            ("CLAUDE_MEM_REDIS_URL", unfit, "set it to noeviction"),
        ):
            told = idle.run("restart", **{variable: value})
            assert (told.returncode, told.stdout) == (1, "")
            assert said in told.stderr
            assert json.loads(idle.run("start").stdout) == before


@about_processes
def test_a_restart_of_nothing_is_a_start(idle: Home) -> None:
    told = idle.run("restart")
    assert (told.returncode, json.loads(told.stdout)["port"]) == (0, idle.port)


@about_processes
def test_a_web_that_runs_alone_is_announced_and_takes_its_files_along(idle: Home) -> None:
    web = idle.begin("web")
    until(lambda: idle.announced, 60)
    assert idle.announced == pids.mark(web.pid)
    report = json.loads(idle.run("status", "--json").stdout)
    assert (report["server"]["pid"], report["web"]) == (web.pid, True)
    assert report["url"] == f"http://127.0.0.1:{idle.port}"
    assert not [each for each in report["problems"] if "nothing runs" in each]
    assert idle.run("stop").stdout == "Server stopped\n"
    assert web.wait(30) == 0
    web.communicate()
    assert not idle.names() & {*serverfiles.NAMES}


@about_processes
def test_a_second_web_neither_writes_nor_removes_the_files_of_the_first(shared: Home) -> None:
    shared.start()
    first = shared.announced
    port = access.free_port()
    web = shared.begin("web", CLAUDE_MEM_SERVER_PORT=str(port))
    until(lambda: peek.healthy("127.0.0.1", port), 60)
    web.terminate()
    web.communicate(timeout=30)
    assert first is not None
    assert shared.announced == first


def test_a_worker_that_is_started_by_hand_stops_alone(shared: Home) -> None:
    told = shared.start()
    worker = shared.begin("worker", "start")
    assert worker.stdout is not None
    words = json.loads(worker.stdout.readline())
    assert words == {"status": "worker-running", "runtime": "server-beta", "pid": worker.pid}
    worker.terminate()
    _, said = worker.communicate(timeout=30)
    assert worker.returncode == 0
    assert re.search(r"queue store: Valkey 9\S+ at 127\.0\.0\.1:\d+; database: ", said.decode())
    assert shared.announced == Mark(told["pid"], pids.token_of(told["pid"]))
    assert set(shared.note()) == {"supervisor", "store", "web", "worker", "beat"}
    assert shared.names() >= {"up.json", *serverfiles.NAMES}


@pytest.mark.skipif(not on_postgresql(), reason="hosts share a database on a server alone")
def test_a_worker_of_another_host_works_for_a_server_and_touches_nothing_of_it(
    own: Home, tmp_path: Path
) -> None:
    with serving(tmp_path) as url:
        own.variables["CLAUDE_MEM_REDIS_URL"] = url
        told = own.run("start", CLAUDE_MEM_GENERATION_DISABLED="1")
        (key,) = re.findall(r"API key +(\S+)", told.stderr)
        (call,) = tool_calls(1, "s")
        sent = httpx.post(
            f"http://127.0.0.1:{own.port}{HOOK}",
            json=call, headers={"Authorization": f"Bearer {key}"},
        )  # fmt: skip
        assert sent.is_success, sent.text
        other = tmp_path / "other"
        worker = own.begin("worker", "start", CLAUDE_MEM_DATA_DIR=str(other))
        until(lambda: _jobs(own)["completed"] == 1, 60)
        worker.terminate()
        _, said = worker.communicate(timeout=30)
        assert f"queue store: Valkey 9.1.2 at {urlsplit(url).hostname}" in said.decode()
        assert "database: claudemem_" in said.decode()
        assert own.names() >= {"up.json", *serverfiles.NAMES}
        assert not {path.name for path in other.iterdir()} - {"secret_key", "logs"}
        assert own.run("stop").stdout == "Server stopped\n"


def _jobs(home: Home) -> dict[str, int]:
    """How many jobs there are, by their state."""
    told: dict[str, int] = json.loads(home.run("status", "--json").stdout)["jobs"]
    return told
