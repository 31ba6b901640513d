"""Payloads that a slow line does not carry in the time of a hook: in the end they are sent lighter.

What is first in the spool keeps all behind it waiting, and would for ever. Of strings that are so
long the server keeps no more than a beginning and an end.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

from claudemem.hook import cut

LIGHT = 64 * 1024
TRIES = 5
_LONGEST = 300


class Heavy:
    """How often the payload that is first in a spool was sent in vain, beside that spool."""

    def __init__(self, spool: str) -> None:
        self._path = f"{spool}.heavy"

    def begin(self, delivery: str, raw: bytes) -> None:
        """Count a try, if the payload could be lighter: the time may end it, and the process."""
        if len(raw) <= LIGHT:
            return
        said = f"{self._tries(delivery) + 1} {delivery}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with (
            suppress(OSError),  # it is tried again as it is
            open(os.open(self._path, flags, 0o600), "w", encoding="utf-8") as file,
        ):
            file.write(said)

    def answered(self, raw: bytes) -> None:
        """The try did not end with the time: it says nothing of the line."""
        if len(raw) > LIGHT:
            with suppress(OSError):
                os.unlink(self._path)

    def is_given_up(self, delivery: str) -> bool:
        """Whether it was tried often enough as it is."""
        return self._tries(delivery) >= TRIES

    def _tries(self, delivery: str) -> int:
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:
                count, _, whose = file.read(_LONGEST).partition(" ")
        except OSError:
            return 0
        return int(count) if whose == delivery and count.isdecimal() else 0


def lighter(raw: bytes) -> bytes:
    """The payload without its longest strings, of at most `LIGHT` bytes; b"" if that cannot be."""
    if cut.is_too_fine(raw):
        return b""
    try:
        said = json.loads(raw)
    except (ValueError, RecursionError):
        return b""
    return cut.fitted(said, LIGHT) if isinstance(said, dict) else b""
