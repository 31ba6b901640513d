"""Queue stores for tests: the private one of a data directory."""

from pathlib import Path

from queueing.managed import ManagedStore


def kept(data: Path) -> ManagedStore:
    """The store of a data directory."""
    return ManagedStore(data / "redis", data / "logs")
