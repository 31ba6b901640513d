"""What every queue store can do, whoever runs it: be started, found and stopped.

One class a mode implements it (`managed`, `external`, `docker`). Settings read `url` while they
are being imported, and the supervisor holds one for ever: neither Django nor a client library may
be needed to import a store, to make one, or to read its URL.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from queueing import endings
from queueing.errors import QueueingError
from queueing.pids import Mark

# Of a store of ours. Only ids of jobs lie in it: room for a hundred thousand lanes that wait.
MEGABYTES = 128
START_SECONDS = 20.0
STOP_SECONDS = 10.0


class StoreFailed(QueueingError):
    """The store could not be started or stopped; the message is a sentence that says what to do."""


class StoreOutOfReach(StoreFailed):
    """Whoever runs it does not answer, or may not: nothing was started or stopped."""


@dataclass(frozen=True, slots=True)
class Server:
    """A store that answers.

    `product` is Valkey, Redis or whatever else it calls itself; `address` is its host and port,
    without a password. `pid` is None where it is no process of this machine that we started.
    `loading`: it reads its data and takes no commands yet. `adopted`: it ran before it was asked
    to start. `warnings` are sentences about what should be mended, or was.
    """

    mode: str
    product: str
    version: str
    address: str
    pid: int | None = None
    loading: bool = False
    adopted: bool = False
    warnings: tuple[str, ...] = ()


class Store(ABC):
    """The queue store of one installation."""

    mode: str
    # Whether we start and stop it. What is not ours is only looked at.
    ours: bool = True

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it is, with its password; "" while that is not known yet."""

    @property
    def owner(self) -> int | None:
        """The user who must hold its port before a password is said there; None: whoever."""
        return None

    @abstractmethod
    def start(self, *, may_move: bool = True, timeout: float = START_SECONDS) -> Server:
        """Make sure that it runs and answers, and say which it is.

        One that runs already is adopted; two starts at once give one server. It may move to
        another port if its own was taken, unless `may_move` is false (others know its URL).
        `timeout` is in seconds. Raises StoreFailed; QueueStoreAway where it is not ours and does
        not answer.
        """

    def fetches(self) -> str:
        """What its next start fetches first, which may take minutes; "" for nothing."""
        return ""

    @abstractmethod
    def stop(self, *, timeout: float = STOP_SECONDS) -> bool:
        """Stop it; False if nothing of ours ran. It has `timeout` seconds to write its data."""

    @abstractmethod
    def running(self) -> Server | None:
        """The server if it answers and takes commands, else None; in a few seconds at most."""

    def ended(self) -> bool:
        """Whether one that has no process here was ended by somebody: cheap; False if unknown."""
        return False

    def process(self) -> Mark | None:
        """Its process, if it has one on this machine and it lives: cheap, asks nobody."""
        return None

    def remove(self, *, data: bool) -> bool:  # noqa: ARG002 - for stores outside their directory
        """Remove what it has outside its directory, with `data` what it kept; False if nothing.

        It must be stopped. Raises StoreFailed.
        """
        return False

    def out_of_reach(self) -> str:
        """What it may have outside its directory that cannot be removed now, and why; or ""."""
        return ""

    def turn_log(self, today: date) -> None:  # noqa: B027 - whose log is not ours has nothing to do
        """Let it write into the log of this day from its next line on."""


@contextmanager
def explaining(what: str, home: Path) -> Iterator[None]:
    """Say what to do about what the system refuses while a store is `what`, as StoreFailed.

    `home` is the directory of the store.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        advice = endings.advice_on(reason, str(home)) or f"see what is wrong with {home}"
        where = f" ({error.filename})" if error.filename else ""
        raise StoreFailed(f"the queue store cannot be {what}: {reason}{where}: {advice}") from error
