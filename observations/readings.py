"""What was read is entered in the audit before the answer leaves, if that takes but a moment.

A read waits for no writer, so its entry must not either: a thread of its own writes the entries of
all reads, in commits that it shares with captures. While the database takes no writes, answers
leave without their entries, which are written as soon as it does; a log line names each meanwhile.
"""

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field

from django.db import close_old_connections
from django.db import connection as database

from observations import audit, commits
from observations.audit import Row
from observations.entries import Entry
from observations.errors import StorageAway
from queueing.direct import AWAY

log = logging.getLogger(__name__)

# So long an answer waits for its entry (seconds): many times what a commit takes.
PATIENCE = 0.25
# So many entries wait for a database that takes no writes; a few megabytes.
MOST_WAITING = 5_000
MOST_AT_ONCE = 200
# Between two tries (seconds).
PAUSE = 1.0
# So long (seconds) a process that ends waits for what could not be written before.
LAST_PATIENCE = 3.0

_AWAY = (*AWAY, StorageAway)


@dataclass(slots=True)
class _Waiting:
    row: Row
    written: threading.Event = field(default_factory=threading.Event)


class Readings:
    """The entries of reads on their way into the audit."""

    def __init__(self) -> None:
        self._some = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._writer: threading.Thread | None = None

    def record(self, entry: Entry) -> None:
        """Enter what an answer shows, before it leaves; at most PATIENCE after this was called.

        In a transaction of the caller's the entry is part of it.
        """
        prepared = audit.rows([entry])
        if database.in_atomic_block:
            audit.insert(prepared)
            return
        mine = _Waiting(prepared[0])
        if not self._joined(mine):
            log.error("not entered in the audit, too many wait for the database: %s", _told(entry))
        elif not mine.written.wait(PATIENCE):
            log.warning("answered before its audit entry could be written: %s", _told(entry))

    def finish(self) -> None:
        """Wait until all entries are written, or LAST_PATIENCE; for when nobody reads any more."""
        with self._some:
            if not self._some.wait_for(lambda: not self._waiting, LAST_PATIENCE):
                log.error("%d audit entries of reads were not written", len(self._waiting))

    def _joined(self, mine: _Waiting) -> bool:
        with self._some:
            if len(self._waiting) >= MOST_WAITING:
                return False
            self._waiting.append(mine)
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="audit", daemon=True)
                self._writer.start()
            self._some.notify_all()
            return True

    def _write(self) -> None:
        while True:
            with self._some:
                self._some.wait_for(lambda: self._waiting)
                group = [self._waiting[place] for place in range(self._size())]
            if self._stored(group):
                self._done(group)
            else:
                time.sleep(PAUSE)

    def _size(self) -> int:
        return min(len(self._waiting), MOST_AT_ONCE)

    def _stored(self, group: list[_Waiting]) -> bool:
        """Whether the group is off our hands."""
        rows = [one.row for one in group]
        try:
            commits.shared.run(lambda: audit.insert(rows))
        except _AWAY as error:
            log.warning("%d audit entries wait for the database: %s", len(group), error)
            return False
        except Exception:  # the thread's door: later reads must not suffer for these
            log.exception("%d audit entries of reads could not be written", len(group))
        finally:
            close_old_connections()
        return True

    def _done(self, group: list[_Waiting]) -> None:
        with self._some:
            for one in group:
                self._waiting.popleft()
                one.written.set()
            self._some.notify_all()


def _told(entry: Entry) -> str:
    origin, details = entry.origin, entry.details
    return (
        f"{entry.action} ({details.get('mode')}, {details.get('resultCount')} shown) by key "
        f"{origin.get('api_key_id')}, request {origin.get('request_id')}"
    )


shared = Readings()
