"""Sending what waits in the spool, in order, as far as time allows."""

from __future__ import annotations

import time
from collections.abc import Callable

from claudemem.hook import told, verdict
from claudemem.hook.link import Answer, Link
from claudemem.hook.locks import Busy
from claudemem.hook.log import Log
from claudemem.hook.spool import Foreign, Reading, Record, Spool, read

# Who hears of a payload that was taken: its delivery id, and the answer.
Hears = Callable[[str, Answer], None]


class Flush:
    """Sends what is in `spool` over `link`, until a moment of the monotonic clock.

    `hears` is told of each payload that the server took.
    """

    def __init__(self, spool: Spool, link: Link, log: Log, until: float, hears: Hears) -> None:
        self._spool = spool
        self._link = link
        self._log = log
        self._until = until
        self._hears = hears
        self._garbage: list[bytes] = []
        self._sent = 0

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
            if record is None:
                self._pass_over(line)
                lines.skip(line)
                continue
            if not self._deliver(record):
                break
            lines.skip(line)
            lines.mark()
        lines.shorten(worth=1024 * 1024)

    def _pass_over(self, line: bytes) -> None:
        if line.strip(b"\n") and not line.startswith(b"claude-mem spool "):
            self._garbage.append(line)

    def _deliver(self, record: Record) -> bool:
        answer = self._link.post(record.agent, record.headers, record.raw, self._until)
        found = verdict.of(answer.status, answer.is_object, record.age)
        if found == verdict.TAKEN:
            self._sent += 1
            self._hears(record.headers.get("X-Claude-Mem-Delivery", ""), answer)
        elif found == verdict.REFUSED:
            self._log.say(told.refusal(answer))
        elif found == verdict.BARRED:
            self._log.state(told.barrier(answer))
        else:
            self._log.state(f"the server answers {answer.status}: payloads wait")
        return found in (verdict.TAKEN, verdict.REFUSED)

    def _tell_end(self) -> None:
        if self._sent:
            self._log.say(f"the spool is empty: the last {self._sent} payloads of it were sent")

    def _put_aside(self) -> None:
        text = b"".join(self._garbage)
        if not text:
            return
        kept = self._spool.set_aside(text)
        where = f"put aside in {self._spool.aside}" if kept else "left out: no room to keep it"
        self._log.say(f"{len(text)} bytes of the spool are no payloads: {where}")
