"""What the statements of a capture cost the process that runs them, in seconds of CPU (`share`).

    python -m tests.benchmarks.statements --captures 1000 [--threads 8] [--what hooks|events]

captures so many hook payloads, or events, in this process alone, in the database that settings
name. The time is that of the calling threads within the database's driver and its server's library,
commits included; what Python does around them is not in it. Threads share commits as those of the
web do: with as many as it has, the share of a capture is what it is there under load.
"""

import argparse
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from tests.benchmarks.load import SESSIONS, tool_calls
from tests.stack import HOOK


class Timed:
    """The thread's CPU time in everything that is wrapped by this."""

    def __init__(self) -> None:
        self._taken: list[list[float]] = []
        self._inside = threading.local()

    @property
    def seconds(self) -> float:
        """All of it, of all threads."""
        return sum(seconds for (seconds,) in self._taken)

    def forget(self) -> None:
        """Begin with nothing."""
        for taken in self._taken:
            taken[0] = 0.0

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call`, measured; calls within it are part of it."""

        def measured(*args: Any, **kwargs: Any) -> Any:
            if getattr(self._inside, "yes", False):
                return call(*args, **kwargs)
            if not hasattr(self._inside, "taken"):
                # One a thread: two that add to the same would lose some.
                self._inside.taken = [0.0]
                self._taken.append(self._inside.taken)
            self._inside.yes, began = True, time.thread_time()
            try:
                return call(*args, **kwargs)
            finally:
                self._inside.taken[0] += time.thread_time() - began
                self._inside.yes = False

        return measured


def main() -> None:
    """Print the CPU seconds of a capture as JSON: all of it, and in statements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--captures", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--what", choices=("hooks", "events"), default="hooks")
    given = parser.parse_args()
    import django

    django.setup()
    timed = Timed()
    _meter(timed)
    capture = _captures(given.what)
    with ThreadPoolExecutor(given.threads, initializer=_meter_here, initargs=(timed,)) as pool:
        _all(pool, capture, SESSIONS * 4)
        timed.forget()
        began = time.process_time()
        _all(pool, capture, given.captures)
        whole = time.process_time() - began
    print(json.dumps({"whole": whole / given.captures, "share": timed.seconds / given.captures}))


def _all(pool: ThreadPoolExecutor, capture: Callable[[], None], captures: int) -> None:
    for done in [pool.submit(capture) for _ in range(captures)]:
        done.result()


def _meter(timed: Timed) -> None:
    from django.db import connection

    if connection.vendor == "postgresql":
        import psycopg

        psycopg.Cursor.execute = timed.wrap(psycopg.Cursor.execute)  # type: ignore[method-assign]
        for name in ("execute", "commit", "rollback"):
            setattr(psycopg.Connection, name, timed.wrap(getattr(psycopg.Connection, name)))


def _meter_here(timed: Timed) -> None:
    """The same for the calling thread's connection, where that is of a library in this process."""
    from django.db import connection

    connection.ensure_connection()
    if connection.vendor == "sqlite":
        connection.connection = _SQLite(connection.connection, timed)


class _SQLite:
    """A connection of SQLite's whose statements are timed."""

    def __init__(self, connection: Any, timed: Timed) -> None:
        self._connection, self._timed = connection, timed

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._connection, name)
        if name == "execute":
            # What its cursor brings is the library's too: it is found as it is fetched.
            return lambda *given: _Cursor(self._timed.wrap(found)(*given), self._timed)
        if name in ("executemany", "commit", "rollback"):
            found = self._timed.wrap(found)
        elif name == "cursor":
            return lambda *args, **kwargs: _Cursor(found(*args, **kwargs), self._timed)
        return found


class _Cursor:
    def __init__(self, cursor: Any, timed: Timed) -> None:
        self._cursor, self._timed = cursor, timed

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._cursor, name)
        return self._timed.wrap(found) if name.startswith(("execute", "fetch")) else found

    def __iter__(self) -> Any:
        return iter(self._cursor)


def _captures(what: str) -> Callable[[], None]:
    from django.test import Client

    from observations import keys
    from observations.models import Project, Team

    team = Team.objects.create(name=uuid4().hex)
    project = Project.objects.create(team=team, name="bench")
    key = keys.create("bench", ["memories:write"], team=team, project=project).raw
    client, calls, run = Client(), tool_calls(), uuid4().hex
    numbers = iter(range(10**9))

    def capture() -> None:
        number = next(numbers)
        call = calls[number % len(calls)] | {
            "session_id": f"{run}-{number % SESSIONS}", "tool_use_id": f"{run}-{number}",
        }  # fmt: skip
        event = {
            "projectId": project.id, "sourceType": "hook", "eventType": "PostToolUse",
            "occurredAtEpoch": int(time.time() * 1000), "payload": call,
            "sourceEventId": f"{run}-{number}", "contentSessionId": call["session_id"],
        }  # fmt: skip
        path, body = (HOOK, call) if what == "hooks" else ("/v1/events", event)
        answer = client.post(
            path, json.dumps(body), content_type="application/json",
            headers={"Authorization": f"Bearer {key}"},
        )  # fmt: skip
        assert answer.status_code == (200 if what == "hooks" else 201)

    return capture


if __name__ == "__main__":
    main()
