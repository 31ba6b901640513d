"""Makes the queue store of a mode: one that can be started, found and stopped."""

from collections.abc import Iterator

from claudemem import storechoice
from claudemem.datadir import DataDir
from queueing.external import ExternalStore
from queueing.managed import MEGABYTES, ManagedStore
from queueing.store import Store


def make(
    mode: str, data: DataDir, *, url: str = "", binary: str = "", megabytes: int = MEGABYTES
) -> Store:
    """The store of a mode: kept in `data` if it is ours, at `url` if it is not.

    `binary` is the path of the server that a managed one runs, "" finds one; `megabytes` is how
    much memory it may fill.
    """
    if mode == storechoice.EXTERNAL:
        return ExternalStore(url)
    if mode == storechoice.MANAGED:
        return ManagedStore(data.redis, data.logs, binary, megabytes)
    raise NotImplementedError(mode)


def ours(data: DataDir) -> Iterator[Store]:
    """Each store that may have been started in `data`, whatever the settings choose."""
    yield ManagedStore(data.redis, data.logs)
