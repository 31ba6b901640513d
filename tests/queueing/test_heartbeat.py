"""Leases outlast a sleep of the machine, in which nobody could renew them."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from queueing import heartbeat, threads
from queueing.clock import since_boot
from queueing.heartbeat import Heartbeat
from queueing.leases import Lease
from tests.waiting import until

pytestmark = pytest.mark.once

INTERVAL = 0.04


def waited(beats: Heartbeat) -> float:
    started = time.monotonic()
    beats.await_others()
    return time.monotonic() - started


def test_a_worker_begins_nothing_until_all_had_a_beat_after_the_machine_slept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    beats = Heartbeat(INTERVAL)
    beats.await_others()
    monkeypatch.setattr(heartbeat, "since_boot", lambda: since_boot() + 3600)
    assert waited(beats) > INTERVAL
    # Once: the next sleep is another one.
    monkeypatch.setattr(beats, "_interval", 60.0)
    assert waited(beats) < 60.0


def test_who_did_not_sleep_is_not_held_up() -> None:
    beats = Heartbeat(60.0)
    assert waited(beats) < 60.0


def test_one_thread_keeps_all_that_a_process_has(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    start = threads.start

    def counted(run: Callable[[], None], *, name: str) -> threading.Thread:
        started.append(name)
        return start(run, name=name)

    monkeypatch.setattr(threads, "start", counted)
    beats = Heartbeat(INTERVAL)
    with beats.keeping(Lease(()), timeout=60.0), beats.keeping(Lease(()), timeout=60.0):
        assert started == ["heartbeat"]
    until(lambda: beats._thread is None)


class Late(Heartbeat):
    """Is given something to keep alive at the very moment at which its thread ends."""

    def __init__(self) -> None:
        super().__init__(INTERVAL)
        self.kept = ExitStack()
        self._first = True

    def _wanted(self) -> bool:
        wanted = super()._wanted()
        if not wanted and self._first:
            self._first = False
            self.kept.enter_context(self.keeping(Lease(()), timeout=60.0))
        return wanted


def test_what_comes_as_the_thread_ends_is_kept_by_another() -> None:
    beats = Late()
    with beats.keeping(Lease(()), timeout=60.0):
        first = beats._thread
    assert first
    first.join(30)
    assert beats._thread not in (None, first)
    beats.kept.close()
    until(lambda: beats._thread is None)
