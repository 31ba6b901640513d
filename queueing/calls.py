"""Calls that may never come back: each has a thread to itself, and is left behind at its deadline.

A thread cannot be killed, whatever it hangs in: the resolver of names, a library written in C, a
loop without an end. So the thread that works a job never makes the call itself; it waits for it,
and goes on without it when its time is over. What was left behind is counted as hung until it ends.
A process with too many of those, or with one that will not end, is worn out: it is told once, so
that it can make room for another.

A thread that made a call makes the next one: a thread for each would cost a short call more than
itself. When there are no calls any more they all end.

No wait here is timed but by sleeping: that is the one that no system measures by its wall clock.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.conf import settings
from django.db import Error, connections

from queueing import threads
from queueing.errors import NoThread

log = logging.getLogger(__name__)

TICK_SECONDS = 0.1
Made = TypeVar("Made")


class Hung(Exception):
    """A call did not end in its time, and was left behind."""


def _held() -> threading.Lock:
    """A lock that whoever asks for it has to wait for: cheaper than an event."""
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(eq=False, slots=True)
class _Call:
    """One call; `over` is free when it is done, or when nobody waits for it any more."""

    make: Callable[[], object]
    deadline: float
    over: threading.Lock = field(default_factory=_held)
    done: bool = False
    result: Any = None
    error: BaseException | None = None


@dataclass(eq=False, slots=True)
class _Caller:
    """A thread that makes calls. It has one when `asked` is free; without one it is to end."""

    call: _Call | None
    asked: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, call: _Call | None) -> None:
        """Have it make this call next."""
        self.call = call
        self.asked.release()


class Calls:
    """The calls of a process. `worn_out` is called, once, when it has too many that hang."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: set[_Call] = set()
        self._hung: set[_Call] = set()
        self._idle: list[_Caller] = []
        self._watched = False
        # Whether it was called already.
        self.told = False
        self.worn_out: Callable[[], object] = lambda: None

    def within(self, seconds: float, call: Callable[[], Made]) -> Made:
        """What `call` returns or raises, within so many seconds. Raises Hung after that.

        Raises NoThread where the system has none for it: then it was not made.
        """
        made = _Call(call, time.monotonic() + seconds)
        with self._lock:
            self._ensure_watch()
            self._under_way.add(made)
            idle = self._idle.pop() if self._idle else None
        if idle:
            idle.ask(made)
        else:
            self._start(made)
        made.over.acquire()
        if not made.done:
            raise Hung
        if made.error is not None:
            raise made.error
        result: Made = made.result
        return result

    @property
    def hung(self) -> int:
        """How many calls were left behind and have not ended."""
        return len(self._hung)

    def _start(self, made: _Call) -> None:
        try:
            threads.start(self._work, _Caller(made), name="call")
        except NoThread:
            with self._lock:
                self._under_way.discard(made)
            raise

    def _work(self, caller: _Caller) -> None:
        """Make calls, one after the other, until it is asked to end."""
        while True:
            caller.asked.acquire()
            made, caller.call = caller.call, None
            if made is None:
                return
            self._make(made, caller)
            del made  # and what came of it: the next may be a long time coming

    def _make(self, made: _Call, caller: _Caller) -> None:
        try:
            made.result = made.make()
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            made.error = error
        with suppress(Error):  # which the next statement of whoever needs one meets
            # No call should have any; but one that a pool waits for in vain is lost to all.
            connections.close_all()
        with self._lock:
            made.done = made in self._under_way
            self._under_way.discard(made)
            self._hung.discard(made)
            self._idle.append(caller)
        if made.done:
            made.over.release()
        else:
            log.info("a call ended that had been left behind; %d hang still", self.hung)

    def _ensure_watch(self) -> None:
        if not self._watched:
            threads.start(self._watch, name="calls")
            self._watched = True

    def _watch(self) -> None:
        """As long as there are any calls."""
        while self._wanted():
            time.sleep(TICK_SECONDS)
            now = time.monotonic()
            for late in self._late(now):
                log.error("a call did not end in its time, and was left behind; %d hang", self.hung)
                late.over.release()
            if not self.told and is_worn_out(self._overdue(), now):
                self.told = True
                log.error("%d calls hang, so this worker ends; another has to take over", self.hung)
                self.worn_out()

    def _wanted(self) -> bool:
        with self._lock:
            self._watched = bool(self._under_way or self._hung)
            if self._watched:
                return True
            idle, self._idle = self._idle, []
        for caller in idle:
            caller.ask(None)
        return False

    def _overdue(self) -> list[float]:
        with self._lock:
            return [call.deadline for call in self._hung]

    def _late(self, now: float) -> list[_Call]:
        with self._lock:
            late = [call for call in self._under_way if call.deadline <= now]
            self._under_way.difference_update(late)
            self._hung.update(late)
        return late


def is_worn_out(deadlines: Collection[float], now: float) -> bool:
    """Whether so many calls hang, since these moments, that their process should be replaced."""
    if len(deadlines) >= settings.HUNG_CALLS:
        return True
    return any(now - deadline >= settings.HUNG_SECONDS for deadline in deadlines)


calls = Calls()
