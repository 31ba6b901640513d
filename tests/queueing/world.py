"""Around actors that interleave: what they are, and what of the world is not theirs.

Messages lie in a list, leases never run out by themselves, calls are made in the thread that works
a job, and captures wait for none that arrived with them. All else is what runs in production.
"""

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import OperationalError, transaction

from observations import commits, ingest, ordinary
from observations import identity as names
from queueing import (
    broker,
    canaries,
    direct,
    identity,
    kinds,
    leases,
    polling,
    retention,
    runner,
    shares,
    stopping,
)
from queueing.errors import JobFailed, NoThread, QueueStoreAway
from queueing.leases import Details, Job, Lease
from queueing.outbox import Head
from queueing.polling import Poller
from tests.queueing.ledger import Ledger
from tests.queueing.stage import Actor, Stage, point

# Sessions by the lanes of their jobs, each with its team and project.
SESSIONS = {
    names.lane_key(project, session, None, ""): (session, team, project)
    for session, team, project in (("a", "one", "p"), ("b", "one", "p"), ("c", "two", "q"))
}
TABLES = ("applied", "queueing_generationjobevent", "queueing_generationjob", "queueing_lane",
          "queueing_pause", "queueing_share", "queueing_pruning", "observations_auditentry",
          "observations_event", "observations_session")  # fmt: skip
HOURS = 3600.0
# How a call may end where nothing but time is missing to what comes then.
SOON = ("done", "never", "defect")

UNSEEN = {"sqlite": "", "postgresql": "FOR UPDATE SKIP LOCKED"}
AGO = {
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f000', 'now', '-2 hours')",
    "postgresql": "clock_timestamp() - interval '2 hours'",
}


class Worker:
    """Works leases to the ends that it is given, one after the other; what it stores is counted."""

    def __init__(self, ends: Sequence[str]) -> None:
        self._ends = list(ends)

    def prepare(self, jobs: Sequence[Job]) -> None: ...

    def perform(self, work: Any, timeout: float) -> None:
        point()
        match self._ends.pop(0) if self._ends else "done":
            case "later":
                raise JobFailed("not now", classification="transient", transient=True)
            case "never":
                raise JobFailed("no", classification="invalid", transient=False)
            case "pause":
                raise JobFailed("no money", classification="quota", transient=True, pauses=True)
            case "no thread":
                raise NoThread
            case "defect":
                raise ZeroDivisionError

    def store(self, jobs: Sequence[Job], result: Any) -> Details:
        for job in jobs:
            direct.fetch("INSERT INTO applied (job, lane, seq) VALUES (%s, %s, %s)",
                         [job.id, job.lane_id, job.seq])  # fmt: skip
        return {}


class Deaf:
    """A worker's ear to which nobody speaks: it looks when it is its turn."""

    def __init__(self, queues: object) -> None: ...

    def heard(self, most: int) -> bool:
        return False


class Process:
    """One of the workers' processes that look, and the threads that work what it finds."""

    def __init__(self, work: Callable[[Head], object]) -> None:
        self.poller = Poller([kind.queue for kind in kinds.ALL], 2, work)
        self.actors: list[Actor] = []
        self.found: list[Callable[[], object]] = []
        self.ends: Sequence[str] = ()

    def look(self) -> None:
        """As its main thread does again and again."""
        self.poller._round(self)  # type: ignore[arg-type]

    def submit(self, do: Callable[[Head], object], head: Head) -> None:
        """In the place of the poller's threads."""
        self.found.append(partial(do, head))

    @property
    def looks(self) -> bool:
        return any(one.name.startswith("look") and not one.over for one in self.actors)

    @property
    def is_dead(self) -> bool:
        return any(one.died for one in self.actors)

    def close(self) -> None:
        self.poller._bell.close()
        self.poller._button.close()


