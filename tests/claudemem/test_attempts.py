"""How often somebody may fail."""

from threading import Thread

import pytest

from claudemem.attempts import Attempts

pytestmark = pytest.mark.once


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def attempts(clock: Clock) -> Attempts:
    return Attempts("the gate", 60.0, room=3, clock=clock)


def test_so_many_failures_are_borne_and_the_next_bars_till_the_window_ends(
    attempts: Attempts, clock: Clock
) -> None:
    assert [attempts.fail("a", 2) for _ in range(2)] == [0.0, 0.0]
    clock.now += 10
    assert attempts.fail("a", 2) == 50.0
    clock.now += 49
    assert attempts.fail("a", 2) == 1.0
    clock.now += 1
    assert attempts.fail("a", 2) == 0.0


def test_nobody_pays_for_anothers_failures(attempts: Attempts) -> None:
    assert attempts.fail("a", 1) == 0.0
    assert attempts.fail("a", 1) > 0
    assert attempts.fail("b", 1) == 0.0


def test_without_a_limit_nothing_is_counted(attempts: Attempts) -> None:
    assert [attempts.fail("a", 0) for _ in range(5)] == [0.0] * 5
    assert len(attempts) == 0


def test_what_was_forgiven_was_no_failure(attempts: Attempts) -> None:
    attempts.fail("a", 1)
    attempts.forgive("a")
    attempts.forgive("somebody else")
    assert attempts.fail("a", 1) == 0.0
    assert attempts.fail("a", 1) > 0


def test_a_flood_of_names_takes_no_more_room(attempts: Attempts, clock: Clock) -> None:
    for name in "abcd":
        attempts.fail(name, 1)
        clock.now += 1
    assert len(attempts) == 3
    # The one whose window began first gave way; the others are still known.
    assert attempts.fail("d", 1) > 0
    assert attempts.fail("a", 1) == 0.0
    clock.now += 60
    attempts.fail("e", 1)
    assert len(attempts) == 1


def test_the_log_has_one_line_a_window(
    attempts: Attempts, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(9):
        attempts.fail("a\n2026 forged", 2)
    (line,) = caplog.messages
    assert line == r"'a\n2026 forged' failed 2 times at the gate and is refused for now"
    clock.now += 60
    for _ in range(9):
        attempts.fail("a\n2026 forged", 2)
    assert len(caplog.messages) == 2


def test_threads_together_have_no_more_attempts_than_one() -> None:
    attempts = Attempts("the gate", 3600.0)
    passed: list[float] = []

    def hammer() -> None:
        passed.extend(attempts.fail("a", 50) for _ in range(100))

    threads = [Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert passed.count(0.0) == 50
