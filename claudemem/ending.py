"""How a process of ours ends when it is told to: softly, within a grace, and at once if told twice.

A thread cannot be killed, so the process does not wait for one that hangs: it ends with it.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

STOP = (signal.SIGTERM, signal.SIGINT)
# Asks a web to leave the address to another that serves it already.
RETIRE = signal.SIGUSR1
# So long (s) who retires waits for clients that keep a connection; all others have its successor.
RETIRING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Order:
    """A signal that came, and whether it still holds."""

    number: int
    _pipe: int

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until the next signal came; whether one did, and this is to hurry."""
        return bool(select.select([self._pipe], [], [], seconds)[0])


def by_signal(
    stop: Callable[[Order], None],
    *,
    grace: float,
    at_last: Callable[[], bool] = lambda: True,
    retires: bool = False,
) -> None:
    """Have the first SIGTERM or SIGINT call `stop`, in a thread, and a second end the process.

    With `retires` RETIRE calls it as well. Whoever has not ended by itself `grace` seconds after
    `stop` returned is ended: after `at_last`, whose answer says whether all is well then. The exit
    code is 1 if it is not, and after a second signal.
    """
    waiting, told = os.pipe()
    stops = 0

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        nonlocal stops
        stops += number in STOP
        if stops > 1:
            # Whatever is in hand is repaired as after any crash.
            os._exit(1)
        # Nothing that takes a lock: what the signal interrupts may hold it.
        os.write(told, bytes([number]))

    def obey() -> None:
        (number,) = os.read(waiting, 1)
        stop(Order(number, waiting))
        time.sleep(grace)
        os._exit(0 if at_last() else 1)

    threading.Thread(target=obey, name="ending", daemon=True).start()
    for number in (*STOP, *([RETIRE] if retires else [])):
        signal.signal(number, note)
