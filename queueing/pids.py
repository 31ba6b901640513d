"""Telling a process from a later one that happens to have its number.

A process number alone says nothing after a crash or a reboot: it may belong to anybody by then.
A mark holds the number and a start token, and nothing is signalled whose token differs.
"""

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mark:
    """One process, for as long as it lives."""

    pid: int
    token: str

    @property
    def alive(self) -> bool:
        """Whether this very process still runs (one that waits to be reaped does not)."""
        return bool(self.token) and token_of(self.pid) == self.token

    def signal(self, number: int) -> bool:
        """Send a signal to this process; False, and nothing sent, if it is gone."""
        if not self.alive:
            return False
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
            return True
        return False


def mark(pid: int) -> Mark:
    """The mark of the process that has this number now; never alive if there is none."""
    return Mark(pid, token_of(pid))


def token_of(pid: int) -> str:
    """What tells this process from any other that ever had its number, or "" if there is none."""
    return _linux_token(pid) if sys.platform == "linux" else _portable_token(pid)


def read(path: Path) -> Mark | None:
    """The mark kept in a file; None if there is none, it is no mark, or the file is a copy."""
    try:
        pid, token, place = path.read_text().split()
        return Mark(int(pid), token) if place == _place(path) else None
    except (OSError, ValueError):
        return None


def write(path: Path, process: Mark) -> None:
    """Keep a mark in a file, which is never seen half written. Raises OSError."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(f"{process.pid} {process.token} {_place(path)}\n")
    fresh.replace(path)


def _place(path: Path) -> str:
    # A copied directory brings the file along, but the process is still the original's.
    folder = path.parent.stat()
    return f"{folder.st_dev}:{folder.st_ino}"


def reap(pid: int) -> None:
    """Take a process that has just died out of the process table, if it was our child."""
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)  # its first thread can be gone before its last


def memory(pid: int) -> int:
    """Bytes of memory that a process takes, shared pages shared out; 0 if it cannot be known."""
    return _linux_memory(pid) if sys.platform == "linux" else _portable_memory(pid)


def _linux_token(pid: int) -> str:
    # Ticks since boot do not move with the wall clock, as a creation time in seconds does; the
    # boot's id tells one boot's ticks from another's.
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {"Z", "X"} else f"{_boot()}:{fields[19]}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # some sandboxes hide it
        return "boot"


def _linux_memory(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line[:4] == "Pss:")


# Linux needs no psutil, and this module is imported by everything.


def _portable_token(pid: int) -> str:
    import psutil  # type: ignore[import-untyped]

    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except psutil.Error:
        return ""


def _portable_memory(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
