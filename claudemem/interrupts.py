"""Signals as numbers that grow: the first asks to stop, the second means at once."""

import os
import select
import signal
from contextlib import suppress
from types import FrameType
from typing import Any, Self

from claudemem.terminal import Terminal

_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Asks a supervisor for a rolling restart.
ROLL = signal.SIGUSR1


class Interrupts:
    """Within this block, signals to stop are counted, and those to roll, and wake up whoever waits.

    So does the end of a child. A pipe and not an Event: an Event's lock could be held by the very
    code that a signal interrupts. The end of our terminal is one to stop, even if nobody sends it.
    """

    def __init__(self) -> None:
        self.count = 0
        self.rolls = 0
        self._pipe = (-1, -1)
        self._before: dict[int, Any] = {}
        self._terminal: Terminal | None = None
        self._hung_up = False

    def __enter__(self) -> Self:
        self._pipe = os.pipe()
        self._terminal = Terminal()
        for end in self._pipe:
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        for number in _STOP:
            # nohup lets us outlive the terminal.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        self._before[ROLL] = signal.signal(ROLL, self._note_roll)
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        for end in self._pipe:
            os.close(end)

    def wait(self, seconds: float) -> None:
        """Wait so long, or until a signal arrives."""
        select.select([self._pipe[0]], [], [], seconds)
        with suppress(BlockingIOError):
            os.read(self._pipe[0], 1024)
        if self._terminal and self._terminal.hung_up():
            self._hang_up()

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if number == signal.SIGHUP:
            self._hang_up()
        else:
            self.count += 1

    def _note_roll(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.rolls += 1

    def _hang_up(self) -> None:
        # Told or seen, whichever comes first: a terminal that goes asks once.
        self.count += not self._hung_up
        self._hung_up = True
