"""Makes the queue store of a mode: one that can be started, found and stopped."""

from collections.abc import Iterator

from claudemem import storechoice
from claudemem.datadir import DataDir
from queueing.docker import DockerStore
from queueing.errors import QueueStoreAway
from queueing.external import ExternalStore
from queueing.managed import ManagedStore
from queueing.store import MEGABYTES, Store


def make(
    mode: str,
    data: DataDir,
    *,
    url: str = "",
    prefix: str = "",
    binary: str = "",
    megabytes: int = MEGABYTES,
) -> Store:
    """The store of a mode: kept in `data` if it is ours, at `url` if it is not.

    `prefix` is what our keys begin with; `binary` is the path of the server that a managed one
    runs, "" finds one; `megabytes` is how much memory one of ours may fill.
    """
    if mode == storechoice.EXTERNAL:
        return ExternalStore(url, prefix)
    if mode == storechoice.DOCKER:
        return DockerStore(data.redis, megabytes)
    return ManagedStore(data.redis, data.logs, binary, megabytes)


def warnings(store: Store | None) -> tuple[str, ...]:
    """What is to be said of a store of the user's before it is used; nothing of one of ours.

    One that is away may come back. Raises StoreUnfit where it must not be used.
    """
    if store is None or store.ours:
        return ()
    try:
        return store.start().warnings
    except QueueStoreAway as away:
        return (str(away),)


def ours(data: DataDir) -> Iterator[Store]:
    """Each store that may have been started in `data`, whatever the settings choose."""
    yield ManagedStore(data.redis, data.logs)
    yield DockerStore(data.redis)
