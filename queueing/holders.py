"""Who holds a port of this machine, which is asked before a password is said there.

A store of ours leaves its port when it is down, and whoever takes it would be told the password by
all who call there. What listens must belong to the user whose store it is.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTENS = "0A"
# Loopback and all addresses, as the tables write them: words of four bytes, by machine order.
_HERE = {"0100007F", "7F000001", "0" * 8, "0" * 32}


def is_held_by(user: int, port: int) -> bool:
    """Whether who listens at this port of 127.0.0.1 is the user of that number, and nobody else.

    True too where the system tells nobody: on others than Linux.
    """
    try:
        tables = [table for table in _TABLES if table.exists()]  # the second only with IPv6
        return not tables or set(_listeners(port, tables)) == {user}
    except OSError:
        return True


def _listeners(port: int, tables: Iterable[Path]) -> Iterator[int]:
    """The users of what listens at this port where a call to loopback is taken."""
    wanted = f"{port:04X}"
    for table in tables:
        with table.open() as lines:
            next(lines, None)
            for line in lines:
                _, local, _, state, _, _, _, user, *_ = line.split()
                if state != _LISTENS:
                    break  # The many that listen no more, or never did, come behind.
                address, _, held = local.partition(":")
                if held == wanted and address in _HERE:
                    yield int(user)
