"""Nobody waits for what does not answer, however many want to know."""

import threading
import time

import pytest

from claudemem.patience import Question
from tests.waiting import until

pytestmark = pytest.mark.once


class Sphinx:
    """Somebody who is asked, and answers when told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.speak = threading.Event()

    def __call__(self) -> int:
        self.asked += 1
        self.speak.wait(30)
        return self.asked


def test_an_answer_is_good_for_a_while() -> None:
    sphinx = Sphinx()
    sphinx.speak.set()
    kept, fresh = Question(sphinx, patience=30, keep=1000), Question(sphinx, patience=30, keep=0)
    assert [kept.answer(), kept.answer()] == [1, 1]
    kept.forget()
    assert kept.answer() == 2
    assert [fresh.answer(), fresh.answer()] == [3, 4]


def test_fifty_that_ask_at_once_wait_together_and_are_one_question() -> None:
    sphinx = Sphinx()
    question = Question(sphinx, patience=0.5, keep=1000)
    answers: list[int | None] = []
    threads = [
        threading.Thread(target=lambda: answers.append(question.answer())) for _ in range(50)
    ]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [None] * 50
    assert sphinx.asked == 1
    assert time.monotonic() - started < 10
    # Whoever comes later knows at once.
    later = time.monotonic()
    assert [question.answer() for _ in range(1000)] == [None] * 1000
    assert time.monotonic() - later < 5
    sphinx.speak.set()
    assert until(question.answer) == 1


def test_the_last_answer_is_given_while_the_next_takes_long_for_as_long_as_it_is_worth() -> None:
    for worth, given in ((1000.0, 1), (0.0, None)):
        sphinx = Sphinx()
        sphinx.speak.set()
        question = Question(sphinx, patience=30, keep=-1.0, worth=worth)
        assert question.answer() == 1
        sphinx.speak.clear()
        question._patience = 0.1
        assert question.answer() == given
        sphinx.speak.set()
        question.forget()


def test_where_no_thread_can_be_had_the_next_who_wants_to_know_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    sphinx = Sphinx()
    sphinx.speak.set()
    question = Question(sphinx, patience=30)
    with monkeypatch.context() as none_left:
        none_left.setattr(threading.Thread, "start", start)
        assert question.answer() is None
    assert question.answer() == 1


def test_it_is_asked_before_it_is_waited_for() -> None:
    sphinx = Sphinx()
    question = Question(sphinx, patience=30)
    question.begin()
    until(lambda: sphinx.asked)
    sphinx.speak.set()
    assert question.answer() == 1
