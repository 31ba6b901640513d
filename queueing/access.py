"""How to reach the managed store: its configuration file and a few words of its protocol."""

import io
import os
import re
import secrets
import socket
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from queueing import holders

HOST = "127.0.0.1"
# Below every system's range for outgoing connections, so that none of them takes the port while
# the server is down; the port that everybody else's server uses lies outside.
PORTS = range(20_000, 32_000)
ANSWER_SECONDS = 1.0
_MOMENT_SECONDS = 0.1
# Bytes. INFO has some six thousand.
_LONGEST_ANSWER = 100_000
_PASSWORD = re.compile(r"[0-9a-f]{64}")


class NoAnswer(Exception):
    """Nothing answers at this port with this password, or not what was asked for."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where the store listens and what lets us in. The password shows in no repr, so in no log."""

    port: int
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{HOST}:{self.port}/0"


def fresh() -> Access:
    """A free port and a new password of 32 random bytes."""
    return Access(free_port(), secrets.token_hex(32))


def read(directory: Path) -> Access | None:
    """What the configuration in `directory` says; None if there is none, or none of ours."""
    try:
        text = (directory / "redis.conf").read_text()
        facts = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
        return of_ours(facts["port"], facts["requirepass"])
    except (OSError, KeyError, ValueError):
        return None


def of_ours(port: str, password: str) -> Access:
    """The access that these words tell of. Raises ValueError if we never wrote such."""
    known = Access(int(port), password)
    if known.port not in PORTS or not _PASSWORD.fullmatch(password):
        raise ValueError("no port or no password of a store of ours")
    return known


def write(directory: Path, access: Access, megabytes: int) -> None:
    """Write the configuration: for its owner's eyes only, and never seen half written.

    `megabytes` is how much memory the server may fill. Raises OSError.
    """
    home = directory.absolute()
    there, text = home / "redis.conf", _configuration(home, access, megabytes)
    if _is_written(there, text):
        return  # so that a full disk does not keep a server from starting that could
    new = home / "redis.conf.new"
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(there)


def ask(access: Access, command: str, owner: int | None = None) -> str:
    """What the server replies to a command, within a second. Raises NoAnswer or OSError.

    `owner` is the number of the user to whom it must belong; nothing is said to another's.

    A client library would cost the supervisor as much memory as all the rest of it. Whoever is at
    the port may be a stranger, who says as much as they like, as slowly as they like.
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    with socket.create_connection((HOST, access.port), timeout=ANSWER_SECONDS) as connection:
        if owner is not None and not holders.is_held_by(owner, access.port):
            raise NoAnswer("another user's program listens there")
        connection.sendall(f"AUTH {access.password}\r\n{command}\r\nQUIT\r\n".encode())
        said = bytearray()
        while len(said) < _LONGEST_ANSWER and (left := deadline - time.monotonic()) > 0:
            connection.settimeout(left)
            if not (part := connection.recv(_LONGEST_ANSWER)):
                break
            said += part
    replies = io.BytesIO(said)
    _reply(replies.readline(), replies.read)
    return _reply(replies.readline(), replies.read)


def is_closed(access: Access) -> bool:
    """Whether nobody listens there; False if that cannot be told in a moment."""
    try:
        with socket.create_connection((HOST, access.port), timeout=_MOMENT_SECONDS):
            return False
    except ConnectionRefusedError:
        return True
    except OSError:
        return False


def free_port() -> int:
    """A port of ours that nobody listens at now."""
    while True:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        if bindable(port):
            return port


def bindable(port: int, host: str = HOST) -> bool:
    """Whether a server could listen at this port now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As servers do: connections that linger from a last life do not keep the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind((host, port))
            return True
    return False


def _reply(line: bytes, read: Callable[[int], bytes]) -> str:
    kind, rest = line[:1], line[1:].strip()
    if kind == b"+":
        return rest.decode(errors="replace")
    if kind == b"$" and rest.isdigit():
        return read(int(rest) + 2).decode(errors="replace").strip()
    raise NoAnswer(line.decode(errors="replace").strip())


def _is_written(path: Path, text: str) -> bool:
    try:
        return path.read_text() == text and stat.S_IMODE(path.stat().st_mode) == 0o600
    except (OSError, ValueError):
        return False


def _configuration(home: Path, access: Access, megabytes: int) -> str:
    # Only what every server from Redis 6.2 to Valkey 9.1 knows.
    return f"""\
# Written anew at each start: what is changed here is lost.
bind {HOST}
port {access.port}
protected-mode yes
requirepass {access.password}
daemonize no
dir {_quoted(home / "data")}
logfile {_quoted(home / "redis.log")}
loglevel notice
appendonly yes
appendfsync everysec
# Workers ask for messages all the time, which is noted: the file is written anew when it is twice
# what the last one was, and so large at least.
auto-aof-rewrite-percentage 100
auto-aof-rewrite-min-size 16mb
save 60 1
# The append-only file is what is read again; a snapshot that failed need stop nobody.
stop-writes-on-bgsave-error no
aof-load-truncated yes
maxmemory {megabytes}mb
# A message that was taken is never dropped to make room.
maxmemory-policy noeviction
"""


def _quoted(path: Path) -> str:
    # By its bytes: a name may hold whatever there is, also the end of a line.
    return f'"{"".join(map(_letter, os.fsencode(path)))}"'


def _letter(byte: int) -> str:
    letter = chr(byte)
    plain = byte < 0x7F and letter.isprintable() and letter not in '"\\'
    return letter if plain else f"\\x{byte:02x}"
