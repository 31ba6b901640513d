"""What browsers are served besides pages: looked for once, and not for each client of a test.

A client of Django's makes its own middleware, as a server does once. To look through all folders
of static files takes ten times the processor time of the request that is made then.
"""

from typing import Any

from whitenoise.middleware import WhiteNoiseMiddleware

_look = WhiteNoiseMiddleware.add_files_from_finders
_found: dict[str, Any] = {}


def add(middleware: WhiteNoiseMiddleware) -> None:
    """Have the middleware know all files, which are those that the first one has found."""
    if not _found:
        _look(middleware)
        _found.update(middleware.files)
    middleware.files.update(_found)
