"""How the interpreter shares itself among threads."""

import sys
from typing import Final

# Python's default is 5 ms. A thread gives the interpreter up with each statement that it runs; one
# that has the database's lock would then wait so long, with the lock, for a thread that computes.
SWITCH_SECONDS: Final = 0.0005


def favour_writers() -> None:
    """Let a thread that comes back from the database go on soon."""
    sys.setswitchinterval(SWITCH_SECONDS)
