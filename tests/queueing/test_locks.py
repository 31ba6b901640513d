"""Locks over processes, with real ones."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from queueing import locks

pytestmark = pytest.mark.once

HOLD = """
import sys
from pathlib import Path
from queueing import locks
with locks.hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def holder(lock: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], cwd=ROOT, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def refuse(lock: Path) -> None:
    with pytest.raises(BlockingIOError), locks.hold(lock, wait=False):
        pass


def test_it_is_held_by_one_and_dies_with_its_holder(lock: Path) -> None:
    with holder(lock) as other:
        refuse(lock)
        other.kill()
        other.wait()
        with locks.hold(lock, wait=False):
            refuse(lock)
        with locks.hold(lock, wait=False):
            pass


def test_it_is_its_owners_alone(lock: Path) -> None:
    with locks.hold(lock):
        assert lock.stat().st_mode & 0o777 == 0o600


def test_who_waited_for_one_that_was_removed_holds_the_one_that_is_there(lock: Path) -> None:
    got, done = threading.Event(), threading.Event()

    def wait() -> None:
        with locks.hold(lock):
            got.set()
            done.wait(60)

    with locks.hold(lock):
        waiter = threading.Thread(target=wait)
        waiter.start()
        # Whether it has opened the file by now or not: what counts is what it holds in the end.
        assert not got.wait(0.2)
        lock.unlink()
    assert got.wait(60)
    refuse(lock)
    done.set()
    waiter.join()


def test_without_such_locks_it_says_where_to_run(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as windows:
        windows.setitem(sys.modules, "fcntl", None)
        with pytest.raises(locks.NoLocks, match="in WSL"), locks.hold(lock):
            pass
