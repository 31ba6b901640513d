"""What runs while it is struck: worker processes, beat, a queue store, a database."""

import logging
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from claudemem.datadir import DataDir
from tests.benchmarks.rows import Rows
from tests.stack import CELERY, OPEN, ROOT, environment
from tests.stores import kept
from tests.waiting import until

PATIENCE = 120.0
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that was done to the system, or that befell it, between two moments.

    `touched` are the jobs that were in hand of what it struck, or waited for it.
    """

    what: str
    since: datetime
    until: datetime
    touched: tuple[str, ...] = ()
    is_fault: bool = True


@dataclass
class Program:
    """One of our processes, in the place of the one that was killed.

    `through` is what it is started through: a command that takes a command.
    """

    arguments: tuple[str, ...]
    data: DataDir
    settings: Mapping[str, str]
    through: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it. It ends with this program, whose end of its input it watches."""
        with (self.data.logs / f"{self.arguments[0]}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.through, sys.executable, "-m", "claudemem", "--data-dir",
                 str(self.data.root), *self.arguments, "--supervised"],
                stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=ROOT,
                env=environment(self.settings),
            )  # fmt: skip

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def end(self, number: int) -> None:
        """Send it a signal that ends it, and wait."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.send_signal(number)
        self.process.wait(30)
        self.process.stdin.close()

    def replace(self, number: int) -> None:
        """End it by a signal; another one takes its place."""
        self.end(number)
        self.start()

    def tend(self) -> bool:
        """Start it again if it ended by itself, as `claudemem up` would; whether it had."""
        ended = self.process is not None and self.process.poll() is not None
        if ended:
            self.start()
        return ended


@dataclass
class Scene:
    """Everything that runs, and what was done to it so far."""

    data: DataDir
    rows: Rows
    chance: random.Random
    workers: list[Program]
    beat: list[Program]
    deeds: list[Deed] = field(default_factory=list)
    stopped: set[int] = field(default_factory=set)
    timers: list[threading.Timer] = field(default_factory=list)
    deaths: int = 0

    def until(self, found: Callable[[], Found]) -> Found:
        """As `waiting.until`, keeping all programs running meanwhile."""

        def tended() -> Found:
            for program in (*self.workers, *self.beat):
                if program.tend():
                    self.deaths += 1
                    self.note(f"{program.arguments[0]} ended by itself, started again")
            return found()

        return until(tended, PATIENCE)

    def query(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        return self.rows.query(text, *values)

    def struck(self, what: str, touched: tuple[str, ...], since: datetime | None = None) -> None:
        """Note a fault that is over now, and began then or just now."""
        moment = now()
        self.deeds.append(Deed(what, since or moment, moment, touched))

    def note(self, what: str) -> None:
        """Note what befell the system without being one of the faults."""
        moment = now()
        self.deeds.append(Deed(what, moment, moment, is_fault=False))

    def open_jobs(self) -> int:
        return int(self.query(f"SELECT count(*) FROM queueing_generationjob WHERE {OPEN}")[0][0])

    def held_by(self, pid: int) -> tuple[str, ...]:
        """The jobs that a worker process has in hand."""
        rows = self.query(
            "SELECT id FROM queueing_generationjob WHERE state = 'processing' "
            "AND leased_by LIKE ?", f"%:{pid}",
        )  # fmt: skip
        return tuple(row[0] for row in rows)

    def waiting_heads(self) -> tuple[str, ...]:
        """The jobs that need a message to be worked."""
        rows = self.query(
            "SELECT job.id FROM queueing_generationjob job JOIN queueing_lane lane "
            "ON lane.id = job.lane_id AND lane.head = job.seq WHERE job.state = 'queued'"
        )
        return tuple(row[0] for row in rows)

    def in_hand(self) -> tuple[str, ...]:
        """The jobs that any worker has in hand."""
        rows = self.query("SELECT id FROM queueing_generationjob WHERE state = 'processing'")
        return tuple(row[0] for row in rows)

    def begin(self) -> None:
        """Start all programs."""
        for program in (*self.workers, *self.beat):
            program.start()

    def end(self) -> None:
        """Kill everything."""
        for timer in self.timers:
            timer.join()
        for program in (*self.workers, *self.beat):
            if program.process is not None:
                program.end(signal.SIGKILL)
        kept(self.data.root).stop()


def join(data: DataDir, settings: Mapping[str, str]) -> None:
    """Make this process one that can enqueue, as the web does, into a database that is migrated."""
    os.environ.update({**settings, "CLAUDE_MEM_DATA_DIR": str(data.root)})
    # Its driver would tell of each connection that a fault ends.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    os.environ["DJANGO_SETTINGS_MODULE"] = "claudemem.settings"
    # The web's way to enqueue, with Celery's app as its publisher has it.
    import django

    from claudemem import celery  # noqa: F401

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def beats(data: DataDir, settings: Mapping[str, str], engine: str) -> list[Program]:
    """Beat, for the engine that has one."""
    return [Program(("beat",), data, settings)] if engine == CELERY else []


def now() -> datetime:
    """The moment: the database's clock is this machine's."""
    return datetime.now(UTC)
