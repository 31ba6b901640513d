"""Many who write about the same few sessions at once, by every door, get in nobody's way."""

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.contracts.conftest import Client, Wire, told
from tests.stack import HOOK, OPEN
from tests.waiting import until

pytestmark = pytest.mark.stack

WRITERS, ACTS = 4, 40
SESSIONS = ("till", "shelf")
# Of which a worker makes the same each time.
TOOL_USE = {
    "tool_name": "Bash", "tool_input": {"command": "make"}, "tool_response": {"stdout": "done"},
}  # fmt: skip
# What another has deleted, or moved on, since it was heard of.
MEANWHILE = {403, 404, 409}


@dataclass(slots=True)
class Place:
    """A project, and what its writers know of one another: events by the names of their captures,
    and the ids of sessions, memories and jobs.
    """

    project: str
    name: str = field(default_factory=lambda: uuid4().hex)
    events: dict[str, set[str]] = field(default_factory=dict)
    sessions: list[str] = field(default_factory=list)
    memories: list[str] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)


class Writer:
    """Writes this and that in a place. Fails where the server does."""

    def __init__(self, client: Client, place: Place, number: int) -> None:
        self._client, self._place = client, place
        self._random = random.Random(number)

    def write(self, acts: "Sequence[Callable[[Writer], None]]") -> None:
        with closing(self._client.http):
            for act in self._random.choices(acts, k=ACTS):
                act(self)

    # --- captures ---------------------------------------------------------------------------------

    def hook(self) -> None:
        """Mostly a tool call; else what begins or ends a turn or a session."""
        kind = self._random.choice(["PostToolUse"] * 4 + ["SessionStart", "Stop", "SessionEnd"])
        name = uuid4().hex
        call = {**TOOL_USE, "tool_use_id": name}
        body = {
            **(call if kind == "PostToolUse" else {"source": "resume", "reason": "other"}),
            "hook_event_name": kind, "session_id": self._session,
            "cwd": f"/home/{self._place.name}",
        }  # fmt: skip
        headers = self._call("POST", HOOK, body).headers
        self._captured(name, headers["X-Event-Id"])
        self._place.jobs += [headers["X-Job-Id"]] if "X-Job-Id" in headers else []

    def event(self) -> None:
        self._tell(self._session)

    def _tell(self, session: str) -> None:
        new = self._event(uuid4().hex, session)
        self._captured(new["sourceEventId"], told(self._call("POST", "/v1/events", new), 201))

    def batch(self) -> None:
        """Some of it is told by all of the writers, each time with more and in another order."""
        again = [self._event(f"{number}", f"{self._place.name}-till") for number in range(4)]
        news = [*again, *(self._event(uuid4().hex, self._session) for _ in range(4))]
        self._random.shuffle(news)
        answer = told(self._call("POST", "/v1/events/batch", news), 201)
        for new, stored in zip(news, answer["events"], strict=True):
            self._captured(new["sourceEventId"], stored)

    @property
    def _session(self) -> str:
        return f"{self._place.name}-{self._random.choice(SESSIONS)}"

    def _event(self, name: str, session: str) -> dict[str, Any]:
        return {
            "projectId": self._place.project, "sourceType": "api", "eventType": "tool_use",
            "occurredAtEpoch": 1_700_000_000_000, "sourceEventId": name,
            "contentSessionId": session, "payload": TOOL_USE,
            "metadata": {"said": self._random.random()},
        }  # fmt: skip

    def _captured(self, name: str, stored: Any) -> None:
        event_id = stored if isinstance(stored, str) else stored["event"]["id"]
        self._place.events.setdefault(name, set()).add(event_id)

    # --- sessions, memories, jobs -----------------------------------------------------------------

    def start(self) -> None:
        self._started(self._session)

    def _started(self, name: str) -> str:
        body = {
            "projectId": self._place.project, "externalSessionId": name, "contentSessionId": name,
            "platformSource": "claude", "metadata": {"said": self._random.random()},
        }  # fmt: skip
        answer = self._call("POST", "/v1/sessions/start", body)
        session = str(answer.json()["session"]["id"])
        self._place.sessions.append(session)
        return session

    def end(self) -> None:
        """A session of its own, while a worker is just about what was told in it."""
        session = self._started(name := f"{self._place.name}-{uuid4().hex}")
        for _ in range(3):
            self._tell(name)
        self._call("POST", f"/v1/sessions/{session}/end")

    def remember(self) -> None:
        body = {"projectId": self._place.project, "content": "The till is mended."}
        for session in self._one_of(self._place.sessions):
            body["serverSessionId"] = session
        answer = self._call("POST", "/v1/memories", body)
        self._place.memories += [answer.json()["memory"]["id"]] if answer.is_success else []

    def revise(self) -> None:
        for memory in self._one_of(self._place.memories):
            self._call("PATCH", f"/v1/memories/{memory}", {"title": uuid4().hex})

    def forget(self) -> None:
        """The newest: mostly what a worker made, which it may be about to say again."""
        path = f"/v1/observations?projectId={self._place.project}&limit=1"
        for row in self._call("GET", path).json()["observations"]:
            self._call("DELETE", f"/v1/observations/{row['id']}")

    def clear(self) -> None:
        for session in self._one_of(self._place.sessions):
            self._call("POST", f"/v1/sessions/{session}/clear-queue")

    def operate(self) -> None:
        for job in self._one_of(self._place.jobs):
            self._call("POST", f"/v1/jobs/{job}/{self._random.choice(['cancel', 'retry'])}")

    def empty(self) -> None:
        self._call("DELETE", f"/v1/projects/{self._place.project}/memory")

    def _one_of(self, known: Sequence[str]) -> list[str]:
        return self._random.sample(known[-4:], 1) if known else []

    def _call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        answer = self._client.call(method, path, body)
        assert answer.is_success or answer.status_code in MEANWHILE, f"{path}: {answer.text}"
        return answer


