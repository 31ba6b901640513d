"""Questions whose answers are waited for only so long, whoever does not answer.

Each is asked in a thread of its own, by one caller for all: however many want to know, one thread
waits for what is dead, and the callers wait no longer than their patience.
"""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Question(Generic[Answer]):
    """`ask`, answered within `patience` seconds of being asked; an answer is good for `keep`.

    While the next one takes longer, the last is given for `worth` seconds.
    """

    def __init__(
        self,
        ask: Callable[[], Answer],
        *,
        patience: float = 0.5,
        keep: float = 1.0,
        worth: float = 0.0,
    ) -> None:
        self._ask = ask
        self._patience = patience
        self._keep = keep
        self._worth = worth
        self._changed = threading.Condition()
        self._asked_at = 0.0
        self._is_open = False
        self._answer: Answer | None = None
        self._answered_at = float("-inf")

    def begin(self) -> None:
        """Ask, if there is no answer that is still good, and do not wait."""
        with self._changed:
            self._begin()

    def answer(self) -> Answer | None:
        """The answer, or None where there is none in time; who comes after that does not wait."""
        with self._changed:
            self._begin()
            left = self._asked_at + self._patience - time.monotonic()
            if self._is_open and left > 0:
                self._changed.wait_for(lambda: not self._is_open, left)
            is_old = time.monotonic() - self._answered_at > self._worth
            return None if self._is_open and is_old else self._answer

    def forget(self) -> None:
        """Have it asked anew; one that is under way is waited for."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_open)
            self._answered_at = float("-inf")

    def _begin(self) -> None:
        now = time.monotonic()
        if not self._is_open and now - self._answered_at > self._keep:
            self._asked_at, self._is_open = now, True
            try:
                threading.Thread(target=self._put, name="question", daemon=True).start()
            except RuntimeError:
                # As many threads as there may be: whoever wants to know next tries again.
                self._answer, self._is_open = None, False

    def _put(self) -> None:
        answer: Answer | None = None
        try:
            answer = self._ask()
        finally:
            with self._changed:
                self._answer, self._is_open = answer, False
                self._answered_at = time.monotonic()
                self._changed.notify_all()
