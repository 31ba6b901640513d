"""The web process: granian, one process, blocking threads over Django's WSGI application."""

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.common import AbstractServer
from granian.server.mt import MTServer

from claudemem.interpreter import favour_writers


class OneProcess(MTServer):
    """Granian's threaded server, under the interpreter's lock.

    Its usual server keeps a process that only watches another: 12 MB, a second start of Python,
    and a web that goes on by itself when its watcher is killed. We have a supervisor.
    """

    def _check_gil(self) -> None:
        pass

    def run(self) -> None:
        """Serve until a signal."""
        # Leaves out the warning about free-threaded Python, which this is not.
        AbstractServer.serve(self)


def serve() -> None:
    """Serve until SIGTERM or SIGINT; requests that are being answered are finished."""
    from django.conf import settings

    from claudemem import listening
    from observations import readings

    favour_writers()
    OneProcess(
        "claudemem.wsgi:application",
        address=listening.address(settings.HOST),  # it knows no names
        port=settings.PORT,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=settings.WEB_THREADS,
        http=HTTPModes.http1,
        websockets=False,
        backlog=1024,
        log_access=False,
        log_level=LogLevels.warning,
    ).run()
    readings.shared.finish()
