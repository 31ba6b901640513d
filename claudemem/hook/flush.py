"""Sending what waits in the spool, in order, as far as time allows."""

from __future__ import annotations

import time
from collections.abc import Callable

from claudemem.hook import told, verdict
from claudemem.hook.call import OCCURRED, Call
from claudemem.hook.heavy import TRIES, Heavy, lighter
from claudemem.hook.link import Answer, Away, Link
from claudemem.hook.locks import Busy
from claudemem.hook.log import Log
from claudemem.hook.spool import Foreign, Reading, Record, Spool, read


class Flush:
    """Sends what is in `spool` over `link`, until a moment of the monotonic clock.

    `call` is what this process was started for, which may be in there as well: its agent still
    waits, and it is given its answer. `heard` is called with each answer.
    """

    def __init__(
        self, spool: Spool, link: Link, log: Log, until: float, call: Call | None = None,
        heard: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._spool = spool
        self._link = link
        self._log = log
        self._until = until
        self._call = call
        self._heard = heard
        self._garbage: list[bytes] = []
        self._sent = 0
        self._heavy = Heavy(spool.path)

    def run(self) -> None:
        """Send what there is; not at all where somebody else does. Raises Away and OSError."""
        try:
            with Reading(self._spool) as lines:
                try:
                    self._send(lines)
                finally:
                    self._put_aside()
                    lines.mark()
        except Foreign:
            self._log.say(
                f"{self._spool.path} was larger than a spool can be: it is put aside as "
                f"{self._spool.aside}"
            )
        except (Busy, FileNotFoundError):
            pass

    def _send(self, lines: Reading) -> None:
        while time.monotonic() < self._until:
            line = lines.line()
            if not line:
                self._tell_end()
                return
            record = read(line)
            raw = self._borne(record) if record else b""
            if record is None or not raw:
                self._pass_over(line)
                lines.skip(line)
                continue
            if not self._deliver(record, raw):
                break
            lines.skip(line)
            lines.mark()
        lines.shorten(worth=1024 * 1024)

    def _pass_over(self, line: bytes) -> None:
        if line.strip(b"\n") and not line.startswith(b"claude-mem spool "):
            self._garbage.append(line)

    def _borne(self, record: Record) -> bytes:
        """What is sent of it: all, or what the line to the server carries; b"" for nothing."""
        if not self._heavy.is_given_up(record.delivery):
            return record.raw
        light = lighter(record.raw)
        done = "its longest texts are left out" if light else "it has no long texts to leave out"
        size = len(record.raw)
        self._log.say(
            f"a payload of {size} bytes found no time to be sent in {TRIES} tries: {done}"
        )
        return light

    def _deliver(self, record: Record, raw: bytes) -> bool:
        own = self._call if self._call and record.delivery == self._call.delivery else None
        headers = record.headers
        if own:
            # It is not late, and who comes late is told nothing.
            headers = {name: said for name, said in headers.items() if name != OCCURRED}
        answer = self._answer(record, headers, raw)
        found = verdict.of(answer.status, answer.is_object, record.age)
        if found in (verdict.TAKEN, verdict.REFUSED):
            self._heavy.answered(record.raw)
        if found == verdict.TAKEN:
            self._sent += 1
            if own:
                own.answer = answer.body
        elif found == verdict.REFUSED:
            self._log.say(told.refusal(answer))
        elif found == verdict.BARRED:
            self._log.state(told.barrier(answer))
        else:
            self._log.state(f"the server answers {answer.status}: payloads wait")
        return found in (verdict.TAKEN, verdict.REFUSED)

    def _answer(self, record: Record, headers: dict[str, str], raw: bytes) -> Answer:
        self._heavy.begin(record.delivery, raw)
        try:
            answer = self._link.post(record.agent, headers, raw, self._until)
        except Away as error:
            if not error.slow:
                self._heavy.answered(raw)
            raise
        self._heavy.answered(raw)
        self._heard()
        return answer

    def _tell_end(self) -> None:
        if self._sent:
            self._log.say(f"the spool is empty: the last {self._sent} payloads of it were sent")

    def _put_aside(self) -> None:
        text = b"".join(self._garbage)
        if not text:
            return
        kept = self._spool.set_aside(text)
        where = f"put aside in {self._spool.aside}" if kept else "left out: no room to keep it"
        self._log.say(f"{len(text)} bytes of the spool cannot be sent: {where}")
