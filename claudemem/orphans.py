"""Processes that a killed supervisor left behind."""

import signal

from claudemem.statefile import State
from queueing import pids

# Their leash ends them at once; one that stands still, or is being started, may take longer.
LEASH_SECONDS = 5.0
STORE = "store"


def end(state: State | None) -> bool:
    """Wait until the children of a dead supervisor are gone, and kill those that stay.

    Returns whether there were any. Its store is left alone: that is adopted, or stopped as a store.
    """
    if state is None or state.supervisor.alive:
        return False
    left = [m.process for m in state.members if m.process and m.name != STORE and m.process.alive]
    if not pids.gone(left, LEASH_SECONDS):
        for process in left:
            process.signal(signal.SIGKILL)
        pids.gone(left, LEASH_SECONDS)
    return bool(left)
