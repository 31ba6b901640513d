"""The one connection to the queue store that all threads of a process share.

Whoever asks while another is asking waits for its turn, and the first in turn asks for all who
wait: the store is spoken to once, however many wanted something. Behind their questions goes one
more, which only this turn asks: where its answer is not in its place, nobody is given any.

The connection is made in a thread of its own, so no caller ever waits for a name that does not
resolve, a handshake or the second of three Sentinels longer than `patience` seconds. Once that is
over, or an answer did not come, everybody is refused at once until the thread has brought a
connection over which the store takes writes; it tries again after each `rest` seconds.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

import redis

from queueing.errors import QueueStoreAway
from queueing.reasons import reason

log = logging.getLogger(__name__)

Command = tuple[str | bytes | int, ...]
# What does not speak the store's language ends in numbers and letters that are none.
_FAILURES = (redis.RedisError, OSError, ValueError)
_marks = count(1)
_BROKEN_OFF = "the asking thread was interrupted"


class Connection(Protocol):
    """What is needed of redis-py's connections."""

    def pack_commands(self, commands: Any, /) -> Any:
        """The commands as they are sent."""

    def send_packed_command(self, command: Any, check_health: bool = True) -> object:
        """Send them. Raises RedisError."""

    def read_response(self, *, timeout: float, disconnect_on_error: bool = True) -> Any:
        """The next reply; each part of it may take `timeout` seconds. Raises RedisError."""

    def disconnect(self) -> object:
        """Hang up."""


@dataclass(slots=True, eq=False)
class _Question:
    """What a caller asks; the turn of whoever asks for it fills in the rest."""

    commands: Sequence[Command]
    replies: list[Any] = field(default_factory=list)
    failure: Exception | None = field(default_factory=lambda: redis.ConnectionError(_BROKEN_OFF))
    is_answered: bool = False


