"""How the interpreter shares itself among threads."""

import gc
import sys
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


def keep_what_is_there() -> None:
    """Never look again through what a process has loaded: all of it stays to the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(CIRCLES, *gc.get_threshold()[1:])
