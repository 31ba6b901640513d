"""The web process: granian, one process, its threads over Django's WSGI application.

Granian speaks HTTP, and asks a thread of its own to take each request, as an ASGI server. What is
taken is Django's, and called right there (`bridge`), or an asynchronous application's (`asgi`).
"""

import logging
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from wsgiref.util import setup_testing_defaults

from granian._granian import ASGIWorker, CallbackScheduler, SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.common import WORKERS_METHODS, AbstractServer
from granian.server.mt import MTServer

from claudemem import arrivals, ending, leaving, listening
from claudemem.interpreter import favour_writers, loading, look_for_circles_less

if TYPE_CHECKING:
    from claudemem.asgi import Applications
    from claudemem.bridge import Bridge

# Requests that are on their way when no more connections are taken have so long (s) to arrive.
_LAST_SECONDS = 0.1
_LOOK_SECONDS = 0.02
_PAUSE_SECONDS = 0.2
# So many connections are had at once, if the system lets us have so many files; others wait.
_CONNECTIONS = 4096
_OTHER_FILES = 128

log = logging.getLogger(__name__)

# What is written of their types is not what they are.
_Worker: Any = ASGIWorker
_Scheduler: Any = CallbackScheduler


class AtOnce:
    """Stands where granian expects an event loop: what is to be called is called, here and now."""

    @staticmethod
    def call_soon(callback: Callable[..., object], *given: Any, context: object = None) -> None:  # noqa: ARG004
        """Call `callback`; granian comes here in one of its threads."""
        callback(*given)

    call_soon_threadsafe = call_soon


class OneProcess(MTServer):
    """Granian's threaded server, under the interpreter's lock, at a socket that is open already.

    Its usual server keeps a process that only watches another: 12 MB, a second start of Python,
    and a web that goes on by itself when its watcher is killed. We have a supervisor.
    """

    def __init__(
        self,
        listener: int,
        ready: Callable[[], None],
        applications: "Applications",
        *,
        drain: float,
        grace: float,
        **options: Any,
    ) -> None:
        super().__init__("claudemem.wsgi:application", interface=Interfaces.WSGI, **options)
        self._listener = listener
        self._ready = ready
        self._drain = drain
        self._grace = grace
        self._applications = applications

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

    def _spawn_wsgi_worker(
        self, number: int, ends: Any, application: Any, shared: Any, _: Any, mode: Any, *given: Any
    ) -> None:
        """Serve as granian's own does, but as an ASGI server whose requests come to `_taken`."""
        from claudemem.bridge import Bridge

        *threads, _task, http, http1, http2, sockets, files, _log, tls, _scope, metrics = given
        worker = _Worker(
            number, shared, None, *threads, http, http1, http2, sockets, files, *tls, metrics
        )
        bridge, at_once, ended = Bridge(application), AtOnce(), threading.Event()
        ends.add_cb(ended.set)
        scheduler = _Scheduler(at_once, None, None, None, None)
        scheduler._schedule_fn = partial(self._taken, bridge)
        getattr(worker, WORKERS_METHODS[mode][False])(scheduler, at_once, ends)
        ended.wait()

    def _taken(self, bridge: "Bridge", asked: Any) -> None:
        scope, proto = asked.scope, asked.proto
        try:
            if not self._applications.take(scope, proto):
                bridge.take(scope, proto)
        except Exception:  # The caller is no Python, and knows nothing of errors.
            log.exception("a request could not be taken")
            asked.done()

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
        self._applications.close()
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
    with loading():
        from django.conf import settings

        # Django first: what is asynchronous is built on it.
        from claudemem import wsgi  # noqa: F401
        from claudemem.asgi import Applications
        from observations import lastused, readings

    favour_writers()
    if listener is None:
        listener = listening.opened(settings.HOST, settings.PORT).detach()
    server = OneProcess(
        listener,
        ready,
        Applications(),
        drain=settings.DRAIN_SECONDS,
        grace=settings.GRACE_SECONDS,
        workers=1,
        blocking_threads=settings.WEB_THREADS,
        http=HTTPModes.http1,
        websockets=False,
        backlog=listening.BACKLOG,
        backpressure=listening.most_connections(_CONNECTIONS, others=_OTHER_FILES),
        log_access=False,
        log_level=LogLevels.warning,
    )
    threading.Thread(target=arrivals.watch, name="arrivals", daemon=True).start()
    # What the first request would load is there before one comes, which another web may answer.
    with loading():
        _status("/readyz")
    look_for_circles_less()
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
