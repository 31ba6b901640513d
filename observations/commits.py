"""Captures that arrive together are committed together.

SQLite writes some twenty pages and waits for the disk once a commit, whatever was in it, and one
writer at a time. So whoever finds nobody writing writes for all who wait: under load the cost of a
commit is shared, and an idle server commits each capture at once. PostgreSQL has many writers; what
they share there is a statement (`ordinary`).
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db import OperationalError, connection, transaction

from observations.errors import StorageAway
from queueing import direct

Result = TypeVar("Result")
Item = TypeVar("Item")

# So many at most share a commit: a reader of the database waits for none longer than that.
MOST = 32
# A commit that takes longer than this (seconds) is stuck: the database is locked or its disk hangs.
STUCK = 1.0
AWAY = "the database is locked or very slow: nothing was stored, try again in a moment"


@dataclass(slots=True)
class Write(Generic[Item]):
    """What one caller wants written, and what came of it."""

    item: Item
    # Made where it is waited for: an idle server's captures wait for nobody.
    turn: threading.Event | None = None
    settled: bool = False
    result: Any = None
    error: BaseException | None = None

    def outcome(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.result


class Sharing(Generic[Item]):
    """Gathers what callers want written; one of them commits it for all.

    `commit` gives each of a group its result or its error, or raises the error of all. Behind a
    commit that is stuck nobody waits: those who do are sent away, and so is who comes, so that
    threads remain for what needs no write.
    """

    def __init__(self, commit: Callable[[Sequence[Write[Item]]], None]) -> None:
        self._commit = commit
        self._lock = threading.Lock()
        self._waiting: list[Write[Item]] = []
        self._led = False
        self._led_since = 0.0

    @property
    def is_stuck(self) -> bool:
        """Whether a commit takes longer than it ever should."""
        return self._led and time.monotonic() - self._led_since > STUCK

    def share(self, item: Item) -> Any:
        """What came of `item`, once it is committed. Raises StorageAway where a commit is stuck."""
        mine = Write(item)
        turn = self._joined(mine)
        if turn:
            self._await_turn(mine, turn)
        if not mine.settled:
            self._lead()
        return mine.outcome()

    def _joined(self, mine: Write[Item]) -> threading.Event | None:
        """Queue up; what to wait for, unless this caller is to lead, because nobody does."""
        with self._lock:
            if self.is_stuck:
                raise StorageAway(AWAY)
            self._waiting.append(mine)
            if self._led:
                mine.turn = threading.Event()
                return mine.turn
            # From this moment: who comes before the leader begins must not take it for stuck.
            self._led, self._led_since = True, time.monotonic()
            return None

    def _await_turn(self, mine: Write[Item], turn: threading.Event) -> None:
        while not turn.wait(STUCK):
            with self._lock:
                if turn.is_set():
                    return
                if mine in self._waiting and self.is_stuck:
                    self._waiting.remove(mine)
                    raise StorageAway(AWAY)

    def _lead(self) -> None:
        with self._lock:
            self._led_since = time.monotonic()
            group, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        try:
            self._commit(group)
        except BaseException as error:
            for write in group:
                write.error = write.error or error
            if not isinstance(error, Exception):
                raise
        finally:
            self._hand_over(group)

    def _hand_over(self, group: Sequence[Write[Item]]) -> None:
        with self._lock:
            following = self._waiting[0] if self._waiting else None
            self._led = following is not None
            self._led_since = time.monotonic()
            if following and following.turn:
                following.turn.set()
        for write in group:
            write.settled = True
            if write.turn:
                write.turn.set()


class SharedCommits(Sharing[Callable[[], Any]]):
    """Runs writes, each whole or not at all, in transactions that callers share."""

    def __init__(self) -> None:
        super().__init__(_commit)

    def run(self, write: Callable[[], Result]) -> Result:
        """What `write` returns, once it is committed.

        It may run in another caller's thread, and a second time after a first was rolled back.
        Whatever `write` raises is raised here and leaves nothing behind; others are not affected.
        A failure of the shared commit is raised to all who shared it. Raises StorageAway where a
        commit is stuck.
        """
        if direct.vendor() != "sqlite" or direct.in_transaction():
            with transaction.atomic():
                return write()
        result: Result = self.share(write)
        return result


_Callables = Sequence[Write[Callable[[], Any]]]


def _commit(group: _Callables) -> None:
    """Run and commit the group's writes: as one if all go well, else each within a savepoint."""
    if not _all_together(group):
        with transaction.atomic():
            for write in group:
                _run(write)
                if connection.needs_rollback:
                    # SQLite undid it all by itself (disk full, I/O error): nobody's is stored.
                    raise write.error or OperationalError("the transaction was undone")


def _all_together(group: _Callables) -> bool:
    try:
        direct.within(lambda: _write(group))
    except OperationalError:
        # Of the database and nobody's own: locked, full or away.
        raise
    except Exception:  # noqa: BLE001 - whose it was is found out by running each again, alone
        return False
    return True


def _write(group: _Callables) -> None:
    for write in group:
        write.result = write.item()


def _run(write: Write[Callable[[], Any]]) -> None:
    try:
        with transaction.atomic():
            write.result = write.item()
    except Exception as error:  # noqa: BLE001 - raised again in the thread of whoever asked for it
        write.error = error


shared = SharedCommits()
