"""Captures, sent to the operator's web as agents' hooks and clients send them."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self
from uuid import uuid4

import httpx

from claudemem.drill.errors import CannotRun
from observations.keys import Minted

_PATIENCE_SECONDS = 30.0
_AT_ONCE = 8
_BUSY = (429, 503)
_UNKNOWN_KEY = (401, 403)


@dataclass(frozen=True, slots=True)
class Taken:
    """A capture that was accepted: the event's id, and whether it was known already."""

    event_id: str
    duplicate: bool = False


def payloads(sessions: int, each: int) -> list[dict[str, Any]]:
    """What so many agents would post, in sessions that nobody else has."""
    names = [str(uuid4()) for _ in range(sessions)]
    return [payload(name, number) for number in range(each) for name in names]


def payload(session: str, number: int) -> dict[str, Any]:
    """An agent's edit of a file, the one of that number in its session."""
    return {
        "session_id": session,
        "cwd": "/drill",
        "hook_event_name": "PostToolUse",
        "tool_name": "Edit",
        "tool_use_id": f"drill_{session}_{number}",
        "tool_input": {
            "file_path": f"/drill/part_{number}.py",
            "old_string": f"RETRIES = {number}\n",
            "new_string": f"RETRIES = {number + 1}\n",
        },
        "tool_response": {"filePath": f"/drill/part_{number}.py", "success": True},
    }


class Traffic:
    """Sends to the web at `url`, within its block. Raises CannotRun where that does not answer."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=_PATIENCE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def knock(self) -> None:
        """See that somebody answers."""
        self._reached("GET", "/healthz")

    def hooks(self, key: Minted, payloads: Sequence[dict[str, Any]]) -> list[Taken]:
        """Post each as a hook does: sessions side by side, and each session's in their order."""
        sessions: dict[str, list[dict[str, Any]]] = {}
        for one in payloads:
            sessions.setdefault(one["session_id"], []).append(one)
        with ThreadPoolExecutor(_AT_ONCE) as agents:
            told = agents.map(
                lambda theirs: [self._hook(key, one) for one in theirs], sessions.values()
            )
            return [taken for theirs in told for taken in theirs]

    def twice(self, key: Minted, payloads: Sequence[dict[str, Any]]) -> list[Taken]:
        """Post each two times at the same time."""
        with ThreadPoolExecutor(2) as both:
            return [
                taken for one in payloads for taken in both.map(self._hook, [key] * 2, [one] * 2)
            ]

    def batch(self, key: Minted, payloads: Sequence[dict[str, Any]]) -> list[Taken]:
        """Post them all as one batch of events, as importers do."""
        now = int(time.time() * 1000)
        events = [
            {
                "projectId": key.key.project_id,
                "sourceType": "hook",
                "eventType": one["hook_event_name"],
                "occurredAtEpoch": now + place,
                "contentSessionId": one["session_id"],
                "toolUseId": one["tool_use_id"],
                "payload": one,
            }
            for place, one in enumerate(payloads)
        ]
        told = self._posted(key, "/v1/events/batch", events).json()["events"]
        return [Taken(str(each["event"]["id"])) for each in told]

    def refused(self, key: Minted) -> bool:
        """Whether the web takes nothing with this key."""
        answer = self._sent(key, "/v1/hooks/claude-code", payload(str(uuid4()), 0))
        return answer.status_code in _UNKNOWN_KEY

    def _hook(self, key: Minted, body: dict[str, Any]) -> Taken:
        told = self._posted(key, "/v1/hooks/claude-code", body).headers
        return Taken(told["X-Event-Id"], told["X-Duplicate"] == "true")

    def _posted(self, key: Minted, path: str, body: Any) -> httpx.Response:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (answer := self._sent(key, path, body)).status_code in _BUSY:
            if time.monotonic() > deadline:
                break
            time.sleep(min(1.0, float(answer.headers.get("Retry-After", 1))))
        if answer.status_code in _UNKNOWN_KEY:
            raise CannotRun(
                f"the server at {self.url} does not know a key that was just made: it uses "
                "another database; give this command the settings of the server"
            )
        if not answer.is_success:
            raise CannotRun(
                f"the server at {self.url} answered {answer.status_code} to {path}: "
                f"{answer.text[:200]}"
            )
        return answer

    def _sent(self, key: Minted, path: str, body: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key.raw}"}
        return self._reached("POST", path, json=body, headers=headers)

    def _reached(self, method: str, path: str, **how: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **how)
        except httpx.TransportError as error:
            raise CannotRun(
                f"no server answers at {self.url} ({type(error).__name__}): start one with "
                "`claudemem start`, or name it with --url"
            ) from error
