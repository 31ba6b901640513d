"""The queue store that somebody else runs: looked at before it is used, and left as it is."""

from typing import TYPE_CHECKING

from queueing.errors import QueueStoreAway
from queueing.store import START_SECONDS, STOP_SECONDS, Server, Store, StoreFailed

if TYPE_CHECKING:
    from queueing.probes import Look


class ExternalStore(Store):
    """The server at `url`, in which our keys begin with `prefix`."""

    mode = "external"
    ours = False

    def __init__(self, url: str, prefix: str) -> None:
        self._url = url
        self._prefix = prefix

    @property
    def url(self) -> str:
        return self._url

    def start(self, *, may_move: bool = True, timeout: float = START_SECONDS) -> Server:  # noqa: ARG002 - it is where it is
        """Look at it once, each answer being waited for `timeout` seconds or a few.

        Raises StoreUnfit if it must not be used, QueueStoreAway if it cannot be at this time.
        """
        from queueing import probes  # which loads a client of 18 MB: no supervisor comes here

        return self._server(
            probes.examine(self._url, self._prefix, timeout=min(timeout, probes.STEP_SECONDS))
        )

    def stop(self, *, timeout: float = STOP_SECONDS) -> bool:  # noqa: ARG002 - never
        return False

    def running(self) -> Server | None:
        """Whether it is fit for messages is not asked."""
        from queueing import probes

        try:
            return self._server(probes.look(self._url, self._prefix, tries_message=False))
        except (StoreFailed, QueueStoreAway):
            return None

    def _server(self, found: "Look") -> Server:
        return Server(
            mode=self.mode,
            product=found.product,
            version=found.version,
            address=found.address,
            adopted=True,
            warnings=found.warnings,
        )
