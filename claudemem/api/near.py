"""Callers on this machine: what their working directories say is read here, where they do not."""

from collections.abc import Callable, Mapping
from functools import cache
from threading import BoundedSemaphore, Thread
from typing import Any, Final

from claudemem.api import peers
from claudemem.hook.place import place
from observations import places
from observations.places import Place

# So long (s) a directory is waited for: one of a host that is away may answer in minutes, or never.
PATIENCE: Final = 0.5
# So many may be waited for at once; those that never answer are among them.
_free: Final = BoundedSemaphore(8)


def look(environ: Mapping[str, Any]) -> Callable[[str], Place | None]:
    """What reads the place of a directory for the sender of a request.

    It is asked at the first event of a session that says nothing of it. None where the caller is
    somewhere else, or no such directory answers here.
    """

    def read(cwd: str) -> Place | None:
        near = peers.local(peers.Caller.of_environ(dict(environ)))
        facts = _facts(cwd) if near else {}
        return places.of(facts) if facts else None

    return cache(read)


def _facts(cwd: str) -> dict[str, str]:
    """What is known of a directory, nothing if that does not answer in time."""
    found: dict[str, str] = {}

    def read() -> None:
        try:
            found.update(place(cwd))
        finally:
            _free.release()

    if not _free.acquire(timeout=PATIENCE):
        return {}
    reader = Thread(target=read, name="near", daemon=True)
    reader.start()
    reader.join(PATIENCE)
    return {} if reader.is_alive() else found
