"""Processes that a killed supervisor left behind."""

import signal
import time

from claudemem.statefile import State
from queueing.pids import Mark

# Their leash ends them at once; one that stands still, or is being started, may take longer.
LEASH_SECONDS = 5.0
_POLL_SECONDS = 0.02
STORE = "store"


def end(state: State | None) -> bool:
    """Wait until the children of a dead supervisor are gone, and kill those that stay.

    Returns whether there were any. Its store is left alone: that is adopted, or stopped as a store.
    """
    if state is None or state.supervisor.alive:
        return False
    left = [m.process for m in state.members if m.process and m.name != STORE and m.process.alive]
    if not gone(left, LEASH_SECONDS):
        for process in left:
            process.signal(signal.SIGKILL)
        gone(left, LEASH_SECONDS)
    return bool(left)


def gone(processes: list[Mark], seconds: float) -> bool:
    """Whether all of these have ended, within so many seconds."""
    deadline = time.monotonic() + seconds
    while any(process.alive for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
