"""Telling a process from a later one that happens to have its number.

A process number alone says nothing after a crash or a reboot: it may belong to anybody by then.
A mark holds the number and a start token, and nothing is signalled whose token differs.
"""

import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from queueing.errors import QueueingError

_POLL_SECONDS = 0.02
# So much of a program's name does Linux know.
_NAME_BYTES = 15


class NotOurs(QueueingError):
    """A process belongs to another user."""


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
        """Send a signal to this process; False, and nothing sent, if it is gone.

        Raises NotOurs if that is not allowed to us.
        """
        if not self.alive:
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:
            raise NotOurs(
                f"the process {self.pid} belongs to another user: run this as that user"
            ) from None
        return True


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


def gone(processes: Sequence[Mark], seconds: float) -> bool:
    """Whether all of these have ended, within so many seconds."""
    deadline = time.monotonic() + seconds
    while any(process.alive for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def reap(pid: int) -> int | None:
    """Take a process that has just died out of the process table, if it was our child.

    Returns how it ended, as `subprocess` says it: a signal as a negative number; None if it was
    not our child.
    """
    with suppress(ChildProcessError):
        # Its first thread can be gone before its last.
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return None


def works_in(pid: int, folder: Path) -> bool:
    """Whether this is the working directory of a process; False too if we may not know."""
    with suppress(OSError):
        return os.path.samefile(_folder_of(pid), folder)
    return False


def at_work(folder: Path, names: Collection[str]) -> Mark | None:
    """The process whose working directory this is, and whose program has one of these names.

    Of several the oldest: servers have children that write for them. None too if we may not know.
    """
    found = (mark(pid) for pid in _called(names) if works_in(pid, folder))
    began = {float(each.token.rpartition(":")[2]): each for each in found if each.token}
    return began[min(began)] if began else None


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
    # Some sandboxes hide the boot's id.
    return "" if fields[0] in {"Z", "X"} else f"{boot() or 'boot'}:{fields[19]}"


@cache
def boot() -> str:
    """What tells this run of the machine from any other of any machine; "" if nothing does."""
    with suppress(OSError, subprocess.SubprocessError):
        if sys.platform == "linux":
            return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        if sys.platform == "darwin":
            asked = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
            said = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True)
            return said.stdout.strip()
    return ""


def _folder_of(pid: int) -> str:
    return f"/proc/{pid}/cwd" if sys.platform == "linux" else _portable_folder(pid)


def _linux_memory(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line[:4] == "Pss:")


def _called(names: Collection[str]) -> Iterator[int]:
    """The numbers of the processes whose programs have one of these names."""
    return _linux_called(names) if sys.platform == "linux" else _portable_called(names)


def _linux_called(names: Collection[str]) -> Iterator[int]:
    known = {name.encode()[:_NAME_BYTES] for name in names}
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            with suppress(OSError):
                if (each / "comm").read_bytes().rstrip(b"\n") in known:
                    yield int(each.name)


# Linux needs no psutil, and this module is imported by everything.


def _portable_token(pid: int) -> str:
    import psutil  # type: ignore[import-untyped]

    if pid <= 0:  # which it calls an error in the program
        return ""
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


def _portable_folder(pid: int) -> str:
    import psutil

    try:
        return str(psutil.Process(pid).cwd())
    except (psutil.Error, ValueError):
        return ""


def _portable_called(names: Collection[str]) -> Iterator[int]:
    import psutil

    return (each.pid for each in psutil.process_iter(["name"]) if each.info["name"] in names)
