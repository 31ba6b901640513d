"""Waiting for what another process does: on a condition, never for a length of time."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def until(found: Callable[[], Found], seconds: float = 60.0) -> Found:
    """What `found` returns once that is true. Fails after so many seconds: by default after as many
    as a busy machine may take for what an idle one does in a few.
    """
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, f"did not happen within {seconds} s"
        time.sleep(0.01)
    return result