CAPTURES = (Writer.hook, Writer.hook, Writer.hook, Writer.event, Writer.batch)
RUNS = (Writer.start, Writer.end, Writer.end, Writer.end)
MEMORIES = (Writer.remember, Writer.revise, Writer.forget)
KEEPING = (*CAPTURES, *RUNS, *MEMORIES)
REMOVING = (*KEEPING, Writer.clear, Writer.operate, Writer.empty)


def place(wire: Wire) -> Place:
    name = uuid4().hex
    made = told(wire.as_("home").post("/v1/projects", {"name": name}), 201)
    return Place(made["project"]["id"], name)


def write_at_once(wire: Wire, *work: tuple[Place, "Sequence[Callable[[Writer], None]]"]) -> None:
    """Have WRITERS write in each place; back when all jobs are done."""
    key = wire.world.keys["home"]
    with ThreadPoolExecutor(WRITERS * len(work)) as threads:
        writing = [
            threads.submit(Writer(Client(wire.stack.url, key), where, number).write, acts)
            for where, acts in work
            for number in range(WRITERS)
        ]
    for each in writing:
        each.result()
    those = ", ".join(f"'{where.project}'" for where, _ in work)
    until(lambda: not wire.stack.jobs(f"{OPEN} AND project_id IN ({those})"))


def histories(wire: Wire, where: Place) -> set[str]:
    """What became of the jobs of a place, each way once."""
    lines = wire.stack.sql(
        "SELECT job.id, history.event FROM queueing_generationjob job "
        "JOIN queueing_generationjobevent history ON history.job_id = job.id "
        "WHERE job.project_id = ? ORDER BY job.id, history.id",
        where.project,
    )
    jobs = groupby(lines, key=itemgetter(0))
    return {", ".join(event for _, event in history) for _, history in jobs}


def complaints(wire: Wire) -> set[str]:
    """What the server's processes took for errors."""
    logs = [wire.stack.output, *(wire.stack.data / "logs").glob("*.log")]
    return {line for log in logs for line in log.read_text().splitlines() if " ERROR " in line}


def test_all_are_answered_and_no_capture_or_job_is_lost_or_done_twice(wire: Wire) -> None:
    kept, emptied = place(wire), place(wire)
    before = complaints(wire)
    write_at_once(wire, (kept, KEEPING), (emptied, REMOVING))
    stored = wire.stack.sql("SELECT id FROM observations_event WHERE project_id = ?", kept.project)
    assert {len(ids) for ids in kept.events.values()} == {1}
    # Stops and starts that are alike, and close in time, are one.
    assert sorted(event for (event,) in stored) == sorted(set.union(*kept.events.values()))
    assert histories(wire, kept) == {"queued, processing, completed"}
    assert complaints(wire) - before == set()
