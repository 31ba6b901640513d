"""A worker whose jobs have nothing to be done, so that only their delivery costs anything.

`python -m claudemem worker start` is such a worker with
`DJANGO_SETTINGS_MODULE=tests.benchmarks.nothing_settings`; BATCH says how many jobs of a backlog
one claim takes along, where that is not what kinds have it, and CALL how many seconds a call takes.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from django.apps import AppConfig

from queueing import kinds

if TYPE_CHECKING:
    from observations.generate import Made
    from queueing.leases import Details, Job

SETTINGS = "tests.benchmarks.nothing_settings"
BATCH = "DRAIN_BATCH"
CALL = "DRAIN_CALL_SECONDS"


class Nothing:
    """A handler that does nothing, for nothing, and has nothing to store."""

    def prepare(self, jobs: "Sequence[Job]") -> None:
        """Read nothing."""

    def perform(self, work: None, timeout: float) -> "Made":
        """Do nothing, for as long as a call takes; what it made is accounted for as any other."""
        time.sleep(float(os.environ.get(CALL, "0")))
        return _made()

    def store(self, jobs: "Sequence[Job]", result: "Made") -> "Details":
        """Write nothing."""
        return {}


@cache
def _made() -> "Made":
    from observations.drafts import Completion
    from observations.generate import Made

    return Made(Completion((), "nothing", "nothing", 0, 0), ())


class NothingConfig(AppConfig):
    """Puts that handler in the place of those that observe and summarise."""

    name = "tests.benchmarks"
    label = "nothing"

    def ready(self) -> None:
        from observations.generate import ObserveEvents, SummariseSession

        for handler in (ObserveEvents, SummariseSession):
            for step in ("prepare", "perform", "store"):
                setattr(handler, step, getattr(Nothing, step))
        if batch := os.environ.get(BATCH):
            for name, kind in kinds.BY_NAME.items():
                kinds.BY_NAME[name] = replace(kind, batch_jobs=int(batch))
