"""Calls that may never come back are left behind at their deadline, and counted."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import ref

import pytest
from django.db import connections
from django.test import override_settings

from queueing import direct
from queueing.calls import Calls, Hung, is_worn_out
from queueing.errors import NoThread
from tests.waiting import until


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What hangs in a test ends with it."""
    release = threading.Event()
    yield release
    release.set()


def test_what_a_call_returns_and_raises_is_its_callers() -> None:
    calls = Calls()
    assert calls.within(60, lambda: "made") == "made"
    with pytest.raises(ZeroDivisionError):
        calls.within(60, lambda: 1 / 0)
    assert calls.hung == 0


def test_a_call_that_hangs_is_left_behind_and_counted_until_it_ends(
    release: threading.Event,
) -> None:
    calls = Calls()
    began = time.monotonic()
    with pytest.raises(Hung):
        calls.within(0.2, release.wait)
    assert time.monotonic() - began >= 0.2
    assert calls.hung == 1
    assert calls.within(60, lambda: "others go on") == "others go on"
    release.set()
    until(lambda: calls.hung == 0)


def test_a_call_that_never_gives_way_is_left_behind_too(release: threading.Event) -> None:
    def loop() -> None:
        while not release.is_set():
            pass

    with pytest.raises(Hung):
        Calls().within(0.2, loop)


def test_a_thread_makes_one_call_after_the_other_and_ends_when_there_are_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("queueing.calls.TICK_SECONDS", 1.0)
    calls = Calls()
    callers = {calls.within(60, threading.current_thread) for _ in range(50)}
    assert len(callers) < 10
    until(lambda: not any(caller.is_alive() for caller in callers))
    assert calls.within(60, threading.current_thread) not in callers


def test_calls_that_are_made_at_once_have_a_thread_each_whatever_hangs(
    release: threading.Event,
) -> None:
    calls = Calls()
    with pytest.raises(Hung):
        calls.within(0.1, release.wait)
    together = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(calls.within, 60, together.wait) for _ in range(4)]
        assert sorted(each.result() for each in waiting) == [0, 1, 2, 3]
    release.set()
    until(lambda: calls.hung == 0)
    assert calls.within(60, lambda: "goes on") == "goes on"


def test_what_came_of_a_call_is_not_kept(release: threading.Event) -> None:
    class Answer:
        pass

    calls = Calls()
    with pytest.raises(Hung):  # so that threads stay
        calls.within(0.1, release.wait)
    known = ref(calls.within(60, Answer))
    until(lambda: known() is None)


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_a_call_took_is_given_back_when_it_ends() -> None:
    def look() -> Any:
        direct.fetch("SELECT 1")
        return connections["default"]

    calls = Calls()
    assert [calls.within(60, look).connection for _ in range(12)] == [None] * 12


def test_a_call_for_which_there_is_no_thread_is_no_call_that_hangs(
    no_thread: Callable[[str], None],
) -> None:
    calls = Calls()
    no_thread("call")
    with pytest.raises(NoThread, match="ulimit -u"):
        calls.within(0.1, lambda: None)
    until(lambda: not calls._watched)
    assert calls.hung == 0


def test_calls_are_watched_though_at_first_there_was_no_thread_for_that(
    release: threading.Event, no_thread: Callable[[str], None]
) -> None:
    calls = Calls()
    no_thread("calls")
    with pytest.raises(NoThread):
        calls.within(60, lambda: None)
    no_thread("")
    with pytest.raises(Hung):
        calls.within(0.1, release.wait)
    assert calls.hung == 1


def test_a_process_with_too_many_is_worn_out_and_says_so_once(release: threading.Event) -> None:
    calls, said = Calls(), threading.Semaphore(0)
    calls.worn_out = said.release
    with override_settings(HUNG_CALLS=2):
        for left_behind in (1, 2, 3):
            with pytest.raises(Hung):
                calls.within(0.1, release.wait)
            assert calls.hung == left_behind
            assert calls.told is (left_behind > 1) or until(lambda: calls.told)
    assert said.acquire(timeout=60)
    assert not said.acquire(blocking=False)


@override_settings(HUNG_CALLS=3, HUNG_SECONDS=60.0)
@pytest.mark.parametrize(
    ("deadlines", "worn_out"),
    [((), False), ((100.0, 100.0), False), ((100.0, 100.0, 100.0), True), ((41.0,), False),
     ((40.0,), True)],
)  # fmt: skip
def test_many_that_hang_wear_a_process_out_and_so_does_one_for_long(
    deadlines: tuple[float, ...], worn_out: bool
) -> None:
    assert is_worn_out(deadlines, 100.0) is worn_out
