"""The web process: granian, one process, blocking threads over Django's WSGI application."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Any
from wsgiref.util import setup_testing_defaults

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.common import AbstractServer
from granian.server.mt import MTServer

from claudemem import ending, leaving, listening
from claudemem.interpreter import favour_writers

# Requests that are on their way when no more connections are taken have so long (s) to arrive.
_LAST_SECONDS = 0.1
_LOOK_SECONDS = 0.02
_PAUSE_SECONDS = 0.2


class OneProcess(MTServer):
    """Granian's threaded server, under the interpreter's lock, at a socket that is open already.

    Its usual server keeps a process that only watches another: 12 MB, a second start of Python,
    and a web that goes on by itself when its watcher is killed. We have a supervisor.
    """

    def __init__(
        self, listener: int, ready: Callable[[], None], drain: float, grace: float, **options: Any
    ) -> None:
        super().__init__("claudemem.wsgi:application", interface=Interfaces.WSGI, **options)
        self._listener = listener
        self._ready = ready
        self._drain = drain
        self._grace = grace

    def run(self) -> None:
        """Serve until a signal."""
        # Leaves out the warning about free-threaded Python, which this is not.
        AbstractServer.serve(self)

    def _check_gil(self) -> None:
        pass

    def _init_shared_socket(self) -> None:
        # It takes the number over, and closes it at its end.
        backlog = [listening.BACKLOG] if sys.platform.startswith(("linux", "freebsd")) else []
        self._shd = SocketHolder(self._listener, False, *backlog)  # type: ignore[call-arg,assignment]

    def _spawn_workers(self, *given: Any) -> None:
        super()._spawn_workers(*given)  # type: ignore[no-untyped-call]
        # After its own: they would end all connections, and those that just came unanswered.
        ending.by_signal(self._leave, grace=self._grace, retires=True)
        threading.Thread(target=_tell, args=(self._ready,), name="ready", daemon=True).start()

    def _leave(self, order: ending.Order) -> None:
        """Have all that was asked answered, and then the server end."""
        leaving.begun.set()
        retiring = order.number == ending.RETIRE
        if self._drain and not retiring:
            order.wait(self._drain)
        port = listening.port_of(self._listener)
        listening.close_quietly(self._listener)
        until = time.monotonic() + (ending.RETIRING_SECONDS if retiring else _LAST_SECONDS)
        while time.monotonic() < until and listening.connections(port):
            if order.wait(_LOOK_SECONDS):
                break
        self.signal_handler_interrupt()  # type: ignore[no-untyped-call]


def serve(listener: int | None, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT; requests that are being answered are finished.

    `listener` is the number of a socket that listens already, and is shared with processes that
    take its connections when this one takes no more. `ready` is called once events are accepted.
    """
    from django.conf import settings

    from observations import lastused, readings

    favour_writers()
    if listener is None:
        listener = listening.opened(settings.HOST, settings.PORT).detach()
    server = OneProcess(
        listener,
        ready,
        settings.DRAIN_SECONDS,
        settings.GRACE_SECONDS,
        workers=1,
        blocking_threads=settings.WEB_THREADS,
        http=HTTPModes.http1,
        websockets=False,
        backlog=listening.BACKLOG,
        log_access=False,
        log_level=LogLevels.warning,
    )
    # What the first request would load is there before one comes, which another web may answer.
    _status("/readyz")
    server.run()
    readings.shared.finish()
    lastused.shared.finish()


def _tell(ready: Callable[[], None]) -> None:
    while _status("/readyz") != "200 OK":
        time.sleep(_PAUSE_SECONDS)
    ready()


def _status(path: str) -> str:
    """How the application answers here, without a connection."""
    from claudemem.wsgi import application

    told: list[str] = []

    def start(status: str, *_: object) -> Callable[[bytes], object]:
        told.append(status)
        return lambda _: None

    environ: dict[str, Any] = {"PATH_INFO": path}
    setup_testing_defaults(environ)
    application(environ, start).close()
    return told[0]
