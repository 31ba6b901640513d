"""One call of a hook: what the agent said, as far as the client must understand it."""

from __future__ import annotations

import json
import os
import time

from claudemem.hook import manners

# What the server takes.
MOST = 5 * 1024 * 1024
DELIVERY = "X-Claude-Mem-Delivery"
OCCURRED = "X-Claude-Mem-Occurred"
_LONGEST_PLACE = 16384


class NoCall(Exception):
    """What came is no payload of a hook; the message says what it is instead."""


class Call:
    """A payload as it is sent, its headers, and what decides how it is handled.

    `event` and `session` are "" where the payload does not name them. `answer` is what the server
    says to the agent, once it has.
    """

    __slots__ = ("agent", "answer", "asks", "began", "cwd", "delivery", "ends", "event", "headers",
                 "raw", "session", "starts")  # fmt: skip

    def __init__(self, agent: str, raw: bytes, said: dict[str, object]) -> None:
        manner = manners.of(agent)
        self.agent = agent
        self.raw = raw
        self.event = _text(said.get(manner.names))
        self.session = _text(said.get(manner.session))
        self.cwd = _where(said)
        self.asks = self.event in manner.asks
        self.starts = self.event in manner.starts
        self.ends = self.event in manner.ends
        self.began = time.time()
        self.answer = b""
        self.delivery = os.urandom(16).hex()
        self.headers = {DELIVERY: self.delivery}
        started_by = os.environ.get("CLAUDE_CODE_ENTRYPOINT", "").strip()
        if started_by and len(started_by) <= 200 and _sendable(started_by):
            self.headers["X-Claude-Mem-Entrypoint"] = started_by

    def locate(self) -> None:
        """Add what can be read of the working directory; that it cannot be costs no payload."""
        if "X-Claude-Mem-Place" in self.headers:
            return
        try:
            from claudemem.hook import place

            here = self.cwd or os.getcwd()
            facts = place.place(here)
            # The payload may not say it. What cannot be sent is left out, as `place` does.
            if not self.cwd and here.isprintable():
                facts = {"root": here, **facts}
        except Exception:  # noqa: BLE001  # whatever files somebody has there
            facts = {}
        text = json.dumps(facts, separators=(",", ":"))
        if facts and len(text) <= _LONGEST_PLACE:
            self._add("X-Claude-Mem-Place", text)

    def date(self) -> None:
        """Add when it was made: it will be sent later."""
        self._add(OCCURRED, f"{self.began:.6f}")

    def _add(self, name: str, value: str) -> None:
        # Another dict: a thread may be sending this one.
        self.headers = {**self.headers, name: value}


def understood(agent: str, raw: bytes) -> Call:
    """The call whose payload is `raw`. Raises NoCall.

    What is larger than a server takes has its largest strings left out.
    """
    if is_too_fine(raw):
        raise NoCall(f"{len(raw)} bytes in too many pieces")
    try:
        said = json.loads(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise NoCall(f"{len(raw)} bytes that are no JSON") from None
    if not isinstance(said, dict):
        raise NoCall(f"{len(raw)} bytes of JSON that are no object")
    if len(raw) > MOST:
        from claudemem.hook import cut

        raw = cut.fitted(said, MOST)
        if not raw:
            raise NoCall("more than a server takes, and no long text to leave out")
    return Call(agent, raw, said)


def is_too_fine(raw: bytes) -> bool:
    """Whether `raw` is more than a server takes, and to read it would take too long."""
    if len(raw) <= MOST:
        return False
    from claudemem.hook import cut

    return cut.is_too_fine(raw)


def _where(said: dict[str, object]) -> str:
    """The working directory, in which field an agent ever says it; "" if in none."""
    within = said.get("tool_info")
    for fields in (said, within if isinstance(within, dict) else {}):
        for name in ("cwd", "workspace_path", "root_workspace_path"):
            if cwd := _text(fields.get(name)):
                return cwd
    roots = said.get("workspace_roots")
    return _text(roots[0]) if isinstance(roots, list) and roots else ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _sendable(text: str) -> bool:
    return text.isascii() and text.isprintable()
