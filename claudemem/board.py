"""What `claudemem up` shows: a status board on a terminal, plain lines elsewhere."""

import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from claudemem import leash
from claudemem.members import RUNNING, Status
from claudemem.peek import Reading
from queueing import pids

if TYPE_CHECKING:
    from rich.console import RenderableType

_DRAW_SECONDS = 1.0
_NOTES = 6
_MB = 1_000_000
# The log of one that has no terminal.
UP = "up"


@dataclass(frozen=True, slots=True)
class View:
    """Everything that there is to show at a moment."""

    url: str
    directory: str
    members: tuple[Status, ...]
    reading: Reading


class Board(ABC):
    """Where the supervisor shows how things are."""

    wants_jobs = False

    @abstractmethod
    def say(self, sentence: str) -> None:
        """Something happened."""

    @abstractmethod
    def show(self, view: View) -> None:
        """This is how things are; called several times a second."""

    @abstractmethod
    def close(self) -> None:
        """Show no more states; sentences may still follow."""


def choose() -> Board:
    """The board that suits our standard output."""
    return LiveBoard() if sys.stdout.isatty() else PlainBoard()


class PlainBoard(Board):
    """A line for everything that happens."""

    hint = "Ctrl-C stops everything"

    def __init__(self) -> None:
        self._ready = False

    def say(self, sentence: str) -> None:
        with suppress(OSError):  # nobody reads it any more: no reason to stop, or not to
            print(sentence, flush=True)

    def show(self, view: View) -> None:
        if view.reading.healthy and not self._ready:
            self.say(f"ready at {view.url}, data in {view.directory}; {self.hint}")
        self._ready = view.reading.healthy

    def close(self) -> None:
        pass


class LogBoard(PlainBoard):
    """A line with its time for everything that happens, in the log of the day."""

    hint = "`claudemem stop` stops everything"

    def __init__(self, logs: Path) -> None:
        super().__init__()
        self._logs = logs
        self._day = leash.today()

    def say(self, sentence: str) -> None:
        if self._day != leash.today():
            with suppress(OSError):
                leash.turn(self._logs, UP, leash.today())
                self._day = leash.today()
        super().say(f"{time.strftime('%H:%M:%S')}  {sentence}")


class LiveBoard(Board):
    """A table that is drawn anew every second, below what was printed before."""

    wants_jobs = True

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._notes: deque[str] = deque(maxlen=_NOTES)
        self._console = Console(highlight=False, markup=False)
        self._live = Live(console=self._console, auto_refresh=False)
        self._drawn = 0.0
        self._shown: tuple[Status, ...] = ()

    def say(self, sentence: str) -> None:
        if self._live.is_started:
            self._notes.append(f"{time.strftime('%H:%M:%S')}  {sentence}")
            return
        with suppress(OSError):  # the terminal was closed
            self._console.print(sentence)

    def show(self, view: View) -> None:
        now = time.monotonic()
        if now - self._drawn < _DRAW_SECONDS and view.members == self._shown:
            return
        self._drawn, self._shown = now, view.members
        with suppress(OSError):
            self._live.start()
            self._live.update(_drawing(view, list(self._notes)), refresh=True)

    def close(self) -> None:
        with suppress(OSError):
            self._live.stop()


def _drawing(view: View, notes: list[str]) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    web = view.url if view.reading.healthy else f"{view.url} (not yet answering)"
    lines = [
        f"web    {web}",
        f"admin  {view.url}/admin/",
        f"data   {view.directory}",
    ]
    after = [_jobs(view.reading), *notes, "Ctrl-C stops everything"]
    return Group(Text("\n".join(lines)), _table(view.members), Text("\n".join(after)))


def _table(members: tuple[Status, ...]) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    table = Table("process", "state", "pid", "restarts", "memory", "", box=None, pad_edge=False)
    total = 0
    for member in members:
        pid = member.process.pid if member.process else 0
        memory = pids.memory(pid) if pid else 0
        total += memory
        table.add_row(
            member.name,
            Text(member.state, style="green" if member.state == RUNNING else "bold red"),
            str(pid or ""),
            str(member.restarts or ""),
            _megabytes(memory),
            member.detail,
        )
    table.add_row("", "", "", "", _megabytes(total), "in all, without this board")
    return table


def _megabytes(size: int) -> str:
    return f"{size / _MB:.0f} MB" if size else ""


def _jobs(reading: Reading) -> str:
    if not reading.jobs:
        return "jobs   none counted yet"
    return "jobs   " + "   ".join(f"{state} {count}" for state, count in reading.jobs.items())
