"""Chromium as it is installed, looking at our pages as a user who is logged in."""

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Every request is expected."""


@contextmanager
def serving(app: App, session_key: str) -> Iterator[str]:
    """Serve `app` on a free port to one who is logged in by `session_key`; yields the address.

    The browser itself sends no cookie: its command line knows no way to give it one.
    """

    def logged_in(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        return app({**environ, "HTTP_COOKIE": f"sessionid={session_key}"}, start)

    server = ThreadedWSGIServer(("127.0.0.1", 0), _Quiet)
    server.set_app(logged_in)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def dom(address: str) -> str:
    """The page as it is after its scripts ran."""
    return _run("--dump-dom", address)


def picture(address: str, file: Path, *, width: int, height: int) -> None:
    """The page as PNG."""
    _run(f"--screenshot={file}", f"--window-size={width},{height}", address)


def _run(*arguments: str) -> str:
    assert PROGRAM, "Chromium is not installed"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # Chromium's sandbox refuses to run as root, as in most containers.
        root = ["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []
        done = subprocess.run(
            [PROGRAM, "--headless=new", "--disable-gpu", "--hide-scrollbars", *root,
             "--no-first-run", "--disable-dev-shm-usage", "--virtual-time-budget=2000",
             f"--user-data-dir={profile}", *arguments],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
    return done.stdout
