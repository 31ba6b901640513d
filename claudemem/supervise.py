"""`claudemem up`: store, database, web, worker, beat, in order, and down again in reverse.

This process stays small: it imports no Django, and whatever needs it is a child. If it is killed,
its children end by themselves (see `leash`) and the store stays, to be adopted by the next start.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from claudemem import daylogs, leash, listening, orphans, serverfiles, statefile
from claudemem.board import Board, View
from claudemem.datadir import DataDir
from claudemem.daylogs import Keep
from claudemem.interrupts import Interrupts
from claudemem.members import (
    MARGIN_SECONDS,
    STOPPED,
    Child,
    Member,
    Program,
    StartFailed,
    Status,
    StoreMember,
)
from claudemem.peek import Gauge
from claudemem.rolling import Rolling
from claudemem.serverfiles import Announcer
from claudemem.statefile import Rolled, State
from queueing import pids
from queueing.store import Store

TICK_SECONDS = 0.2
STORE_SECONDS = 30.0
# How a supervisor without a terminal ends where another one runs.
TAKEN = 3
_HERE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, and where. `prepare` runs to its end before the children start, and `renew`
    before they are replaced.

    A `store` that is not ours is left to itself; None where none is used. A plan that runs
    `detached` lets `prepare` write to standard error alone, and goes on without that. `keep` says
    for how many days logs are kept. `fixed` are the settings that a rolling restart cannot change.
    """

    data: DataDir
    host: str
    port: int
    children: tuple[Program, ...]
    prepare: Program | None = None
    renew: Program | None = None
    store: Store | None = None
    detached: bool = False
    keep: Keep = field(default_factory=Keep)
    fixed: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The address of the web."""
        return listening.url(self.host, self.port)


def own(name: str, *arguments: str, **about: Any) -> Program:
    """A program that is one of our own commands; `about` is what else a Program has."""
    return Program(name, (sys.executable, "-m", "claudemem", *arguments), **about)


def up(plan: Plan, board: Board) -> None:
    """Run the plan until SIGINT, SIGTERM or SIGHUP, and stop everything again.

    SIGUSR1 asks for a rolling restart. A second signal to stop kills what has not stopped yet.
    Raises StartFailed or StoreFailed, and leaves nothing running, if it cannot start.
    """
    plan.data.create()
    with statefile.alone(plan.data.root), Interrupts() as interrupts:
        # The ports are free once those are gone whose supervisor was killed.
        orphans.end(statefile.read(plan.data.root))
        _check_ports(plan)
        gauge = Gauge(plan.host, plan.port, with_jobs=board.wants_jobs)
        started: list[Member] = []
        try:
            statefile.write(plan.data.root, _beginning(plan))
            for member in _starting(plan, interrupts, board):
                started.append(member)
                member.start()
                for line in (_introduced(member), *member.warnings):
                    board.say(line)
            gauge.start()
            _watch(plan, started, interrupts, board, gauge)
        finally:
            gauge.stop()
            _stop(plan, started, interrupts, board)


def _starting(plan: Plan, interrupts: Interrupts, board: Board) -> Iterator[Member]:
    """The members in the order of their start; the database is prepared after the store."""
    if plan.store and plan.store.ours:
        if what := plan.store.fetches():
            _announce(plan.detached, board, f"Docker fetches {what}, which may take some minutes")
        yield StoreMember(plan.store)
    if plan.prepare and not interrupts.count:
        _run(plan.prepare, interrupts, sys.stderr if plan.detached else None)
    if plan.detached:
        os.dup2(sys.stdout.fileno(), sys.stderr.fileno())
    for program in plan.children:
        if not interrupts.count:
            yield Child(program, plan.data.logs, _HERE)


def _announce(detached: bool, board: Board, sentence: str) -> None:
    board.say(sentence)
    if detached:
        # Until it runs, somebody waits for it at a terminal.
        print(sentence, file=sys.stderr, flush=True)


def _beginning(plan: Plan) -> State:
    """What is known before anything was started: who to stop, and what there will be."""
    planned = tuple(Status(each.name, STOPPED, None, 0, each.detail) for each in plan.children)
    return State(pids.mark(os.getpid()), plan.url, planned, patience=_patience(plan))


def _run(program: Program, interrupts: Interrupts, output: TextIO | None) -> None:
    """Run a program to its end. It writes to the terminal itself: its secrets never pass us."""
    sys.stdout.flush()
    process = subprocess.Popen(
        program.argv, stdin=subprocess.DEVNULL, stdout=output, cwd=_HERE, process_group=0
    )
    while process.poll() is None:
        if interrupts.count:
            process.terminate()
        interrupts.wait(0.1)
    if process.returncode and not interrupts.count:
        raise StartFailed("the database could not be prepared, for the reason above")


def _watch(
    plan: Plan, members: list[Member], interrupts: Interrupts, board: Board, gauge: Gauge
) -> None:
    me, written, trouble, day = pids.mark(os.getpid()), None, "", None
    announcer = Announcer(plan.data.root, me, plan.host, plan.port)
    roller = Roller(plan, members, board)
    while not interrupts.count:
        state = replace(_state(plan, members), rolled=roller.rolled)
        if day != leash.today():
            day = leash.today()
            daylogs.prune(plan.data, plan.keep, day)
        try:
            _tend(members, board)
            if state != written:
                statefile.write(plan.data.root, state)
                written = state
            announcer.follow(gauge.reading)
            trouble = ""
        except OSError as error:
            # A full disk, say. What still runs goes on running; the rest is tried again.
            if str(error) != trouble:
                board.say(f"{error.strerror or error}: it is tried again until that is mended")
            trouble = str(error)
        board.show(View(plan.url, str(plan.data.root), state.members, gauge.reading))
        interrupts.wait(TICK_SECONDS / 4 if roller.go_on(interrupts.rolls) else TICK_SECONDS)
    roller.end(interrupts)


class Roller:
    """The rolling restarts of a supervisor: one at a time, as often as it is asked."""

    def __init__(self, plan: Plan, members: list[Member], board: Board) -> None:
        self.rolled = Rolled()
        self._plan = plan
        self._members = members
        self._board = board
        self._rolling: Rolling | None = None

    def go_on(self, asked: int) -> bool:
        """Go on with what was `asked` for, so often in all; whether there is more to be done."""
        if self._rolling is None and asked > self.rolled.times:
            self._board.say("a rolling restart begins")
            self._rolling = Rolling(self._members, self._plan.renew, _HERE, self._board.say)
        if self._rolling is None:
            return False
        try:
            if self._rolling.step():
                return True
            self._done("")
        except (StartFailed, OSError) as error:
            for each in self._rolling.others:
                each.discard()
            self._done(str(error))
        return False

    def end(self, interrupts: Interrupts) -> None:
        """Stop whoever was to be replaced, or to replace another."""
        for each in self._rolling.others if self._rolling else ():
            each.stop(interrupts)

    def _done(self, failure: str) -> None:
        self._rolling = None
        self.rolled = Rolled(self.rolled.times + 1, failure)
        self._board.say(
            f"the rolling restart failed: {failure}" if failure else "the rolling restart is done"
        )


def _state(plan: Plan, members: Sequence[Member]) -> State:
    return State(
        pids.mark(os.getpid()),
        plan.url,
        tuple(member.status() for member in members),
        patience=_patience(plan),
        fixed=dict(plan.fixed),
    )


def _patience(plan: Plan) -> float:
    """How long (s) it may take to stop all of it, the store with its data last."""
    return sum(each.grace + MARGIN_SECONDS for each in plan.children) + STORE_SECONDS


def _tend(members: Sequence[Member], board: Board) -> None:
    for member in members:
        if note := member.tend():
            board.say(note)


def _stop(plan: Plan, members: Sequence[Member], interrupts: Interrupts, board: Board) -> None:
    board.close()
    with suppress(OSError):  # a full disk: then a start that comes now is told that all runs
        statefile.write(plan.data.root, replace(_state(plan, members), stopping=True))
    if interrupts.count == 1 and (working := _grace_of_work(plan)):
        board.say(f"stopping: calls in hand have {working:g} s to end; a second Ctrl-C ends them")
    for member in reversed(members):
        member.stop(interrupts)
        board.say(f"{member.name} stopped")
    serverfiles.remove(plan.data.root, pids.mark(os.getpid()))
    statefile.remove(plan.data.root)


def _grace_of_work(plan: Plan) -> float:
    """How long (s) calls may go on; 0 where none are made here."""
    return max((each.grace for each in plan.children if each.name == "worker"), default=0.0)


def _introduced(member: Member) -> str:
    status = member.status()
    pid = f"process {status.process.pid}" if status.process else ""
    return f"{member.name} started ({', '.join(filter(None, (status.detail, pid)))})"


def _check_ports(plan: Plan) -> None:
    refused = [
        listening.refusal(
            plan.host, plan.port, host_by="CLAUDE_MEM_SERVER_HOST", port_by="with --port"
        )
    ]
    for program in plan.children:
        if program.listens:
            by = f"CLAUDE_MEM_{program.name.upper()}"
            said = listening.refusal(
                *program.listens, host_by=f"{by}_HOST", port_by=f"in {by}_PORT"
            )
            refused.append(said and f"{program.name}: {said}")
    if said := "; ".join(filter(None, refused)):
        raise StartFailed(said)
