"""What tells one process from another, as it is told on Linux and as it is told elsewhere."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from queueing import pids
from queueing.pids import Mark
from tests.waiting import until

pytestmark = pytest.mark.once


@pytest.fixture(params=["linux", "darwin"], autouse=True)
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of a system; psutil's is the same everywhere, so that it can be tried here."""
    if request.param == "linux" and sys.platform != "linux":
        pytest.skip("this is another system")
    monkeypatch.setattr(pids.sys, "platform", request.param)


@pytest.fixture
def child(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    (tmp_path / "work").mkdir()
    with subprocess.Popen(["sleep", "60"], cwd=tmp_path / "work") as process:
        yield process
        process.kill()


def test_a_process_is_itself_for_as_long_as_it_lives(child: "subprocess.Popen[bytes]") -> None:
    mark = pids.mark(child.pid)
    assert mark.alive
    assert mark == pids.mark(child.pid)
    assert len(mark.token.split()) == 1  # as a file keeps it
    assert mark.token != pids.mark(os.getpid()).token
    child.kill()
    # Until somebody asks how it ended, it still has its number.
    until(lambda: not mark.alive)
    assert not mark.signal(0)
    assert child.wait() == -9
    assert not mark.alive


def test_another_process_with_its_number_is_another(child: "subprocess.Popen[bytes]") -> None:
    stale = Mark(child.pid, pids.mark(os.getpid()).token)
    assert not stale.alive
    assert not stale.signal(9)
    assert child.poll() is None


@pytest.mark.parametrize("number", [-1, 0, 2**22 + 1, 2**31, 2**70])
def test_a_number_that_no_process_has_is_no_process(number: int) -> None:
    assert pids.mark(number) == Mark(number, "")
    assert not pids.mark(number).alive


def test_a_mark_is_kept_for_its_directory_alone(tmp_path: Path) -> None:
    me = pids.mark(os.getpid())
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    pids.write(tmp_path / "one" / "mark", me)
    (tmp_path / "two" / "mark").write_bytes((tmp_path / "one" / "mark").read_bytes())
    assert pids.read(tmp_path / "one" / "mark") == me
    assert pids.read(tmp_path / "two" / "mark") is None


def test_the_directory_in_which_a_process_works_is_known_by_whatever_name(
    child: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "work")
    assert pids.works_in(child.pid, tmp_path / "work")
    assert pids.works_in(child.pid, tmp_path / "link")
    assert not pids.works_in(child.pid, tmp_path)
    assert not pids.works_in(2**22 + 1, tmp_path)
    assert not pids.works_in(-1, tmp_path)
    (tmp_path / "work").rename(tmp_path / "elsewhere")
    assert pids.works_in(child.pid, tmp_path / "elsewhere")
    assert not pids.works_in(child.pid, tmp_path / "work")


def test_how_a_child_ended_is_told_once() -> None:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "kill -9 $$"], {})
    until(lambda: not pids.mark(pid).alive)
    assert pids.reap(pid) == -9
    assert pids.reap(pid) is None


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root becomes somebody else")
def test_a_process_of_another_user_is_a_sentence(child: "subprocess.Popen[bytes]") -> None:
    code = f"""
import os
from queueing import pids
os.setuid(12345)
try:
    pids.mark({child.pid}).signal(0)
except pids.NotOurs as error:
    print(error)
"""
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        cwd=Path(pids.__file__).parents[1],
    )  # fmt: skip
    assert told.stdout == (
        f"the process {child.pid} belongs to another user: run this as that user\n"
    ), told.stderr