class Line:
    """A connection that is made by `connect` when it is wanted, and made anew when it is lost.

    `connect` returns one over which the store has just taken a write, or raises a RedisError or an
    OSError.
    """

    def __init__(self, connect: Callable[[], Connection], *, patience: float, rest: float) -> None:
        self._connect = connect
        self._patience = patience
        self._rest = rest
        self._questions: deque[_Question] = deque()
        self._turn = threading.Lock()
        self._guard = threading.Lock()  # of the four below
        self._connection: Connection | None = None
        self._seeks = False
        self._tried = threading.Event()
        self._failure: Exception = redis.TimeoutError()
        self._patient_until = 0.0
        self._closed = threading.Event()

    @property
    def refuses(self) -> bool:
        """Whether callers are turned away at once, because the store was found to be away."""
        return self._connection is None and self._seeks and time.monotonic() >= self._patient_until

    def ask(self, *commands: Command) -> list[Any]:
        """The store's replies to `commands`. Raises QueueStoreAway, with what to do about it.

        Waits for a connection and for the replies at most `patience` and the connection's timeout
        together.
        """
        if self.refuses:
            raise self._refusal()
        question = _Question(commands)
        self._questions.append(question)
        with self._turn:
            if not question.is_answered:
                self._answer_all()
        if question.failure is not None:
            raise _away(question.failure) from question.failure
        return question.replies

    def close(self) -> None:
        """Hang up, and look for the store no more. Nobody may be asking."""
        self._closed.set()
        self._lose(self._failure, patience=0.0, seek=False)

    def _refusal(self) -> QueueStoreAway:
        return _away(self._failure, f"; it is tried again every {self._rest:g} s")

    # --- in turn ------------------------------------------------------------------------------

    def _answer_all(self) -> None:
        """Ask for all who wait by now: it is this thread's turn."""
        asked = []
        while self._questions:
            asked.append(self._questions.popleft())
        failure: Exception = redis.ConnectionError(_BROKEN_OFF)
        replies: list[Any] = []
        try:
            replies = self._replies([one for question in asked for one in question.commands])
        except _FAILURES as error:
            failure = error
        finally:
            for question in asked:
                count = len(question.commands)
                question.replies, replies = replies[:count], replies[count:]
                _conclude(question, failure)

    def _replies(self, commands: Sequence[Command]) -> list[Any]:
        connection = self._wait_connected()
        try:
            try:
                replies = _talk(connection, commands, self._patience)
            except redis.TimeoutError:
                raise
            except redis.ConnectionError as error:
                # It was restarted, or is tired of an idle connection: there may be another at once.
                self._lose(error, patience=self._patience)
                replies = _talk(self._wait_connected(), commands, self._patience)
        except BaseException as error:
            # What was asked may still be answered: nobody else must read that.
            self._lose(error, patience=0.0)
            raise
        if wrong := next((one for one in replies if isinstance(one, redis.ResponseError)), None):
            self._lose(wrong, patience=0.0)
        return replies

    def _wait_connected(self) -> Connection:
        with self._guard:
            connection = self._connection
            if connection is None and not self._seeks:
                self._seek(self._patience)
            left = self._patient_until - time.monotonic()
        if connection is None:
            self._tried.wait(max(0.0, left))
            connection = self._connection
        if connection is None:
            raise self._failure
        return connection

    def _lose(self, error: BaseException, *, patience: float, seek: bool = True) -> None:
        with self._guard:
            lost, self._connection = self._connection, None
            if isinstance(error, Exception):
                self._failure = error
            if lost is not None and seek:
                self._seek(patience)
        if lost is not None:
            lost.disconnect()

    # --- apart --------------------------------------------------------------------------------

    def _seek(self, patience: float) -> None:
        """Have a connection made. The guard is held, and nobody is about it."""
        self._seeks = True
        self._tried.clear()
        self._patient_until = time.monotonic() + patience
        try:
            threading.Thread(target=self._find, name="store-probe", daemon=True).start()
        except RuntimeError as error:
            # As many threads as there may be, or the process ends: whoever asks next tries again.
            self._failure = redis.ConnectionError(str(error))
            self._seeks, self._patient_until = False, 0.0

    def _find(self) -> None:
        was_away = False
        while not self._closed.is_set():
            try:
                connection = self._connect()
            except Exception as error:  # noqa: BLE001 - a thread that ended would look no more
                with self._guard:
                    self._failure, self._patient_until = _usual(error), 0.0
                was_away = True
                self._tried.set()
                self._closed.wait(self._rest)
            else:
                self._take(connection)
                if was_away:
                    log.info("the queue store takes messages again")
                return

    def _take(self, connection: Connection) -> None:
        with self._guard:
            self._seeks = False
            if not self._closed.is_set():
                self._connection = connection
        self._tried.set()


def _usual(error: Exception) -> Exception:
    """The error, as one of those that are expected of a store."""
    return error if isinstance(error, _FAILURES) else redis.ConnectionError(type(error).__name__)


def _away(failure: Exception, then: str = "") -> QueueStoreAway:
    said = f"the queue store {reason(failure)}{then}"
    return QueueStoreAway(said, f"the queue store {reason(failure, plainly=True)}{then}")


def _conclude(question: _Question, failure: Exception) -> None:
    if len(question.replies) < len(question.commands):
        question.failure = failure
    else:
        wrong = (one for one in question.replies if isinstance(one, Exception))
        question.failure = next(wrong, None)
    question.is_answered = True


def _talk(connection: Connection, commands: Sequence[Command], patience: float) -> list[Any]:
    """The replies, the last of which has begun within `patience` seconds of asking."""
    until, mark = time.monotonic() + patience, b"%d" % next(_marks)
    packed = connection.pack_commands([*commands, ("ECHO", mark)])
    connection.send_packed_command(packed, check_health=False)
    replies = [_reply(connection, until) for _ in commands]
    if _reply(connection, until) != mark:
        raise redis.ConnectionError("its replies are not to what was asked")
    return replies


def _reply(connection: Connection, until: float) -> Any:
    left = until - time.monotonic()
    if left <= 0:
        raise redis.TimeoutError
    try:
        return connection.read_response(timeout=left, disconnect_on_error=True)
    except redis.ResponseError as error:
        return error
