"""A way to a server that can be cut: what is sent to a port of ours goes on to the server."""

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

_CHUNK = 65536
_LOOK_SECONDS = 0.1
_DIAL_SECONDS = 5.0

Dial = Callable[[], socket.socket]


def by_tcp(host: str, port: int) -> Dial:
    """How to reach a server at a port."""
    return lambda: socket.create_connection((host, port), timeout=_DIAL_SECONDS)


def by_socket(path: str) -> Dial:
    """How to reach a server at a socket of this machine."""

    def dial() -> socket.socket:
        way = socket.socket(socket.AF_UNIX)
        way.settimeout(_DIAL_SECONDS)
        way.connect(path)
        return way

    return dial


class Relay:
    """Listens at `port` of 127.0.0.1, within its block, and passes on what comes to `dial`'s end.

    While it is cut, whoever is connected is hung up on, and so is whoever comes.
    """

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._cut = threading.Event()
        self._ended = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(_LOOK_SECONDS)
        self._taking = threading.Thread(target=self._take, name="relay", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listening.getsockname()[1])

    def __enter__(self) -> Self:
        self._taking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.cut()
        self._taking.join()
        self._listening.close()

    def cut(self) -> None:
        """Let nothing through from now on."""
        self._cut.set()

    def heal(self) -> None:
        """Let whoever comes from now on through."""
        self._cut.clear()

    def _take(self) -> None:
        while not self._ended.is_set():
            with suppress(TimeoutError):
                theirs, _ = self._listening.accept()
                if self._cut.is_set():
                    theirs.close()
                    continue
                threading.Thread(target=self._join, args=(theirs,), daemon=True).start()

    def _join(self, theirs: socket.socket) -> None:
        with theirs, suppress(OSError), self._dial() as server:
            for end in (theirs, server):
                end.settimeout(_DIAL_SECONDS)
            other = {theirs: server, server: theirs}
            while not self._cut.is_set():
                ready, _, _ = select.select(list(other), [], [], _LOOK_SECONDS)
                for end in ready:
                    if not (chunk := end.recv(_CHUNK)):
                        return
                    other[end].sendall(chunk)
