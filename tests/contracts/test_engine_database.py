"""The database engine keeps the promise of an engine."""

import os
from contextlib import suppress

from tests.contracts.engine_suite import EngineContract
from tests.nodes import Fleet
from tests.stack import DATABASE


class TestDatabase(EngineContract):
    engine = DATABASE

    @staticmethod
    def forget_messages(fleet: Fleet) -> None:
        for pipe in (fleet.data / "wake").iterdir():
            end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
            with suppress(BlockingIOError):
                os.read(end, 1_000_000)
            os.close(end)
