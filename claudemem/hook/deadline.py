"""The end that comes whatever hangs: a thread ends the process at its deadline.

Signals would not do: a look-up of a name, or a disk that does not answer, keeps Python from seeing
them. Whatever waits in such a call has let go of the interpreter, so that a thread can go on.
"""

import _thread
import os
import time

# From the start of the process; what the interpreter needs to end is taken off.
CAPTURE = 0.95
CONTEXT = 1.95
# What is left of it for the disk once the network has had its time.
SPARE = 0.3
# A machine may need longer than that to start us; then there is still this to save the payload in.
LEAST = 0.45


class Deadline:
    """When this process ends at the latest; one for captures until `allow` is called.

    `network` is until when the server may be waited for, `brief` the same for a capture.
    """

    def __init__(self) -> None:
        self._start = time.monotonic() - min(_age(), CAPTURE - LEAST)
        self._end = self._start + CAPTURE
        self._bell = _thread.allocate_lock()
        self._bell.acquire()
        self.told_to_end = False
        _thread.start_new_thread(self._watch, ())

    @property
    def network(self) -> float:
        """Until when anything may be waited for, by the monotonic clock."""
        return 0.0 if self.told_to_end else self._end - SPARE

    @property
    def brief(self) -> float:
        """Until when a capture may wait, by the monotonic clock."""
        return min(self.network, self._start + CAPTURE - SPARE)

    @property
    def agent(self) -> float:
        """Until when the agent may write its payload, by the monotonic clock."""
        return 0.0 if self.told_to_end else self._end - SPARE / 2

    @property
    def disk(self) -> float:
        """Until when a lock on a file may be waited for, by the monotonic clock."""
        return self._end - SPARE / 4

    def allow(self, seconds: float) -> None:
        """Let the process live for so long, counted from its start."""
        self._end = self._start + seconds

    def end_soon(self, *_: object) -> None:
        """Wait for the network no longer: what is to be kept is kept, and that is all."""
        self.told_to_end = True
        self.ring()

    def ring(self) -> None:
        """Wake who waits."""
        try:
            self._bell.release()
        except RuntimeError:  # it rings already
            pass

    def wait(self, until: float) -> None:
        """Wait for somebody to ring, until that moment of the monotonic clock at the latest."""
        left = until - time.monotonic()
        if left > 0 and not self.told_to_end:
            self._bell.acquire(timeout=left)

    def _watch(self) -> None:
        while (left := self._end - time.monotonic()) > 0:
            time.sleep(left)
        os._exit(0)


def _age() -> float:
    """For how many seconds this process has lived; what is usual where the system does not say."""
    try:
        handle = os.open("/proc/self/stat", os.O_RDONLY)
        try:
            ticks = int(os.read(handle, 4096).rpartition(b")")[2].split()[19])
        finally:
            os.close(handle)
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.05
    return age if age > 0 else 0.05
