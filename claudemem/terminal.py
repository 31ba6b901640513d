"""The terminal in whose foreground this process runs, and whether it is still there.

When a terminal goes, the system tells the leader of its session alone. A shell passes that on to
what it runs; others that stand between, `make` for one, do not.
"""

import os
import select
import signal

# Outputs before the input, which a program that starts us may have replaced.
_OURS = (1, 2, 0)


class Terminal:
    """What hangs up on us. Nothing does where `nohup` was asked for."""

    def __init__(self) -> None:
        heeded = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
        self._fd = next((fd for fd in _OURS if heeded and os.isatty(fd)), -1)
        self._foreground = self._fd >= 0 and _in_foreground(self._fd)

    def hung_up(self) -> bool:
        """Whether it is gone, and had us in its foreground: a job sent to the background stays."""
        if self._fd < 0:
            return False
        watch = select.poll()
        watch.register(self._fd, 0)
        if not any(event & select.POLLHUP for _, event in watch.poll(0)):
            self._foreground = _in_foreground(self._fd)
            return False
        return self._foreground


def _in_foreground(fd: int) -> bool:
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:  # it is not the terminal of our session
        return False
