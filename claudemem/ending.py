"""How a process of ours ends when it is told to: softly, within a grace, and at once if told twice.

A thread cannot be killed, so the process does not wait for one that hangs: it ends with it.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

STOP = (signal.SIGTERM, signal.SIGINT)
# Asks a web to leave the address to another that serves it already.
RETIRE = signal.SIGUSR1
# So long (s) who retires waits for clients that keep a connection; all others have its successor.
RETIRING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Order:
    """A signal that came, and whether it still holds."""

    number: int
    _hurry: threading.Event

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until the next signal came; whether one did, and this is to hurry."""
        return self._hurry.wait(seconds)


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
    code is 1 if it is not, and after a second signal. To be called by the main thread.
    """

    def end(order: Order) -> None:
        stop(order)
        time.sleep(grace)
        os._exit(0 if at_last() else 1)

    heeded = (*STOP, *([RETIRE] if retires else []))
    signals = _signals(heeded)
    threading.Thread(target=_obey, args=(signals, end), name="ending", daemon=True).start()


def _obey(signals: Iterator[int], end: Callable[[Order], None]) -> None:
    stops, hurry = 0, threading.Event()
    for place, number in enumerate(signals):
        stops += number in STOP
        if stops > 1:
            # Whatever is in hand is repaired as after any crash.
            os._exit(1)
        if place:
            hurry.set()
        else:
            threading.Thread(target=end, args=(Order(number, hurry),), daemon=True).start()


def _signals(heeded: Collection[int]) -> Iterator[int]:
    """Have these signals noted from now on; each as it comes, for a thread that waits for them.

    Their handlers do nothing. Python runs those in the main thread, once that is back from what it
    waits for: but the system may wake another one instead, and some wait for ever.
    """
    waiting, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    for number in heeded:
        signal.signal(number, lambda *_: None)
    return (number for number in _read(waiting) if number in heeded)


def _read(pipe: int) -> Iterator[int]:
    while True:
        yield from os.read(pipe, 64)
