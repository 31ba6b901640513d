"""Callers on this machine: what their working directories say is read here, where they do not."""

from collections.abc import Callable, Mapping
from typing import Any

from claudemem.api import peers
from claudemem.hook.place import place
from observations import places
from observations.places import Place


def look(environ: Mapping[str, Any]) -> Callable[[str], Place | None]:
    """What reads the place of a directory for the sender of a request.

    It is asked at the first event of a session that says nothing of it. None where the caller is
    somewhere else, or there is no such directory here.
    """

    def read(cwd: str) -> Place | None:
        facts = place(cwd) if peers.local(peers.Caller.of_environ(dict(environ))) else {}
        return places.of(facts) if facts else None

    return read
