"""The spool: payloads that wait for the server, in one file, oldest first.

    claude-mem spool 1 000000000032
    {"agent": "claude-code", "session": "…", "headers": {…}, "sum": 812, "payload": {…}}

The first line says up to where it was sent. A payload is one line with a sum over it, added in one
step while the file is locked; an empty line before it parts it from half a line that another left
behind when it was killed. Lines are sent by whoever holds the lock beside the file, and only that
one moves the mark or shortens the file: whenever it is killed, the next one begins at the last
mark, and sends again at most what the server knows by its delivery id.
"""

from __future__ import annotations

import io
import json
import os
import stat
import time
from binascii import crc32

from claudemem.hook import locks
from claudemem.hook.call import DELIVERY, OCCURRED, Call

MOST = 20 * 1024 * 1024
_MARK = b"claude-mem spool 1 "
_DIGITS = 12
_START = len(_MARK) + _DIGITS + 1
_SUM = b', "sum": '
_PAYLOAD = b', "payload": '
# What was sent is cut off when it is more than this and more than what is left.
_WORTH_CUTTING = 1024 * 1024
_OPEN = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class Full(Exception):
    """There is no room for another payload."""


class Foreign(Exception):
    """What lay in the spool's place was too large to be one, and was put aside as it was."""


class Record:
    """A payload in the spool, as it is sent."""

    __slots__ = ("agent", "headers", "raw")

    def __init__(self, agent: str, headers: dict[str, str], raw: bytes) -> None:
        self.agent = agent
        self.headers = headers
        self.raw = raw

    @property
    def delivery(self) -> str:
        """The id by which the server knows it again."""
        return self.headers.get(DELIVERY, "")

    @property
    def age(self) -> float:
        """For how many seconds it has waited."""
        try:
            return time.time() - float(self.headers.get(OCCURRED, ""))
        except ValueError:
            return 0.0


class Spool:
    """The spool at `path`; locks are waited for until `until` on the monotonic clock."""

    def __init__(self, path: str, until: float) -> None:
        self.path = path
        self.aside = f"{path}.unreadable"
        # Where a shorter one is written that takes its place.
        self.beside = f"{path}.next"
        self.until = until

    def waits(self) -> bool:
        """Whether anything is in it."""
        try:
            found = os.lstat(self.path)
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size > 0

    def has(self, session: str) -> bool:
        """Whether something of this session waits."""
        named = f'"session": {json.dumps(session)}, '.encode()
        try:
            with open(os.open(self.path, _OPEN), "rb") as file:
                file.seek(_marked(file.read(_START)))
                return named in file.read(2 * MOST)
        except OSError:
            return False

    def add(self, call: Call) -> bool:
        """Add a call; whether it is the first. Raises Full and OSError, having added nothing."""
        line = _line(call)
        with locks.Held(self.path, _OPEN | os.O_CREAT | os.O_APPEND, self.until) as handle:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(0, "it is no file", self.path)
            text = b"\n%s\n" % line if found.st_size else b"%s%s\n" % (_head(_START), line)
            if found.st_size + len(text) > MOST:
                raise Full
            if found.st_mode & 0o077:
                os.fchmod(handle, 0o600)
            try:
                _write(handle, text)
            except OSError:
                os.ftruncate(handle, found.st_size)
                raise
            return not found.st_size

    def set_aside(self, text: bytes) -> bool:
        """Keep what cannot be read beside the spool; whether there was room for it."""
        try:
            with locks.Held(self.aside, _OPEN | os.O_CREAT | os.O_APPEND, self.until) as handle:
                if os.fstat(handle).st_size + len(text) > MOST:
                    return False
                _write(handle, text)
                return True
        except OSError:
            return False


