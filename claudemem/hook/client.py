"""What the hook client does: read, send or keep, answer. It has a second, or two for context."""

from __future__ import annotations

import _thread
import gc
import os
import signal
import time

from claudemem.hook import call as calls
from claudemem.hook import deadline as deadlines
from claudemem.hook import manners, target, told, verdict
from claudemem.hook.call import Call
from claudemem.hook.deadline import Deadline
from claudemem.hook.incoming import MOST, Incoming
from claudemem.hook.link import Away, Link
from claudemem.hook.log import Log
from claudemem.hook.spool import MOST as SPOOL_BYTES
from claudemem.hook.spool import Full, Spool
from claudemem.hook.target import NoTarget, Target

_ON = ("1", "true", "yes", "on")
# A server that let one payload wait in vain is not asked again for so long.
_PAUSE = 10.0
# Who had less time than this since the last answer is not called slow: the machine is, or so much
# waits that time ran out in the midst of it.
_FAIR = 0.3
_SLOW = "the server does not answer in time"
# Characters of an event's name that are told: it may be anything.
_NAME = 60
SPOOL_MB = SPOOL_BYTES // 1024 // 1024


def main(agent: str, folder: str) -> None:
    """Handle one hook call of `agent`, whose files are in `folder`."""
    # Of millions of small values it would make seconds, in which no thread can end us.
    gc.disable()
    _fill_closed()
    deadline = Deadline()
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), deadline.end_soon)
    incoming = Incoming(deadline)
    if not agent.replace("-", "").isalnum() or not agent.isascii():
        raise ValueError("the agent's name is no word")
    if os.environ.get("MEM_OFF", "").strip().lower() in _ON or not _is_at_home(folder):
        incoming.drain()
        return
    answer = _handled(agent, folder, incoming, deadline)
    _print(answer if answer else manners.of(agent).nothing.encode())


def _handled(agent: str, folder: str, incoming: Incoming, deadline: Deadline) -> bytes:
    """What the server answers to the agent; b"" if nothing."""
    log = Log(folder, agent)
    raw = incoming.payload()
    try:
        if incoming.too_large:
            raise calls.NoCall(f"more than {MOST} bytes")
        if incoming.is_late and not raw:
            raise calls.NoCall("nothing, in the time that there is")
        call = calls.understood(agent, raw) if raw.strip() else None
    except calls.NoCall as error:
        log.say(f"what the agent sent is dropped: {error}")
        return b""
    if call and call.asks:
        deadline.allow(deadlines.CONTEXT)
    try:
        found = target.read(folder)
    except NoTarget as error:
        log.state(str(error))
        if call and error.passing:
            spool = Spool(os.path.join(folder, target.SPOOL), deadline.disk)
            Handling(call, spool, log, "nothing can be sent").keep()
        return b""
    spool = Spool(os.path.join(folder, found.spool), deadline.disk)
    return Handling(call, spool, log).run(found, deadline)


