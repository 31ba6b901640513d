"""Reads that take no longer than they may: whoever asks has something better to do than to wait."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction

from queueing import direct

# So many steps of SQLite's machine pass between two looks at the clock: well under a millisecond.
_STEPS = 20_000


class TooSlow(OperationalError):
    """The reads took longer than they may."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Whatever is read in this block: each statement ends after `seconds`, and raises TooSlow.

    On SQLite, all of them together. Nothing must be written in it.
    """
    until = time.monotonic() + seconds
    reads = _on_postgresql(seconds) if direct.vendor() == "postgresql" else _on_sqlite(until)
    try:
        with reads:
            yield
    except OperationalError as error:
        if time.monotonic() < until:
            raise
        raise TooSlow(f"took longer than {seconds:g} s") from error


@contextmanager
def _on_postgresql(seconds: float) -> Iterator[None]:
    limit = str(max(1, round(seconds * 1000)))
    with transaction.atomic():
        before = direct.fetch(
            "SELECT current_setting('statement_timeout'),"
            " set_config('statement_timeout', %s, true)",
            [limit],
        )
        yield
        # An outer transaction goes on with its own.
        if connection.savepoint_ids:
            direct.fetch("SELECT set_config('statement_timeout', %s, true)", [before[0][0]])


@contextmanager
def _on_sqlite(until: float) -> Iterator[None]:
    connection.ensure_connection()
    raw = connection.connection
    raw.set_progress_handler(lambda: int(time.monotonic() > until), _STEPS)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)
