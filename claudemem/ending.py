"""How a process of ours ends when it is told to: softly, within a grace, and at once if told twice.

A thread cannot be killed, so the process does not wait for one that hangs: it ends with it.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType


def by_signal(
    stop: Callable[[int], None], *, grace: float, at_last: Callable[[], bool] = lambda: True
) -> None:
    """Have the first SIGTERM or SIGINT call `stop` with its number, and a second end the process.

    Whoever has not ended by itself `grace` seconds after the first is ended: after `at_last`, whose
    answer says whether all is well then. The exit code is 1 if it is not, and after a second signal.
    """
    waiting, told = os.pipe()
    calls = 0

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        nonlocal calls
        calls += 1
        if calls > 1:
            # Whatever is in hand is repaired as after any crash.
            os._exit(1)
        # Nothing that takes a lock: it may be held by what the signal interrupts.
        os.write(told, b"\0")
        stop(number)

    def watch() -> None:
        os.read(waiting, 1)
        time.sleep(grace)
        os._exit(0 if at_last() else 1)

    threading.Thread(target=watch, name="grace", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
