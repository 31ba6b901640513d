"""A look at the running web process from outside, over HTTP and with next to no memory."""

import json
import socket
import threading
from dataclasses import dataclass, field
from typing import Any

_STATES = ("waiting", "active", "delayed", "completed", "failed")


@dataclass(frozen=True, slots=True)
class Reading:
    """Whether the web answers, and what it last said of itself (`/v1/info`)."""

    healthy: bool = False
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def jobs(self) -> dict[str, int]:
        """How many jobs there are by state, over all kinds; empty if that is not known."""
        try:
            lanes = self.info["queueLanes"]
            return {state: sum(int(lane.get(state, 0)) for lane in lanes) for state in _STATES}
        except (ValueError, KeyError, TypeError, AttributeError):
            return {}

    @property
    def well(self) -> bool:
        """Whether no part of it said that something is wrong."""
        parts = self.info.get("boundaries", {}).values()
        return bool(parts) and all(part["status"] != "errored" for part in parts)


def get(host: str, port: int, path: str, *, timeout: float = 1.0) -> tuple[int, bytes]:
    """The status and body that the server at this port answers. Raises OSError or ValueError.

    The standard library's client would double the supervisor's memory.
    """
    with socket.create_connection((host, port), timeout=timeout) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n".encode())
        with connection.makefile("rb") as stream:
            head, _, body = stream.read().partition(b"\r\n\r\n")
    return int(head.split(None, 2)[1]) if head.startswith(b"HTTP/") else 0, body


def healthy(host: str, port: int, path: str = "/healthz") -> bool:
    """Whether the process that listens there answers that it is well."""
    try:
        return get(host, port, path)[0] == 200
    except (OSError, ValueError):
        return False


def info(host: str, port: int) -> dict[str, Any]:
    """What the server says of itself; empty if that cannot be learned."""
    try:
        # It waits a little itself for each part that does not answer.
        status, body = get(host, port, "/v1/info", timeout=3.0)
        said = json.loads(body) if status == 200 else {}
        return said if isinstance(said, dict) else {}
    except (OSError, ValueError):
        return {}


class Gauge:
    """Looks again and again, in a thread; `reading` is what was seen last."""

    def __init__(self, host: str, port: int, *, with_jobs: bool) -> None:
        self.reading = Reading()
        self._address = (host, port)
        self._with_jobs = with_jobs
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, name="gauge", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(2.0 if self.reading.healthy else 0.1):
            well = healthy(*self._address)
            last = self.reading
            # Asking costs the web a few statements: no more once all is well, if nobody counts.
            asked = well and (self._with_jobs or not last.well)
            self.reading = Reading(well, info(*self._address) if asked else last.info)
