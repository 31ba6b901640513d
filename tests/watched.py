"""A store with a replica, watched by a Sentinel: all of them real, and any of them can be killed."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis

from queueing import access
from tests.waiting import until

PRIMARY = "main"
PASSWORD, SENTINEL_PASSWORD = "hidden", "watchful"  # noqa: S105 - of servers that are gone at once


class Watched:
    """Two servers and their Sentinel; `flags` are given to all three."""

    def __init__(self, folder: Path, program: Path, flags: Sequence[str] = ()) -> None:
        self.folder = folder
        self._program = program
        self._flags = flags
        self.ports = (access.free_port(), access.free_port())
        self.sentinel = access.free_port()
        self._running: list[subprocess.Popen[bytes]] = []

    @property
    def hosts(self) -> str:
        """Sentinels for a URL; the first is not there."""
        return f"127.0.0.1:1,127.0.0.1:{self.sentinel}"

    @property
    def url(self) -> str:
        """What leads to whichever is the primary."""
        return (
            f"sentinel://:{PASSWORD}@{self.hosts}/{PRIMARY}/0?sentinel_password={SENTINEL_PASSWORD}"
        )

    def start(self) -> None:
        """Start all three, and wait until the replica has what the primary has."""
        first, second = self.ports
        self._serve(first)
        self._serve(second, "--replicaof", "127.0.0.1", str(first))
        until(lambda: self._told(second).get("master_link_status") == "up")
        self._watch(first)
        # Until it has heard of the replica, it would have nobody to put in the place of the other.
        until(lambda: len(self._asked().sentinel_slaves(PRIMARY)) == 1, 30)

    def kill_primary(self) -> None:
        """kill -9, and wait until the replica is the primary."""
        self._running[0].kill()
        self._running[0].wait()
        until(lambda: self._told(self.ports[1])["role"] == "master", 60)

    def bring_back(self) -> None:
        """Start the old primary again; the Sentinel makes a replica of it."""
        self._running[0] = self._started(self.ports[0], "--port", str(self.ports[0]), *self._own())
        until(lambda: self._told(self.ports[0])["role"] == "slave", 60)

    def stop(self) -> None:
        """End all three."""
        for one in self._running:
            one.kill()
            one.wait()

    def client(self, port: int) -> redis.Redis:
        """A client of one of the two servers."""
        return redis.Redis("127.0.0.1", port, password=PASSWORD)

    def _told(self, port: int) -> dict[str, object]:
        with self.client(port) as client:
            said: dict[str, object] = client.info("replication")
            return said

    def _asked(self) -> redis.Redis:
        return redis.Redis("127.0.0.1", self.sentinel, password=SENTINEL_PASSWORD)

    def _own(self) -> tuple[str, ...]:
        return ("--requirepass", PASSWORD, "--masterauth", PASSWORD, "--save", "", *self._flags)

    def _serve(self, port: int, *words: str) -> None:
        self._running.append(self._started(port, "--port", str(port), *self._own(), *words))

    def _watch(self, port: int) -> None:
        wanted = self.folder / "sentinel.conf"
        wanted.write_text(
            f"port {self.sentinel}\nbind 127.0.0.1\nrequirepass {SENTINEL_PASSWORD}\n"
            f"sentinel monitor {PRIMARY} 127.0.0.1 {port} 1\n"
            f"sentinel auth-pass {PRIMARY} {PASSWORD}\n"
            f"sentinel down-after-milliseconds {PRIMARY} 500\n"
            f"sentinel failover-timeout {PRIMARY} 5000\n"
        )
        self._running.append(self._started(self.sentinel, "--sentinel", first=str(wanted)))

    def _started(self, port: int, *words: str, first: str = "") -> subprocess.Popen[bytes]:
        command = [self._program, *([first] if first else []), *words]
        server = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL)
        until(lambda: not access.bindable(port) or server.poll() is not None)
        assert server.poll() is None, f"{command} ended at once"
        return server


@contextmanager
def watched(folder: Path, program: Path) -> Iterator[Watched]:
    """A store with a replica and a Sentinel, gone at the end."""
    servers = Watched(folder, program)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()
