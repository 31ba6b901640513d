"""Ports for servers that tests start, of which no two that run at once are given the same."""

import os
import secrets
from collections.abc import Iterator
from itertools import cycle

from queueing import access


def _own() -> Iterator[int]:
    """Those of this process, for ever, from anywhere on: each process of a run has its share."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = access.PORTS[worker :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    first = secrets.randbelow(len(share))
    return cycle([*share[first:], *share[:first]])


_ports = _own()


def free_port() -> int:
    """A port at which nobody listens now, and which nobody else is given before it is used."""
    return next(port for port in _ports if access.bindable(port))
