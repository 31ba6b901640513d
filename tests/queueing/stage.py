"""A stage on which actors move one statement at a time, each when it is told to.

An actor is a thread with a connection of its own. It stops before each statement, before and after
each commit, and wherever else a test puts a `point`, and goes on when it is its turn: so a schedule
is a list of turns, and the same schedule leads to the same end. On PostgreSQL an actor that waits
for a lock is seen to, and the others go on. SQLite has one writer at a time: there an actor stops
between transactions only, but it may die anywhere.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection

from queueing import direct

# Nothing takes as long, however busy the machine is: after so many seconds the test is wrong.
FOR_EVER = 120.0

GO, DIE, FAIL = "go", "die", "fail"


class Died(BaseException):
    """The end of a process: nothing catches it, and what was not committed is rolled back."""


class Actor:
    """One thread with something to do. `error` is what it ended with, if it did not die."""

    def __init__(self, name: str, act: Callable[[], object]) -> None:
        self.name = name
        self.error: Exception | None = None
        self.over = False
        self.died = False
        self.waits_for_lock = False
        self.backend = 0
        self.arrived = threading.Event()
        self._turn = threading.Semaphore(0)
        self._how = GO
        self._points = 0  # to be passed without a stop, before `_how` happens
        self._act = act
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Go to the first point."""
        self._thread.start()

    def move(self, how: str, points: int) -> None:
        """Go on to the next point; or to the one so many points later, and end there."""
        self._how, self._points = how, points
        self.arrived.clear()
        self._turn.release()

    def join(self) -> None:
        self._thread.join(FOR_EVER)
        assert not self._thread.is_alive(), f"{self.name} does not end"

    def point(self, *, may_stop: bool = True) -> None:
        """Wait for a turn, and do as is told. Called by the actor itself."""
        if self.over:
            return
        if self._how == GO and may_stop:
            self.arrived.set()
            assert self._turn.acquire(timeout=FOR_EVER), f"{self.name} got no turn"
        if self._how == GO:
            return
        if self._points > 0:
            self._points -= 1
        elif self._how == DIE:
            self.over = True
            raise Died
        else:
            self._how = GO
            raise OperationalError("the database fails here")

    def _run(self) -> None:
        try:
            with _stopping(self):
                self.point()
                self._act()
        except Died:
            self.died = True
        except Exception as error:  # noqa: BLE001 - whoever asked for it judges it
            self.error = error
        finally:
            self.over = True
            self.arrived.set()


@contextmanager
def _stopping(actor: Actor) -> Iterator[None]:
    """Have this thread's connection stop it wherever it may be stopped."""
    _stage_of.actor = actor
    commit = connection._commit
    connection._commit = lambda: _committed(commit)
    try:
        with connection.execute_wrapper(_seen):
            yield
    finally:
        _stage_of.actor = None
        connection.close()


_stage_of = threading.local()
_unforeseen: list[DatabaseError] = []


def point() -> None:
    """A place at which an actor may stop, die or have the database fail; for others, nothing."""
    actor: Actor | None = getattr(_stage_of, "actor", None)
    if actor is None:
        return
    if direct.vendor() == "sqlite":
        inside = connection.connection is not None and connection.connection.in_transaction
        actor.point(may_stop=not inside)
        return
    if connection.connection is not None:
        actor.backend = connection.connection.info.backend_pid
    actor.point()


def _seen(execute: Any, *rest: Any) -> Any:
    point()
    return _told(execute, *rest)


def _committed(commit: Callable[[], None]) -> None:
    try:
        point()
    except Died:
        connection._rollback()  # as the server does: Django sees to no such end of a commit
        raise
    commit()
    # A failure here is one of a commit of which nobody was told.
    point()


def _told(execute: Callable[..., Any], *rest: Any, **how: Any) -> Any:
    """Whatever else the database refuses is kept: handlers would take it for an outage."""
    try:
        return execute(*rest, **how)
    except DatabaseError as error:
        _unforeseen.append(error)
        raise


class Stage:
    """The actors that are at something, in the order in which they began."""

    def __init__(self, patches: pytest.MonkeyPatch) -> None:
        self.actors: list[Actor] = []
        self.ended: list[Actor] = []
        _unforeseen.clear()
        connected, prepared = direct._connected, direct._prepared

        def stopping() -> Any:
            database = connected()
            point()
            return database

        patches.setattr(direct, "_connected", stopping)
        patches.setattr(direct, "_prepared", lambda *rest, **how: _told(prepared, *rest, **how))

    @property
    def unforeseen(self) -> Sequence[DatabaseError]:
        """What the database refused, other than what was asked of it: a deadlock, say."""
        return _unforeseen

    def begin(self, name: str, act: Callable[[], object]) -> Actor:
        """Have someone do it; nothing is done yet."""
        actor = Actor(name, act)
        self.actors.append(actor)
        actor.start()
        self._await(actor)
        return actor

    def move(self, actor: Actor, how: str = GO, points: int = 0) -> None:
        """The actor's turn. One that waits for a lock goes on by itself when it has it."""
        if not actor.waits_for_lock:
            actor.move(how, points)
        self._await(actor)
        self._see_to_those_who_wait()
        for one in [one for one in self.actors if one.over]:
            one.join()
            self.actors.remove(one)
            self.ended.append(one)

    def finish(self, how: str = GO, look: Callable[[], None] = lambda: None) -> None:
        """Turns for all, until everybody is done, with a look after each."""
        moves = 0
        while self.actors:
            for actor in list(self.actors):
                if not actor.over:  # it came to its end when it got the lock that it waited for
                    self.move(actor, how)
                    look()
            moves += 1
            assert moves < 5_000, f"{[actor.name for actor in self.actors]} come to no end"

    def _see_to_those_who_wait(self) -> None:
        """Who waited for what was let go has it now, and comes to its next point."""
        waiting: list[Actor] = [one for one in self.actors if one.waits_for_lock]
        while waiting:
            for actor in waiting:
                self._await(actor)
            still = [one for one in waiting if one.waits_for_lock]
            if still == waiting:
                return
            waiting = still

    def _await(self, actor: Actor) -> None:
        until = time.monotonic() + FOR_EVER
        while not actor.arrived.wait(0.002):
            actor.waits_for_lock = _waits_for_lock(actor)
            if actor.waits_for_lock:
                return
            assert time.monotonic() < until, f"{actor.name} neither goes on nor waits"
        actor.waits_for_lock = False


def _waits_for_lock(actor: Actor) -> bool:
    if direct.vendor() == "sqlite":
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT cardinality(pg_blocking_pids(%s))", [actor.backend])
        return bool(cursor.fetchone()[0])
