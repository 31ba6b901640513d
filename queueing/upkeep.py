"""What is due by the clock, run by the database engine's workers themselves, in the place of beat.

Each entry may be run by any number of workers at once: that is so with Celery too.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """A task, and how many seconds there are between two of its runs."""

    task: str
    every: float


def entries(schedule: Mapping[str, Mapping[str, Any]]) -> tuple[Entry, ...]:
    """The entries of a schedule as beat is given it; its times are numbers of seconds."""
    return tuple(Entry(each["task"], float(each["schedule"])) for each in schedule.values())


class Upkeep:
    """Calls `run` with the name of each task when it is due, in a thread of its own."""

    def __init__(self, due: Sequence[Entry], run: Callable[[str], object]) -> None:
        self._due = due
        self._run = run
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin; every entry runs for the first time when its interval is over."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Run nothing more; what runs just now is waited for, so long at most."""
        self._done.set()
        self._thread.join(seconds)

    def _keep(self) -> None:
        started = time.monotonic()
        next_run = {entry: started + entry.every for entry in self._due}
        while next_run and not self._done.wait(min(next_run.values()) - time.monotonic()):
            now = time.monotonic()
            for entry in [entry for entry, moment in next_run.items() if moment <= now]:
                self._once(entry)
                # From now on, not from when it was due: what was late is not made up for.
                next_run[entry] = time.monotonic() + entry.every

    def _once(self, entry: Entry) -> None:
        try:
            self._run(entry.task)
        except Exception:
            # A database that is away, say. It is due again soon.
            log.exception("%s failed; it runs again in %g s", entry.task, entry.every)
