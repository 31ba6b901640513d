"""How the kernel is told to find out that the other end of a connection is gone.

A network that has lost the other end says nothing. What is sent into it is sent again for a quarter
of an hour, and a connection on which nothing is to be sent stays as it is for hours.
"""

import socket
from dataclasses import dataclass
from typing import Final

_COUNT: Final = 3


@dataclass(frozen=True, slots=True)
class Probes:
    """After `idle` seconds of silence, `count` questions `interval` seconds apart."""

    idle: int
    interval: int
    count: int


def probes(seconds: float) -> Probes:
    """Those by which a connection is given up after so many seconds of silence, 4 at least."""
    interval = max(1, round(seconds / 5))
    return Probes(max(1, round(seconds) - _COUNT * interval), interval, _COUNT)


def options(seconds: float) -> dict[int, int]:
    """The same as options of a TCP socket, as far as this system has them.

    What was sent must be acknowledged within that time too.
    """
    asked = probes(seconds)
    values = {
        "TCP_KEEPIDLE": asked.idle,
        "TCP_KEEPALIVE": asked.idle,  # macOS's word for it
        "TCP_KEEPINTVL": asked.interval,
        "TCP_KEEPCNT": asked.count,
        "TCP_USER_TIMEOUT": round(seconds * 1000),
    }
    known = ((getattr(socket, name, None), value) for name, value in values.items())
    return {number: value for number, value in known if number is not None}