class Reading:
    """The spool's lines, in order, for the one who sends them.

    Use it as a context: it raises locks.Busy where somebody else is at it, FileNotFoundError where
    there is no spool, Foreign where there is something else, and other OSErrors.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._lock = locks.Held(f"{spool.path}.lock", os.O_RDWR | os.O_CREAT, 0.0)
        self._file: io.BufferedIOBase = io.BytesIO()

    def __enter__(self) -> Reading:
        self._lock.__enter__()
        try:
            self._open()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._lock.__exit__()

    def _open(self) -> None:
        self._file = open(os.open(self._spool.path, _OPEN), "rb")  # noqa: SIM115  # closed in exit
        try:
            # Left by one who was killed: it would hold what was sent, and for ever.
            os.unlink(self._spool.beside)
        except FileNotFoundError:
            pass
        if self._size() > 2 * MOST:
            os.rename(self._spool.path, self._spool.aside)
            raise Foreign
        head = self._file.read(_START)
        self._at = _marked(head)
        self._end = 0
        if self._at and self._at > _START:
            self._file.seek(self._at - 1)
            if self._file.read(1) != b"\n":
                self._at = _START
        if not self._at and self._size():
            # Its first line cannot be read, so no mark can be made in it.
            self.shorten()

    def line(self) -> bytes:
        """The next line; b"" where nothing is left, and then the file is empty.

        Raises locks.Busy and OSError.
        """
        if self._at >= self._end:
            with self._locked() as handle:
                self._end = os.fstat(handle).st_size
                if self._at >= self._end:
                    os.ftruncate(handle, 0)
                    self._at = 0
                    return b""
        self._file.seek(self._at)
        return self._file.readline()

    def skip(self, line: bytes) -> None:
        """Go on behind this line."""
        self._at += len(line)

    def mark(self) -> None:
        """Begin behind what was passed over from here on, whatever happens."""
        if self._at < _START:
            return  # the file was emptied
        try:
            os.pwrite(self._file.fileno(), b"%0*d" % (_DIGITS, self._at), len(_MARK))
        except OSError:
            pass  # it is sent again, and known again

    def shorten(self, *, worth: int = 0) -> None:
        """Leave out what was sent, if that is more than `worth` bytes and more than the rest."""
        with self._locked() as handle:
            size = os.fstat(handle).st_size
            if worth and (self._at < worth or self._at < size // 2):
                return
            self._file.seek(self._at)
            beside = self._spool.beside
            made = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                _write(made, _head(_START) + self._file.read(size - self._at))
                os.rename(beside, self._spool.path)
            except OSError:
                os.unlink(beside)
                raise
            finally:
                os.close(made)
        self._file.close()
        self._file = open(os.open(self._spool.path, _OPEN), "rb")  # noqa: SIM115
        self._at, self._end = _START, 0

    def _size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def _locked(self) -> locks.Held:
        return locks.Held(self._spool.path, _OPEN, self._spool.until)


def read(line: bytes) -> Record | None:
    """The payload in a line of the spool; None if it is not whole, or none of ours."""
    head, _, rest = line.partition(_PAYLOAD)
    head, _, number = head.partition(_SUM)
    raw = rest[:-2]
    if not rest.endswith(b"}\n") or number != b"%d" % crc32(head + raw):
        return None
    try:
        said = json.loads(head + b"}")
        agent, headers = said["agent"], said["headers"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(agent, str) or not isinstance(headers, dict):
        return None
    return Record(agent, headers, raw) if all(map(_sendable, headers.items())) else None


def _sendable(header: tuple[object, object]) -> bool:
    return all(
        isinstance(text, str) and text.isascii() and text.isprintable() for text in header
    ) and str(header[0]).startswith("X-Claude-Mem-")


def _line(call: Call) -> bytes:
    # No text in JSON holds these as they are: they stand between its words.
    raw = call.raw.translate(None, b"\r\n")
    said = {"agent": call.agent, "session": call.session, "headers": call.headers}
    head = json.dumps(said).encode()[:-1]
    return b"%s%s%d%s%s}" % (head, _SUM, crc32(head + raw), _PAYLOAD, raw)


def _head(at: int) -> bytes:
    return b"%s%0*d\n" % (_MARK, _DIGITS, at)


def _marked(head: bytes) -> int:
    """Up to where it was sent, by the first line; 0 if that is none of ours."""
    number = head[len(_MARK) : -1]
    if not head.startswith(_MARK) or not number.isdigit() or head[-1:] != b"\n":
        return 0
    return max(int(number), _START)


def _write(handle: int, text: bytes) -> None:
    while text:
        text = text[os.write(handle, text) :]
