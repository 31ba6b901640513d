"""Waiting for what another process does: on a condition, never for a length of time."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def until(found: Callable[[], Found], seconds: float = 60.0) -> Found:
    """What `found` returns once that is true. Fails after so many seconds: by default after as many
    as a busy machine may take for what an idle one does in a few.
    """
    started = time.monotonic()
    while not (result := found()):
        waited = time.monotonic() - started
        assert waited < seconds, f"did not happen within {seconds} s"
        # Who is asked has less time for what is waited for: the longer that takes, the less often.
        time.sleep(min(max(waited / 10, 0.01), 0.1))
    return result
