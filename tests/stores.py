"""Private queue stores for tests, and disks that fill up under them."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from queueing import access, pids
from queueing.access import Access
from queueing.managed import ManagedStore
from queueing.store import Server
from tests.waiting import until


def kept(data: Path) -> ManagedStore:
    """The store of a data directory."""
    return ManagedStore(data / "redis", data / "logs")


class House:
    """A data directory that holds a store and nothing else; `binary` as CLAUDE_MEM_REDIS_BINARY."""

    def __init__(self, root: Path, binary: str = "", **options: int) -> None:
        self.redis = root / "data dir" / "redis"
        self.logs = root / "data dir" / "logs"
        self.store = ManagedStore(self.redis, self.logs, binary, **options)

    def start(self, *, may_move: bool = True) -> Server:
        return self.store.start(may_move=may_move)

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.store.url)

    def push(self, *messages: bytes) -> None:
        """Send messages, and see to it that they are on the disk."""
        with self.client() as client:
            client.config_set("appendfsync", "always")
            client.lpush("kept", *messages)
            client.config_set("appendfsync", "everysec")

    def waiting(self) -> int:
        """How many messages wait."""
        with self.client() as client:
            return int(client.llen("kept"))

    def kill(self) -> None:
        """kill -9 of the server."""
        process = self.store.process()
        assert process is not None
        process.signal(signal.SIGKILL)
        until(lambda: not process.alive)
        pids.reap(process.pid)

    @property
    def access(self) -> Access:
        known = access.read(self.redis)
        assert known is not None
        return known

    @property
    def log(self) -> str:
        return "".join(path.read_text() for path in self.logs.iterdir())


class Disk:
    """A disk of a megabyte, or a few."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._ballast = root / "ballast"

    def fill(self, leaving: int = 0) -> None:
        """Leave so many bytes of room."""
        free = os.statvfs(self.root).f_bavail * os.statvfs(self.root).f_frsize
        with self._ballast.open("ab", buffering=0) as file:
            file.write(bytes(max(0, free - leaving)))

    def clear(self) -> None:
        """Make room again."""
        self._ballast.unlink()

    def make_read_only(self) -> None:
        subprocess.run(["mount", "-o", "remount,ro", self.root], check=True)


@contextmanager
def mounted(folder: Path, megabytes: int = 1) -> Iterator[Disk]:
    """A disk of its own, of that size, at `folder`; where none may be mounted, the test is skipped.

    It cannot be taken away again while a server holds a file on it.
    """
    folder.mkdir()
    told = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if told.returncode:
        pytest.skip(f"no disk can be mounted here: {told.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", folder], check=True)