class World:
    """Where actors meet: messages, heartbeats, processes, and what is known of all of it."""

    def __init__(self) -> None:
        self.patches = pytest.MonkeyPatch()
        self.stage = Stage(self.patches)
        self.messages: list[tuple[str, str]] = []
        self.ledger = Ledger()
        self.held: dict[int, Lease] = {}
        self.numbers = 0
        # Workers are threads of some process; those of a number below this one were told to stop.
        self.process = 0
        self.is_over = False
        # Whether nobody dies, fails for now or stands still: then no time need pass.
        self.is_calm = False
        # Whether whoever dies does so on a host of which nothing can be told.
        self.is_elsewhere = False
        # Whether workers look at the table, or are sent messages.
        self.is_polled = False
        self._of: dict[int, int] = {}
        self._thread = threading.local()
        self._patch()
        self._processes = [self._process() for _ in range(2)]

    def _patch(self) -> None:
        for name, value in (("LEASE_SECONDS", HOURS), ("QUANTUM_SECONDS", HOURS),
                            ("QUANTUM_JOBS", 4)):  # fmt: skip
            self.patches.setattr(configured, name, value)
        for module, name, instead in (
            (broker, "publish", self._publish),
            (broker, "publish_first", self._publish),
            (broker, "can_lose", lambda: not self.is_polled),
            (broker, "depths", self._depths),
            (canaries, "send", list),
            (runner.heartbeat, "keeping", self._keeping),
            (stopping.heartbeat, "held", self._held_by_the_stopped),
            (stopping, "begun", self),
            # In the thread that is moved, and not in one of its own.
            (runner.calls, "within", lambda seconds, call: call()),
            (shares, "_desk", shares.Desk()),
            (shares, "LOOK_SECONDS", 0.0),
            (polling, "LOOK_SECONDS", 0.0),
            (polling, "REST_SECONDS", 0.0),
            (polling, "Ear", Deaf),
            (polling.log, "exception", self._defect),
            (retention, "turn", transaction.atomic),
            (identity.Identity, "is_gone", lambda who: self._is_gone(who)),
            (leases, "_claim", partial(self._claimed, leases._claim)),
            (ordinary._shared, "share", lambda one: self._told(ordinary.write([one])[0])),
            (commits.shared, "share", lambda write: self._told(direct.within(write))),
        ):  # fmt: skip
            self.patches.setattr(module, name, instead)

    def close(self) -> None:
        """Leave nothing for the next history."""
        for process in self._processes:
            process.close()
        self.patches.undo()
        for table in TABLES:
            direct.fetch(f"DELETE FROM {table}")

    # --- in the place of what is patched ----------------------------------------------------------

    def _publish(self, job_id: str, kind: str) -> None:
        try:
            point()
        except OperationalError as error:
            raise QueueStoreAway("the queue store fails here") from error
        if not self.is_polled:
            self.messages.append((job_id, kind))

    def _depths(self) -> dict[str, int]:
        waiting = Counter(kind for _, kind in self.messages)
        return {name: waiting[name] for name in [*kinds.BY_NAME, kinds.UPKEEP]}

    @contextmanager
    def _keeping(self, lease: Lease, timeout: float) -> Iterator[None]:
        self.held[id(lease)] = lease
        self._of[id(lease)] = self._own_process
        try:
            yield
        finally:
            del self.held[id(lease)]

    @property
    def _own_process(self) -> int:
        return getattr(self._thread, "process", self.process)

    def is_set(self) -> bool:
        """In the place of `stopping.begun`: whether the process that asks was told to stop."""
        return self._own_process < self.process

    def _held_by_the_stopped(self) -> list[Lease]:
        return [lease for key, lease in self.held.items() if self._of[key] < self.process]

    def _is_gone(self, who: identity.Identity) -> bool:
        if self.is_over or self.is_elsewhere:
            return self.is_over and not self.is_elsewhere
        return any(one.died and one.name.endswith(f" {who.pid}") for one in self.stage.ended)

    def _claimed(
        self, claim: Callable[..., Lease | None], job_id: str, worker: str, task: str, *how: str
    ) -> Lease | None:
        """A claim by a process a message, that no two look alike."""
        number = task.rpartition(" ")[2]
        held = dict(self.ledger.holds)
        lease = claim(job_id, f"host/0/{number}:{number}", task, *how)
        if lease:
            self.ledger.begun(lease.head, held)
        return lease

    @staticmethod
    def _told(result: Any) -> Any:
        """What was committed, if the word of it is not lost."""
        point()
        return result

    @staticmethod
    def _defect(*said: object) -> None:
        raise AssertionError(said, sys.exc_info()[1])

    # --- what actors do ---------------------------------------------------------------------------

    def begin(self, name: str, act: Callable[[], object]) -> Actor:
        """Have someone do it; nothing is done yet."""
        self.numbers += 1
        return self.stage.begin(f"{name} {self.numbers}", act)

    def capture(self, lane: str, number: int) -> None:
        """A hook of the session arrives, and may have arrived before."""
        session, team, project = SESSIONS[lane]
        payload = {
            "hook_event_name": "PostToolUse", "session_id": session, "tool_use_id": str(number),
            "tool_name": "Bash", "tool_input": {"command": "ls"},
        }  # fmt: skip
        self.begin("capture", lambda: ingest.capture_hook(team, project, payload, origin={}))

    def work(self, job_id: str, ends: Sequence[str]) -> Actor:
        """A worker that has the message of this job; its calls have these ends."""
        process, number = self.process, self.numbers + 1
        return self.begin("work", lambda: self._run(process, number, job_id, ends))

    def _run(self, process: int, number: int, job_id: str, ends: Sequence[str]) -> None:
        self._thread.process = process
        those = [end for end in ends if end in SOON] if self.is_calm else ends
        # What it cost is written down in a transaction of its own.
        runner.run(job_id, Worker(those), task=f"message {number}", account=lambda *_: point())

    def look(self, which: int, ends: Sequence[str]) -> None:
        """One of the processes looks, if it does not already; what it finds has these ends."""
        which %= len(self._processes)
        if self._processes[which].is_dead:
            self._replace(which)
        process = self._processes[which]
        if not process.looks:
            process.ends = ends
            process.actors.append(self.begin("look", process.look))

    def _replace(self, which: int) -> None:
        self._processes[which].close()
        self._processes[which] = self._process()

    def _process(self) -> Process:
        process = Process(lambda head: self._work_found(process, head))
        return process

    def begin_found(self) -> None:
        """Have threads do what looks have found."""
        for process in self._processes:
            while process.found:
                process.actors.append(self._begin_found(process.found.pop(0)))

    def _begin_found(self, do: Callable[[], object]) -> Actor:
        process, number = self.process, self.numbers + 1

        def act() -> None:
            self._thread.process, self._thread.number = process, number
            do()

        return self.begin("work", act)

    def _work_found(self, process: Process, head: Head) -> None:
        number = getattr(self._thread, "number", self.numbers)
        self._run(self._own_process, number, head.job_id, process.ends)

    # --- what time does ---------------------------------------------------------------------------

    def expire(self, which: str, *values: object) -> None:
        """Let leases run out, where no one has the job in hand."""
        vendor = direct.vendor()
        direct.fetch(
            f"UPDATE queueing_generationjob SET lease_until = {AGO[vendor]} WHERE id IN ("
            "SELECT id FROM queueing_generationjob WHERE lease_until IS NOT NULL "
            f"AND {which} {UNSEEN[vendor]})",
            values,
        )

    def let_time_pass(self) -> None:
        """Whatever waits is due, nudges are long ago, and a pause is over."""
        vendor = direct.vendor()
        for table, column in (("queueing_generationjob", "due_at"), ("queueing_lane", "woken_at"),
                              ("queueing_pause", "until")):  # fmt: skip
            direct.fetch(
                f"UPDATE {table} SET {column} = {AGO[vendor]} WHERE id IN "
                f"(SELECT id FROM {table} WHERE {column} > {AGO[vendor]} {UNSEEN[vendor]})"
            )

    # --- at the end -------------------------------------------------------------------------------

    def work_off(self) -> bool:
        """Whether there was anything: each message does something, or is one too many."""
        left = 20 * (len(self.ledger.rows) + len(self.messages) + 1)
        did = False
        while self._next():
            did = True
            left -= 1
            assert left, "work begets work"
        return did

    def _next(self) -> bool:
        self.numbers += 1
        if self.messages:
            self._run(self.process, self.numbers, self.messages.pop(0)[0], [])
            return True
        return self.is_polled and self._looked()

    def _looked(self) -> bool:
        """Whether there was anything to be found, which is done then."""
        if self._processes[0].is_dead:
            self._replace(0)
        process = self._processes[0]
        process.ends = ()
        process.look()
        found, process.found = process.found, []
        for do in found:
            self.numbers += 1
            do()
        return bool(found)
