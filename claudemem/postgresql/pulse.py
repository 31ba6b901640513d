"""Whether a PostgreSQL server answers at all, asked in the cheapest way: no login, no statement."""

import socket
from dataclasses import dataclass
from typing import Final

# "Do you speak TLS?": every server and pooler answers with a letter, before it knows who asks.
_QUESTION: Final = bytes.fromhex("0000000804d2162f")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens: a host or the directory of its socket, and a port."""

    host: str
    port: int

    def answers(self, seconds: float) -> bool:
        """Whether it says anything within so many seconds.

        A server that stands still takes connections (its kernel does) but says nothing.
        """
        try:
            with self._connected(seconds) as asking:
                asking.sendall(_QUESTION)
                return bool(asking.recv(1))
        except OSError:
            return False

    def _connected(self, seconds: float) -> socket.socket:
        if not self.host.startswith(("/", "@")):
            return socket.create_connection((self.host, self.port), seconds)
        asking = socket.socket(socket.AF_UNIX)
        asking.settimeout(seconds)
        try:
            asking.connect(f"{self.host}/.s.PGSQL.{self.port}".replace("@", "\0", 1))
        except OSError:
            asking.close()
            raise
        return asking
