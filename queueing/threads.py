"""Threads that the system may refuse to start."""

import threading
from collections.abc import Callable

from queueing.errors import NoThread


def start(work: Callable[..., object], *given: object, name: str) -> threading.Thread:
    """A thread that does `work` with what is `given`, begun; no process waits for its end.

    Raises NoThread, with nothing begun.
    """
    thread = threading.Thread(target=work, args=given, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise NoThread(
            f"the system starts no thread for this process ({error}): raise the limit of its tasks "
            "(`ulimit -u`, TasksMax, pids), or run fewer workers or less concurrency"
        ) from error
    return thread
