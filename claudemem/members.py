"""What the supervisor starts in order, keeps running, and stops in reverse order."""

import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from claudemem import ending, leash, listening
from claudemem.interrupts import Interrupts
from claudemem.restarts import Restarts
from queueing import pids
from queueing.pids import Mark
from queueing.store import Store, StoreFailed, StoreOutOfReach

# Beyond the grace that a child gives itself: so long it may take to give back what it has in hand.
MARGIN_SECONDS = 5.0
LOOK_SECONDS = 2.0
_POLL_SECONDS = 0.05

RUNNING, WAITING, STOPPED = "running", "waiting", "stopped"


class StartFailed(Exception):
    """Something could not be started; the message is a sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Program:
    """A row of the process table.

    `listens`: a host and port that must be free for it. `serves`: those at which it is given a
    socket, which a successor can share. `grace`: the seconds in which it ends when it is told to.
    """

    name: str
    argv: tuple[str, ...]
    detail: str = ""
    listens: tuple[str, int] | None = None
    serves: tuple[str, int] | None = None
    grace: float = 5.0


@dataclass(frozen=True, slots=True)
class Status:
    """How a member is, for the board and the state file."""

    name: str
    state: str
    process: Mark | None
    restarts: int = 0
    detail: str = ""


class Member(ABC):
    """One of them. Kept running: whatever ended is started again, later each time."""

    def __init__(self, name: str, restarts: Restarts) -> None:
        self.name = name
        self.detail = ""
        # Sentences about its last start.
        self.warnings: tuple[str, ...] = ()
        self._restarts = restarts
        self._state = STOPPED

    def start(self) -> None:
        """Start it. Raises StartFailed, StoreFailed or OSError."""
        self._launch(again=False)
        self._restarts.born(time.monotonic())
        self._state = RUNNING

    def tend(self) -> str:
        """Notice its end, or start it again when that is due; a sentence about it, or ""."""
        if self._state == WAITING:
            return self._start_again() if self._restarts.due(time.monotonic()) else ""
        if not (ending := self._ending()):
            return ""
        self._state = WAITING
        delay = self._restarts.died(time.monotonic())
        return f"{self.name} {ending}; it starts again in {delay:g} s"

    def status(self) -> Status:
        """How it is now."""
        return Status(self.name, self._state, self._mark(), self._restarts.total, self.detail)

    @abstractmethod
    def stop(self, interrupts: Interrupts) -> None:
        """Stop it, and return when it is gone; at once if it was interrupted twice."""

    @abstractmethod
    def _launch(self, *, again: bool) -> None: ...

    @abstractmethod
    def _ending(self) -> str:
        """How it ended, or "" while it runs."""

    @abstractmethod
    def _mark(self) -> Mark | None: ...

    def _start_again(self) -> str:
        self._restarts.total += 1
        try:
            self._launch(again=True)
        except (StoreFailed, OSError) as error:
            delay = self._restarts.died(time.monotonic())
            return f"{self.name} did not start: {error}; the next attempt is in {delay:g} s"
        self._restarts.born(time.monotonic())
        self._state = RUNNING
        return "; ".join((f"{self.name} was started again", *self.warnings))


class Child(Member):
    """A program in a process of its own, whose output goes to a log of its own.

    It has a process group of its own, so that the terminal's Ctrl-C reaches the supervisor alone.
    """

    def __init__(self, program: Program, logs: Path, directory: Path) -> None:
        super().__init__(program.name, Restarts())
        self.detail = program.detail
        self._program = program
        self._logs = logs
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._leash: socket.socket | None = None
        self._listener: socket.socket | None = None
        self._known: Mark | None = None
        # When it is killed; none until it was told to end.
        self._deadline: float | None = None

    @property
    def alone(self) -> bool:
        """Whether it cannot run beside its successor, for want of a place to listen."""
        return self._program.listens is not None

    @property
    def is_gone(self) -> bool:
        """Whether its process has ended, or none was started."""
        return self._process is None or self._process.poll() is not None

    def successor(self) -> "Child":
        """One that is to take its place, not started: of the same program, at the same socket."""
        heir = Child(self._program, self._logs, self._directory)
        heir._restarts = self._restarts
        if self._listener is not None:
            heir._listener = self._listener.dup()
        return heir

    def is_ready(self) -> bool:
        """Whether it has said, since it was asked last, that it does its work."""
        with suppress(BlockingIOError, ConnectionError):
            return self._leash is not None and bool(self._leash.recv(16, socket.MSG_DONTWAIT))
        return False

    def retire(self) -> None:
        """Ask it to end, leaving the place at which it listens to its successor."""
        if self._listener:
            self._ask_to_end(ending.RETIRE, ending.RETIRING_SECONDS)
        else:
            self._ask_to_end(signal.SIGTERM)

    def bury(self) -> bool:
        """Whether it is gone, after it was told to end; one that takes too long is killed."""
        if not self.is_gone and self._deadline and time.monotonic() > self._deadline:
            self._kill()
        if self.is_gone:
            self._drop()
        return self._process is None

    def discard(self) -> None:
        """Kill it: it has done nothing yet that anybody waits for, or all of that."""
        self._state = STOPPED
        self._kill()
        self._drop()

    def stop(self, interrupts: Interrupts) -> None:
        self._ask_to_end(signal.SIGTERM)
        while not self.bury():
            if interrupts.count > 1:
                self._kill()
            else:
                interrupts.wait(_POLL_SECONDS)

    def _ask_to_end(self, number: int, longer: float = 0.0) -> None:
        self._state = STOPPED
        if self._process is None or (self._deadline and not self._listener):
            return  # told already: told twice it would not wait for anything
        self._deadline = time.monotonic() + self._program.grace + MARGIN_SECONDS + longer
        self._process.send_signal(number)

    def _kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):  # macOS: if it just ended
                os.killpg(self._process.pid, signal.SIGKILL)  # with whatever it started itself
            self._process.wait()

    def _launch(self, *, again: bool) -> None:  # noqa: ARG002 - the same each time
        log = leash.open_log(self._logs, self.name, leash.today())
        self._leash, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                (*self._program.argv, *self._door()),
                stdin=theirs.fileno(),
                stdout=log,
                stderr=log,
                cwd=self._directory,
                process_group=0,
                pass_fds=[self._listener.fileno()] if self._listener else [],
            )
        except OSError:
            self._drop()
            raise
        finally:
            theirs.close()
            os.close(log)
        # Now, while it lives: of one that has just died nothing but the number could be told.
        self._known = pids.mark(self._process.pid)

    def _door(self) -> list[str]:
        """What tells it the socket at which it listens, opened if need be. Raises OSError."""
        if self._program.serves is None:
            return []
        if self._listener is None:
            self._listener = listening.opened(*self._program.serves)
        return ["--listener", str(self._listener.fileno())]

    def _ending(self) -> str:
        if self._process is None or self._process.poll() is None:
            return ""
        code = self._process.returncode
        self._drop()
        return (
            f"was ended by {signal.Signals(-code).name}"
            if code < 0
            else f"stopped with exit code {code}, its log says why"
        )

    def _mark(self) -> Mark | None:
        return self._known

    def _drop(self) -> None:
        # With the socket: whom nobody would answer is refused at once.
        for end in (self._leash, self._listener):
            if end is not None:
                end.close()
        self._process = self._leash = self._listener = self._known = self._deadline = None


class StoreMember(Member):
    """A queue store of ours. It outlives a supervisor that is killed, and is adopted then."""

    def __init__(self, store: Store) -> None:
        # All wait for it, and it starts in a moment: it is tried again soon, and forgiven soon.
        super().__init__("store", Restarts(steady=5.0))
        self._store = store
        self._day = leash.today()
        self._process: Mark | None = None
        self._next_look = 0.0
        # Also after a start that failed half-way.
        self._may_run = False

    def tend(self) -> str:
        if self._day != leash.today():
            self._day = leash.today()
            self._store.turn_log(self._day)
        return super().tend()

    def stop(self, interrupts: Interrupts) -> None:  # noqa: ARG002 - it must write its data
        self._state = STOPPED
        if self._may_run:
            self._store.stop()
        self._process = None

    def _launch(self, *, again: bool) -> None:
        # Once the others know its address, it must come back to that.
        ran, self._may_run = self._may_run, True
        try:
            server = self._store.start(may_move=not again)
        except StoreOutOfReach:
            self._may_run = ran
            raise
        adopted = ", found running" if server.adopted else ""
        self.detail = f"{server.address}, {server.product} {server.version}{adopted}"
        self.warnings = server.warnings
        self._process = None if server.pid is None else pids.mark(server.pid)

    def _ending(self) -> str:
        if self._process is None:
            return "was stopped" if self._is_due() and self._store.ended() else ""
        if self._process.alive:
            return ""
        pids.reap(self._process.pid)
        self._process = None
        return "stopped, its log says why"

    def _is_due(self) -> bool:
        """Whether to look at one that is no process of this machine: not at every glance."""
        if time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + LOOK_SECONDS
        return True

    def _mark(self) -> Mark | None:
        return self._process
