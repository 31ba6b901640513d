"""Events that are sent into lanes by chance, singly and in batches, until they are taken."""

import random
import time
from typing import Any
from uuid import uuid4

from tests.benchmarks.scene import PATIENCE
from tests.stack import payloads


class Waves:
    """Sends events into lanes that are chosen by chance. This process is one that can enqueue."""

    def __init__(self, lanes: int, chance: random.Random) -> None:
        from observations import keys

        self._team, self._project = keys.default_tenant()
        self._sessions = [f"session-{number}" for number in range(lanes)]
        self._chance = chance
        self._calls = [p for p in payloads() if p["hook_event_name"] == "PostToolUse"]

    def send(self, jobs: int) -> None:
        """Enqueue so many. What a database that is away refuses is sent again, as clients do."""
        while jobs > 0:
            size = min(jobs, self._chance.choice((1, 1, 1, 2, 5, 20)))
            self._capture(size)
            jobs -= size

    def _capture(self, size: int) -> None:
        from django.db import InterfaceError, OperationalError, close_old_connections

        from observations import ingest
        from queueing import kinds

        kind = kinds.EVENT if size == 1 else kinds.EVENT_BATCH
        events = [self._event() for _ in range(size)]
        deadline = time.monotonic() + PATIENCE
        while True:
            close_old_connections()
            try:
                ingest.capture(self._team.id, events, origin={"source": "faults"}, kind=kind)
                return
            except (OperationalError, InterfaceError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _event(self) -> Any:
        from observations.ingest import NewEvent, SessionRef

        return NewEvent(
            project_id=self._project.id,
            event_type="PostToolUse",
            source_adapter="faults",
            payload=self._chance.choice(self._calls),
            session=SessionRef(content_session_id=self._chance.choice(self._sessions)),
            source_event_id=uuid4().hex,
        )
