"""Who is there while a server is replaced: listeners to its stream, and callers of a tool."""

import threading
from collections import Counter
from collections.abc import Collection

import httpx

from tests.sse import Ear
from tests.stack import Stack
from tests.waiting import until

_CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
         "params": {"name": "projects", "arguments": {}}}  # fmt: skip
_PATIENCE = 60.0
# Between two calls of a tool (seconds).
_PACE = 0.05


class _Turn(Ear):
    """One connection to the stream; `broken` says how it ended if that was not in order."""

    broken = ""

    def run(self) -> None:
        try:
            super().run()
        except httpx.TransportError as error:
            self.broken = f"{type(error).__name__}: {error}"


class Listener(threading.Thread):
    """Hears of events, and comes back with its cursor whenever the stream ends."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(daemon=True)
        self.broken: list[str] = []
        self.turns = 0
        self._stack = stack
        self._told: list[str] = []
        self._resets = 0
        self._enough = threading.Event()
        self._turn = self._listen("").ready()

    def run(self) -> None:
        """Listen until there was enough."""
        while not self._enough.is_set():
            self._turn.join(0.05)
            if not self._turn.is_alive():
                cursor = self._turn.heard[-1].id if self._turn.heard else self._cursor
                self._keep()
                self._turn = self._listen(cursor)

    def hear_all(self, events: Collection[str]) -> list[str]:
        """Wait until all of these were heard of and end; what was not as it must be."""
        until(lambda: set(events) <= set(self._all()) or not self.is_alive(), _PATIENCE)
        self._enough.set()
        self.join()
        self._turn.stop()
        self._keep()
        times = Counter(self._told)
        return [
            *(f"a listener was not told of {event}" for event in events if event not in times),
            *(f"a listener was told {n} times of {event}" for event, n in times.items() if n > 1),
            *(f"a stream did not end in order: {how}" for how in self.broken),
            *(["a listener was told to begin anew"] if self._resets else []),
        ]

    def _listen(self, cursor: str) -> _Turn:
        self.turns += 1
        self._cursor = cursor
        return _Turn(self._stack.url, self._stack.key, cursor, types="event")

    def _keep(self) -> None:
        self._told += self._new()
        self._resets += self._turn.sorts().count("reset")
        self.broken += [self._turn.broken] if self._turn.broken else []

    def _all(self) -> list[str]:
        return [*self._told, *self._new()]

    def _new(self) -> list[str]:
        return [each.data["id"] for each in self._turn.items() if each.data["change"] == "created"]


class Caller(threading.Thread):
    """Calls a tool over MCP again and again, each time over another connection."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(daemon=True)
        self.calls = 0
        self.failures: list[str] = []
        self._stack = stack
        self._enough = threading.Event()

    def run(self) -> None:
        """Call until there was enough."""
        while not self._enough.wait(_PACE):
            self.calls += 1
            if said := self._failure():
                self.failures.append(f"a tool was not answered: {said}")

    def end(self) -> None:
        """Call no more."""
        self._enough.set()
        self.join()

    def _failure(self) -> str:
        headers = {"X-Api-Key": self._stack.key, "Accept": "application/json, text/event-stream"}
        try:
            answer = httpx.post(f"{self._stack.url}/v1/mcp", json=_CALL, headers=headers,
                                timeout=_PATIENCE, trust_env=False)  # fmt: skip
        except httpx.TransportError as error:
            return f"{type(error).__name__}: {error}"
        told = answer.status_code == 200 and '"result"' in answer.text
        return "" if told else f"{answer.status_code}: {answer.text[:200]}"
