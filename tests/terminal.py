"""A program at a terminal, which is typed into."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[1]


class Terminal:
    """A process whose standard input, output and error are one terminal; ended with the block."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, columns: int = 200
    ) -> None:
        self._ours, theirs = pty.openpty()
        # It is as wide as it is told to be, whatever the tests' own terminal is.
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self._seen = b""
        self._matched = 0
        self._process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT,
            env={**environment, "COLUMNS": str(columns)}, start_new_session=True,
            preexec_fn=_belong,
        )  # fmt: skip
        os.close(theirs)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)

    @property
    def screen(self) -> str:
        """All that was shown."""
        return self._seen.decode(errors="replace").replace("\r\n", "\n")

    def expect(self, text: str, seconds: float = 60.0) -> None:
        """Wait until this is shown, behind what was expected before. Fails after some seconds."""
        deadline = time.monotonic() + seconds
        while (at := self._seen.find(text.encode(), self._matched)) < 0:
            assert self._read(deadline), f"{text!r} was not shown:\n{self.screen}"
        self._matched = at + len(text.encode())

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._ours, f"{line}\n".encode())

    def press(self, key: str, shown: str, seconds: float = 60.0) -> None:
        """Press a key until this is shown: a program that is about to read may miss a signal."""
        deadline = time.monotonic() + seconds
        while shown.encode() not in self._seen:
            assert time.monotonic() < deadline, f"{shown!r} was not shown:\n{self.screen}"
            os.write(self._ours, key.encode())
            patience = time.monotonic() + 5.0
            while shown.encode() not in self._seen and self._read(patience):
                pass

    def wait(self, seconds: float = 60.0) -> int:
        """The exit code, once the program has ended and all that it showed was read."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        return self._process.wait(seconds)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))
        try:
            more = os.read(self._ours, 65536) if ready else b""
        except OSError:  # so does Linux say that nobody holds the other end
            more = b""
        self._seen += more
        return bool(more)


def _belong() -> None:
    # Whose terminal it is gets the signals of its keys.
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
