"""Waiting for a database that is away or takes nothing, by who holds what was paid for."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from django.db import InterfaceError, OperationalError, close_old_connections

from queueing import direct, faults, stopping
from queueing.lulls import lull

log = logging.getLogger(__name__)

# So long (s) a database may be away: a server that fails over, or is restarted, is back by then.
OUTAGE_SECONDS = 60.0
# So often (s) it is asked meanwhile; what it refuses each time is asked of it ever more rarely.
AGAIN_SECONDS = 0.1
LONGEST_SECONDS = 1.0
Result = TypeVar("Result")


def outlasted(work: Callable[[], Result]) -> Result:
    """What `work` returns, a transaction of its own, which is run again where the database failed.

    That is once it answers and takes writes: until it is over, where `work` was refused for what
    others do or the machine lacks; but once only, where the database was lost or the work took too
    long, for then the work itself may be to blame. Whether the first one was committed need not be
    known, where the second is guarded. Raises what `work` does; also where the outage lasts longer
    than `OUTAGE_SECONDS`, or this process is to stop.
    """
    doubtful = 0
    tries: Iterator[bool] | None = None
    while True:
        try:
            return work()
        except (OperationalError, InterfaceError) as error:
            if not faults.is_passing(error):
                raise
            lull.seen(error)
            doubtful += faults.is_doubtful(error) or stopping.begun.is_set()
            tries = tries or _tries(error)
            if doubtful > 1 or not next(tries):
                raise


def _tries(error: Exception) -> Iterator[bool]:
    """Wait, each time, for the database to take writes again; False if it does not in time."""
    log.warning("the database failed, it is waited for: %s", error)
    ends_at, pause = time.monotonic() + OUTAGE_SECONDS, AGAIN_SECONDS
    while True:
        yield _takes_writes_again(ends_at, pause)
        pause = min(2 * pause, LONGEST_SECONDS)


def _takes_writes_again(ends_at: float, pause: float) -> bool:
    """Wait until the database takes writes; False if it does not in time, or this process ends."""
    while time.monotonic() < ends_at:
        # By sleeping: any other wait may be measured by a wall clock, which somebody sets.
        time.sleep(pause)
        close_old_connections()
        try:
            if _takes_writes():
                return True
        except (OperationalError, InterfaceError) as error:
            log.debug("the database is still away: %s", error)
        if stopping.begun.is_set():
            return False
    return False


def _takes_writes() -> bool:
    if direct.vendor() == "sqlite":
        return True  # what it takes is only known by writing
    return direct.fetch("SELECT current_setting('transaction_read_only')") == [("off",)]