class Handling:
    """One call on its way to the server, or into the spool; None where nothing came."""

    def __init__(self, call: Call | None, spool: Spool, log: Log, why: str = _SLOW) -> None:
        self._call = call
        self._spool = spool
        self._log = log
        # Whether the call is in hands that will not lose it, and whether an attempt is over.
        self._safe = call is None
        self._tried = self._over = False
        # When the server was asked first, or heard of last.
        self._heard_at = 0.0
        self._why = why

    def run(self, found: Target, deadline: Deadline) -> bytes:
        """What the server answers to the agent; b"" if nothing."""
        goes_first = self._call is not None and self._may_go_first(self._call)
        if not goes_first:
            self._put()
        self._heard()
        if self._heard_at < deadline.network and not (self._safe and self._is_paused()):
            _thread.start_new_thread(self._work, (Link(found), goes_first, deadline))
            while not self._tried and time.monotonic() < deadline.network:
                deadline.wait(deadline.network)
            if not self._tried and not deadline.told_to_end:
                self._pause()
            self.keep()
            while not self._over and time.monotonic() < deadline.brief:
                deadline.wait(deadline.brief)
        self.keep()
        return self._call.answer if self._call else b""

    def keep(self) -> None:
        """Put the call into the spool, if it is not safe anyhow; if it cannot be, say so."""
        if why := self._put():
            self._log.say(f"{self._what} is lost: {why}")
            self._safe = True

    def _put(self) -> str:
        """Put the call into the spool, if it is not safe; why it cannot be, or ""."""
        if self._safe or self._call is None:
            return ""
        self._call.locate()
        self._call.date()
        try:
            if self._spool.add(self._call):
                self._log.state(f"{self._why}: payloads wait in {self._spool.path}")
        except Full:
            return f"the spool is full ({SPOOL_MB} MB)"
        except OSError as error:
            return f"it cannot be kept in {self._spool.path}: {error}"
        self._safe = True
        return ""

    @property
    def _what(self) -> str:
        assert self._call is not None
        return f"{self._call.event[:_NAME] or 'a payload'} of {len(self._call.raw)} bytes"

    def _may_go_first(self, call: Call) -> bool:
        """Whether nothing waits that it would overtake.

        Only what the agent waits for is worth the look: everything else goes behind all that
        waits.
        """
        return not self._spool.waits() or (call.asks and not self._spool.has(call.session))

    def _work(self, link: Link, goes_first: bool, deadline: Deadline) -> None:
        """Talk to the server, in a thread."""
        try:
            if not goes_first:
                self._flush(link, deadline.network)
                # There may have been no room for it; and now nothing is left to be overtaken.
                if not self._safe and not self._spool.waits():
                    self._send(link, deadline)
            elif self._send(link, deadline) and self._spool.waits():
                self._flush(link, deadline.brief)
        except Away as error:
            self._why = str(error)
            if error.slow:
                self._pause()
        except Exception as error:  # noqa: BLE001  # a thread's door: the rest is the main one's
            self._why = f"the hook client failed: {type(error).__name__}: {error}"
            self._log.say(self._why)
        self._tried = self._over = True
        deadline.ring()

    def _send(self, link: Link, deadline: Deadline) -> bool:
        """Send the call; whether the server takes it, so that it may take more."""
        call = self._call
        assert call is not None
        if call.starts:
            call.locate()
        answer = link.post(call.agent, call.headers, call.raw, deadline.network)
        found = verdict.of(answer.status, answer.is_object)
        if found == verdict.TAKEN:
            call.answer, self._safe = answer.body, True
        elif found == verdict.REFUSED:
            self._safe = True
            self._log.say(told.refusal(answer))
        elif found == verdict.BARRED:
            self._why = told.barrier(answer)
        else:
            self._why = f"the server answers {answer.status}"
        self._tried = True
        deadline.ring()
        return found in (verdict.TAKEN, verdict.REFUSED)

    def _flush(self, link: Link, until: float) -> None:
        from claudemem.hook.flush import Flush  # most calls have no need of it

        Flush(self._spool, link, self._log, until, self._call, self._heard).run()

    def _heard(self) -> None:
        self._heard_at = time.monotonic()

    def _is_paused(self) -> bool:
        """Whether the server let somebody wait in vain just now. A session's end is tried still."""
        if self._call is None or self._call.ends:
            return False
        try:
            return 0 <= time.time() - os.stat(self._slow).st_mtime < _PAUSE
        except OSError:
            return False

    def _pause(self) -> None:
        """Have the server left alone for a while, if it had time enough to answer."""
        if time.monotonic() - self._heard_at < _FAIR:
            return
        try:
            os.close(os.open(self._slow, os.O_WRONLY | os.O_CREAT, 0o600))
            os.utime(self._slow)
        except OSError:
            pass

    @property
    def _slow(self) -> str:
        return f"{self._spool.path}.slow"


def _is_at_home(folder: str) -> bool:
    """Whether there is a place for our files: what was uninstalled is not made again."""
    if os.path.isdir(folder):
        return True
    if not os.environ.get("CLAUDE_MEM_SERVER_URL", "").strip():
        return False
    try:
        os.makedirs(folder, 0o700)
    except OSError:
        pass  # what is sent needs none
    return True


def _fill_closed() -> None:
    """Open something as each standard stream that is closed: a file of ours would take its place
    else, and be written to.
    """
    for handle in (0, 1, 2):
        try:
            os.fstat(handle)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _print(text: bytes) -> None:
    try:
        while text:
            text = text[os.write(1, text) :]
    except OSError:
        pass  # nobody reads it
