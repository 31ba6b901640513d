"""A store with a replica, watched by a Sentinel: all of them real, and made to be killed."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from queueing import access
from tests.certificates import Certificate
from tests.waiting import until

PRIMARY = "main"
PASSWORD, SENTINEL_PASSWORD = "hidden", "watchful"


class Pair:
    """Two servers and their Sentinel, all of them over TLS if they are given a certificate."""

    def __init__(self, folder: Path, program: Path, certificate: Certificate | None = None) -> None:
        self.folder = folder
        self._program = program
        self._certificate = certificate
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
        known = self._certificate
        scheme, rest = (
            ("sentinels", f"&ssl_ca_certs={known.authority}") if known else ("sentinel", "")
        )
        return (
            f"{scheme}://:{PASSWORD}@{self.hosts}/{PRIMARY}/0"
            f"?sentinel_password={SENTINEL_PASSWORD}{rest}"
        )

    def start(self) -> None:
        """Start all three, and wait until the replica has what the primary has."""
        first, second = self.ports
        self._serve(first)
        self._serve(second, "--replicaof", "127.0.0.1", str(first))
        until(lambda: self._told(second).get("master_link_status") == "up")
        self._watch(first)
        # It asks for replicas every ten seconds, and does nothing for thirty after two in which the
        # machine stood still.
        paces = {"info-period": 200, "ping-period": 200, "tilt-period": 500}
        for name, milliseconds in paces.items():
            self._asked().execute_command("SENTINEL", "DEBUG", name, str(milliseconds))
        # Until it has heard of the replica, it would have nobody to put in the place of the other.
        until(lambda: len(self._asked().sentinel_slaves(PRIMARY)) == 1)

    def kill_primary(self) -> redis.Redis:
        """kill -9, and wait until the other one is the primary; a client of that."""
        # Whichever it is: on a busy machine a Sentinel may have thought it dead before.
        _, port = self._asked().sentinel_get_master_addr_by_name(PRIMARY)
        dead = self.ports.index(int(port))
        self._running[dead].kill()
        self._running[dead].wait()
        other = self.ports[1 - dead]
        until(lambda: self._told(other)["role"] == "master", 120)
        return self.client(other)

    def stop(self) -> None:
        """End all three."""
        for one in self._running:
            one.kill()
            one.wait()

    def client(self, port: int) -> redis.Redis:
        """A client of one of the two servers."""
        return self._client(port, PASSWORD)

    def _told(self, port: int) -> dict[str, object]:
        with self.client(port) as client:
            said: dict[str, object] = client.info("replication")
            return said

    def _asked(self) -> redis.Redis:
        return self._client(self.sentinel, SENTINEL_PASSWORD)

    def _client(self, port: int, password: str) -> redis.Redis:
        known = self._certificate
        tls = {"ssl": True, "ssl_ca_certs": str(known.authority)} if known else {}
        return redis.Redis("127.0.0.1", port, password=password, **tls)

    def _listening(self, port: int) -> tuple[str, ...]:
        if self._certificate is None:
            return ("--port", str(port))
        return ("--port", "0", "--tls-port", str(port), "--tls-replication", "yes",
                *self._certificate.flags)  # fmt: skip

    def _serve(self, port: int, *words: str) -> None:
        own = ("--requirepass", PASSWORD, "--masterauth", PASSWORD, "--save", "",
               "--repl-diskless-sync-delay", "0")  # fmt: skip
        self._running.append(self._started(port, *self._listening(port), *own, *words))

    def _watch(self, port: int) -> None:
        wanted = self.folder / "sentinel.conf"
        wanted.write_text(
            f"bind 127.0.0.1\nrequirepass {SENTINEL_PASSWORD}\n"
            f"sentinel monitor {PRIMARY} 127.0.0.1 {port} 1\n"
            f"sentinel auth-pass {PRIMARY} {PASSWORD}\n"
            f"sentinel down-after-milliseconds {PRIMARY} 1000\n"
            f"sentinel failover-timeout {PRIMARY} 5000\n"
        )
        words = (str(wanted), *self._listening(self.sentinel), "--sentinel")
        self._running.append(self._started(self.sentinel, *words))

    def _started(self, port: int, *words: str) -> subprocess.Popen[bytes]:
        command = [self._program, *words]
        server = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL)
        until(lambda: not access.bindable(port) or server.poll() is not None)
        assert server.poll() is None, f"{command} ended at once"
        return server


@contextmanager
def pair(folder: Path, program: Path, certificate: Certificate | None = None) -> Iterator[Pair]:
    """A store with a replica and a Sentinel, gone at the end."""
    servers = Pair(folder, program, certificate)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()
