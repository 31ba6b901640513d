"""When keys were last used, to the minute, at the cost of a look into a dictionary a request.

A thread of its own writes it, some moments later and for many keys at once; of several web
processes one writes a key's minute. What a process that is killed had not written is lost: the key
was used, and that is all that is wrong.
"""

import logging
import threading
import time
from datetime import timedelta

from django.db import close_old_connections
from django.db import connection as database

from observations import commits
from observations.errors import StorageAway
from queueing import direct
from queueing.direct import AWAY, stored

log = logging.getLogger(__name__)

# A key is written at most so often (seconds).
EVERY = 60.0
# Another process that writes it is of the same mind, by a clock that is not quite the same.
_APART = 0.9 * EVERY
# So long (seconds) a use waits for others to be written with, or for a database that is away.
GATHER, PAUSE = 2.0, 30.0
# So long (seconds) a process that ends waits for what is not written.
LAST_PATIENCE = 1.0
# More keys than any server has; they are forgotten then, and written once more than need be.
MOST_KEYS = 50_000

_WRITE = """
    UPDATE observations_apikey SET last_used_at = %s
    WHERE id = %s AND (last_used_at IS NULL OR last_used_at < %s)"""
_AWAY = (*AWAY, StorageAway)


class LastUsed:
    """The uses of keys on their way into the database."""

    def __init__(self) -> None:
        self._again: dict[str, float] = {}
        self._some = threading.Condition()
        self._used: dict[str, float] = {}
        self._writing = self._ending = False
        self._writer: threading.Thread | None = None

    def seen(self, key_id: str) -> None:
        """Note that a key is being used. Never waits, and raises nothing of the database's."""
        now = time.monotonic()
        if now >= self._again.get(key_id, 0.0):
            self._note(key_id, now)

    def finish(self) -> None:
        """Wait until all is written, or LAST_PATIENCE; for when nobody calls any more."""
        with self._some:
            self._ending = True
            self._some.notify_all()
            if not self._some.wait_for(lambda: not self._used and not self._writing, LAST_PATIENCE):
                log.warning("it was not written of %d keys that they were used", len(self._used))
            self._ending = False

    def _note(self, key_id: str, now: float) -> None:
        with self._some:
            if len(self._again) >= MOST_KEYS:
                self._again.clear()
            self._again[key_id] = now + EVERY
        if database.in_atomic_block:
            # Whoever calls in a transaction has nothing written beside it.
            _store({key_id: now})
            return
        with self._some:
            self._used[key_id] = now
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="last-used", daemon=True)
                self._writer.start()
            self._some.notify_all()

    def _write(self) -> None:
        while True:
            with self._some:
                self._some.wait_for(lambda: self._used)
                self._some.wait_for(lambda: self._ending, GATHER)
                used, self._used = self._used, {}
                self._writing = True
            written = _written(used)
            with self._some:
                self._writing = False
                if not written:
                    self._used = {**used, **self._used}
                self._some.notify_all()
                if not written:
                    self._some.wait_for(lambda: self._ending, PAUSE)


def _written(used: dict[str, float]) -> bool:
    """Whether it is off our hands."""
    try:
        commits.shared.run(lambda: _store(used))
    except _AWAY as error:
        log.warning("that %d keys were used waits for the database: %s", len(used), error)
        return False
    except Exception:  # the thread's door: keys that are used later must not suffer for these
        log.exception("it could not be written of %d keys that they were used", len(used))
    finally:
        close_old_connections()
    return True


def _store(used: dict[str, float]) -> None:
    """Write when these keys were used: moments of the monotonic clock, as the database counts."""
    now, told = time.monotonic(), direct.now()
    rows = []
    # All who write do so in the same order.
    for key_id in sorted(used):
        moment = told - timedelta(seconds=now - used[key_id])
        rows.append((stored(moment), key_id, stored(moment - timedelta(seconds=_APART))))
    for row in rows:
        direct.fetch(_WRITE, row)


shared = LastUsed()
