"""How the interpreter shares itself among threads, and when it looks for garbage."""

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# Python's default is 5 ms. A thread gives the interpreter up with each statement that it runs; one
# that has the database's lock would then wait so long, with the lock, for a thread that computes.
SWITCH_SECONDS: Final = 0.0005
# So many objects more than before are looked through for circles. Requests leave next to none, and
# Python's default of 700 is one look for every second or third of them.
CIRCLES: Final = 5000


def favour_writers() -> None:
    """Let a thread that comes back from the database go on soon."""
    sys.setswitchinterval(SWITCH_SECONDS)


def look_for_circles_less() -> None:
    """Have a process that answers requests look for garbage once for many of them."""
    gc.set_threshold(CIRCLES, *gc.get_threshold()[1:])


@contextmanager
def loading() -> Iterator[None]:
    """Within this block much is imported, and it stays: nobody looks for garbage in it.

    Neither do they later, until the process ends: then connections are closed by being collected. A
    sixth of the time that it takes to start went into that.
    """
    atexit.register(gc.unfreeze)
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
