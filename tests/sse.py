"""A client of the stream of events: reads what comes in a thread of its own."""

import json
import threading
from dataclasses import dataclass
from typing import Any

import httpx

from tests.waiting import until


@dataclass(frozen=True)
class Heard:
    """One item; `id` is the last that was told, `sort` empty where nothing else was."""

    sort: str
    id: str
    data: Any


class Ear(threading.Thread):
    """Listens at `url` until it is told not to, or the server ends it."""

    def __init__(self, url: str, key: str, cursor: str = "", **query: str) -> None:
        super().__init__(daemon=True)
        self.heard: list[Heard] = []
        self.comments: list[str] = []
        self.status = 0
        self.headers: httpx.Headers = httpx.Headers()
        self._url, self._query = url, query
        self._headers = {"X-Api-Key": key} | ({"Last-Event-ID": cursor} if cursor else {})
        self._answer: httpx.Response | None = None
        self._enough = False
        self.start()

    def run(self) -> None:
        with httpx.stream(
            "GET", f"{self._url}/v1/stream", params=self._query, headers=self._headers,
            timeout=120, trust_env=False,
        ) as answer:  # fmt: skip
            self.headers, self.status = answer.headers, answer.status_code
            if answer.is_success:
                self._read(answer)

    def _read(self, answer: httpx.Response) -> None:
        told: dict[str, str] = {}
        last = ""
        for line in answer.iter_lines():
            if line.startswith(":"):
                self.comments.append(line[1:].strip())
            elif line:
                name, _, value = line.partition(":")
                told[name] = value.strip()
            else:
                last = told.get("id", last)
                if "data" in told:
                    self.heard.append(Heard(told["event"], last, json.loads(told["data"])))
                told = {}
            if self._enough:
                return

    def ready(self) -> "Ear":
        """Itself, once it hears what comes."""
        until(lambda: "ready" in self.sorts())
        return self

    def sorts(self) -> list[str]:
        """What it heard, in words."""
        return [each.sort for each in self.heard]

    def items(self) -> list[Heard]:
        """What has happened: neither where it is nor how long queues are."""
        return [each for each in self.heard if each.sort not in ("ready", "queue", "reset")]

    def stop(self) -> None:
        """Read no further than the next line."""
        self._enough = True
