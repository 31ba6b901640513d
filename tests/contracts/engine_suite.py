"""What every engine must do; an engine's test class inherits this and names it.

Real workers in processes of their own, which are killed, stopped and told to stop. That nothing is
lost, done twice or out of order is read from the jobs' history (`tests/proofs.py`).
"""

import json
import sqlite3
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from shutil import rmtree
from typing import Any, ClassVar

import psutil
import pytest

from queueing.direct import moment
from tests import proofs
from tests.backlog import in_the_middle, prove, send_batch, send_hooks, tool_calls
from tests.nodes import RUNNING, Fleet, StoreNode, Worker
from tests.stack import CELERY, HOOK, OPEN, SHORT_LEASES
from tests.stack_tests.conftest import SLOW
from tests.waiting import until

# However many lie in a lane, a call takes up to 16 of them: it is the lanes that make it last.
BACKLOG = 200
_HISTORY = """
    SELECT history.event, history.created_at, history.details
    FROM queueing_generationjobevent history WHERE history.job_id = ? ORDER BY history.id"""
_RELEASED = """
    SELECT history.details, job.attempts FROM queueing_generationjobevent history
    JOIN queueing_generationjob job ON job.id = history.job_id
    WHERE history.event = 'released' AND job.id = ?"""


@dataclass(frozen=True, slots=True)
class Crew:
    """A server and its two workers."""

    fleet: Fleet
    workers: tuple[Worker, Worker]

    def whole(self) -> "Crew":
        """The same, with both workers running."""
        for worker in self.workers:
            if worker.container.status != RUNNING:
                worker.container.start()
            worker.kill("SIGCONT")
            assert worker.container.ready()
        return self

    def stop_workers(self) -> None:
        """Have both end, by the one signal and by the other."""
        for worker, number in zip(self.workers, ("SIGTERM", "SIGINT"), strict=True):
            worker.kill(number)
        assert [worker.wait_ended() for worker in self.workers] == [0, 0]

    def freeze(self) -> ExitStack:
        """Both workers stand still until the stack is closed."""
        frozen = ExitStack()
        for worker in self.workers:
            frozen.enter_context(self.fleet.standing(int(worker.pid)))
        return frozen

    @contextmanager
    def hanging(self, grace: float) -> Iterator[Worker]:
        """One more worker, whose calls end long after its grace."""
        settings, slow = self.fleet.settings, str(60_000)
        before = dict(settings)
        settings |= {"CLAUDE_MEM_PROVIDER_DELAY_MS": slow, "CLAUDE_MEM_GRACE_SECONDS": str(grace)}
        try:
            worker = self.fleet.worker("hanging")
        finally:
            self.fleet.settings = before
        try:
            yield worker
        finally:
            worker.teardown()

    def post(self, call: dict[str, Any]) -> str:
        """The id of the job of a tool call."""
        return self.fleet.post(HOOK, call).headers["X-Job-Id"]

    def history(self, job: str) -> list[tuple[str, datetime]]:
        """What became of a job, and when by the database's clock."""
        return [(event, moment(at)) for event, at, _ in self.fleet.sql(_HISTORY, job)]

    def when(self, job: str, event: str) -> datetime:
        """The last time at which that was said of the job."""
        return [at for said, at in self.history(job) if said == event][-1]

    def caught(self, worker: Worker) -> list[str]:
        """Stop a worker at a moment when it has jobs in hand, and no row locked: which they are."""

        def stop() -> list[str]:
            worker.kill("SIGSTOP")
            # A signal takes its time to reach a process that waits for a processor.
            until(lambda: psutil.Process(int(worker.pid)).status() == psutil.STATUS_STOPPED)
            if (held := self.fleet.held_by(worker)) and self._to_be_had(held):
                return held
            worker.kill("SIGCONT")
            return []

        return until(stop)

    def still_open(self, jobs: Sequence[str]) -> set[str]:
        """Those of these jobs that are not done."""
        those = f"id IN ({', '.join('?' * len(jobs))})"
        found = f"SELECT id FROM queueing_generationjob WHERE {those} AND {OPEN}"
        return {id for (id,) in self.fleet.sql(found, *jobs)}

    def were_taken_over(self, held: Sequence[str], by: Worker) -> bool:
        """Whether another has claimed these jobs, but for those that were just being settled: what
        a process sent to PostgreSQL before it was stopped is done all the same.
        """
        claimed = set(held) & {job for _, job in self.fleet.claims_of(by)}
        return bool(claimed) and self.still_open(held) <= claimed

    def _to_be_had(self, jobs: list[str]) -> bool:
        """Whether another could have these jobs and their lanes, but for the leases."""
        with closing(self.fleet.connect()) as database:
            if isinstance(database, sqlite3.Connection):
                database.execute("PRAGMA busy_timeout = 100")
                with suppress(sqlite3.OperationalError):
                    database.execute("BEGIN IMMEDIATE")
                    return True
                return False
            free = database.execute(
                "SELECT job.id FROM queueing_generationjob job JOIN queueing_lane lane"
                " ON lane.id = job.lane_id WHERE job.id = ANY(%s) FOR UPDATE SKIP LOCKED",
                [jobs],
            )
            return len(free.fetchall()) == len(jobs)

    def later(self, seconds: float) -> str:
        """The moment in so many seconds, in the database's SQL."""
        if self.fleet.on_postgresql:
            return f"clock_timestamp() + make_interval(secs => {seconds})"
        return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', '{seconds} seconds')"


@pytest.mark.stack
class EngineContract:
    """The promise of an engine."""

    engine: ClassVar[str]

    @pytest.fixture(scope="class")
    @classmethod
    def both(cls) -> Iterator[Crew]:
        home = Path(tempfile.mkdtemp(prefix="claudemem-engine-"))
        fleet = Fleet(home, {**SLOW, **SHORT_LEASES}, engine=cls.engine)
        with ExitStack() as ends:
            ends.callback(rmtree, home, ignore_errors=True)
            if fleet.engine == CELERY:
                ends.callback(StoreNode(fleet.directory).teardown)
            ends.callback(fleet.stop)
            fleet.start()
            workers = fleet.worker("first"), fleet.worker("second")
            for worker in workers:
                ends.callback(worker.teardown)
            yield Crew(fleet, workers)

    @pytest.fixture
    def crew(self, both: Crew) -> Iterator[Crew]:
        yield both.whole()
        both.fleet.wait_settled()

    def test_workers_share_the_lanes_and_keep_the_order_of_each(self, crew: Crew) -> None:
        send_hooks(crew.fleet, 100)
        prove(crew.fleet)
        shares = [len(crew.fleet.claims_of(worker)) for worker in crew.workers]
        assert sum(shares) >= 100
        assert min(shares) > 10

    def test_lanes_run_side_by_side_and_a_lane_one_claim_at_a_time(self, crew: Crew) -> None:
        in_the_middle(crew.fleet, BACKLOG, send_batch)
        lanes = "SELECT count(DISTINCT lane_id) FROM queueing_generationjob WHERE state = ?"
        until(lambda: crew.fleet.sql(lanes, "processing")[0][0] > 4)
        prove(crew.fleet)

    def test_a_backlog_is_worked_in_batches(self, crew: Crew) -> None:
        with crew.freeze():
            send_batch(crew.fleet, 200)
        prove(crew.fleet)
        with closing(crew.fleet.connect()) as database:
            largest = max(line.batch for lane in proofs.lanes(database) for line in lane)
        assert 1 < largest <= 16

    def test_a_busy_lane_gives_way_to_one_that_came_later(self, crew: Crew) -> None:
        crew.stop_workers()
        busy = [crew.post(call) for call in tool_calls(40, sessions=1)]
        quiet = crew.post(tool_calls(1)[0])
        alone = crew.fleet.worker("alone", "--concurrency", "1")
        try:
            crew.fleet.wait_settled()
        finally:
            alone.teardown()
        done = {job: crew.when(job, "completed") for job in (busy[0], quiet, busy[-1])}
        assert done[busy[0]] < done[quiet] < done[busy[-1]]
        prove(crew.fleet)

    def test_what_becomes_due_is_found_and_not_taken_before(self, crew: Crew) -> None:
        with crew.freeze():
            job = crew.post(tool_calls(1)[0])
            # As one is left whose attempt has failed.
            crew.fleet.change(
                f"UPDATE queueing_generationjob SET due_at = {crew.later(1.5)} WHERE id = ?",
                [(job,)],
            )
            crew.fleet.change(
                "UPDATE queueing_lane SET woken_at = NULL WHERE id IN"
                " (SELECT lane_id FROM queueing_generationjob WHERE id = ?)",
                [(job,)],
            )
        crew.fleet.wait_settled()
        ((due,),) = crew.fleet.sql("SELECT due_at FROM queueing_generationjob WHERE id = ?", job)
        assert timedelta(0) <= crew.when(job, "processing") - moment(due) < timedelta(seconds=10)
        prove(crew.fleet)

    def test_what_nobody_was_told_of_is_found(self, crew: Crew) -> None:
        with crew.freeze():
            send_hooks(crew.fleet, 30)
            self.forget_messages(crew.fleet)
        prove(crew.fleet)

    def test_a_killed_workers_jobs_run_elsewhere_within_ten_seconds(self, crew: Crew) -> None:
        dying, survivor = crew.workers
        in_the_middle(crew.fleet, BACKLOG, send_batch)
        held = crew.caught(dying)
        dying.kill()
        until(lambda: not crew.still_open(held), 10)
        assert crew.were_taken_over(held, survivor)
        prove(crew.fleet)

    def test_a_worker_that_stood_still_for_longer_than_a_lease_is_fenced(self, crew: Crew) -> None:
        frozen, other = crew.workers
        in_the_middle(crew.fleet, BACKLOG, send_batch)
        held = crew.caught(frozen)
        until(lambda: crew.were_taken_over(held, other))
        frozen.kill("SIGCONT")
        prove(crew.fleet)
        until(lambda: not crew.fleet.held_by(frozen))

    def test_a_worker_that_is_told_to_stop_finishes_what_it_has_and_ends_well(
        self, crew: Crew
    ) -> None:
        worker, _ = crew.workers
        before = crew.fleet.jobs("attempts > 1")
        in_the_middle(crew.fleet, BACKLOG, send_batch)
        until(lambda: crew.fleet.held_by(worker))
        worker.kill("SIGTERM")
        assert worker.wait_ended() == 0
        assert crew.fleet.held_by(worker) == []
        prove(crew.fleet)
        assert crew.fleet.jobs("attempts > 1") == before

    def test_what_does_not_end_within_the_grace_is_given_back_with_its_attempt(
        self, crew: Crew
    ) -> None:
        crew.stop_workers()
        with crew.hanging(grace=1.0) as hanging:
            jobs = [crew.post(call) for call in tool_calls(3, sessions=3)]
            until(lambda: set(crew.fleet.held_by(hanging)) == set(jobs))
            crew.whole()
            hanging.kill("SIGTERM")
            assert hanging.wait_ended() == 0
        prove(crew.fleet)
        for job in jobs:
            path = [event for event, _ in crew.history(job)]
            assert path == ["queued", "processing", "released", "processing", "completed"]
            ((told, attempts),) = crew.fleet.sql(_RELEASED, job)
            assert (proofs.details_of(told)["classification"], attempts) == ("worker_stopped", 1)

    def test_a_second_signal_ends_a_worker_at_once(self, crew: Crew) -> None:
        worker, _ = crew.workers
        in_the_middle(crew.fleet, BACKLOG, send_batch)
        until(lambda: crew.fleet.held_by(worker))
        worker.kill("SIGTERM")

        def ended() -> bool:
            worker.kill("SIGTERM")
            return worker.container.status != RUNNING

        until(ended)
        assert worker.wait_ended() != 0
        prove(crew.fleet)

    def test_a_pause_holds_everything_and_ends_by_itself(self, crew: Crew) -> None:
        crew.fleet.change(
            "INSERT INTO queueing_pause "
            "(subject, reason, classification, until, failures, since, origin) VALUES "
            f"(?, 'a key was refused', 'auth', {crew.later(2)}, 1, {crew.fleet.now}, '{{}}')",
            [("provider",)],
        )
        ((until_then,),) = crew.fleet.sql("SELECT until FROM queueing_pause")
        jobs = [crew.post(call) for call in tool_calls(20)]
        prove(crew.fleet)
        assert min(crew.when(job, "processing") for job in jobs) >= moment(until_then)
        assert crew.fleet.count("queueing_pause") == 0

    def test_a_cancelled_job_is_not_worked_and_a_retried_one_is(self, crew: Crew) -> None:
        with crew.freeze():
            job, behind = (crew.post(call) for call in tool_calls(2, sessions=1))
            assert (
                json.loads(crew.fleet.cli("jobs", "cancel", job, "--team", "default"))["outcome"]
                == "cancelled"
            )
        crew.fleet.wait_settled()
        assert [event for event, _ in crew.history(behind)][-1] == "completed"
        assert [event for event, _ in crew.history(job)] == ["queued", "cancelled"]
        assert (
            json.loads(crew.fleet.cli("jobs", "retry", job, "--team", "default"))["outcome"]
            == "requeued"
        )
        prove(crew.fleet)

    def test_an_idle_worker_takes_what_is_captured_at_once(self, crew: Crew) -> None:
        waited = []
        for call in tool_calls(11):
            job = crew.post(call)
            crew.fleet.wait_settled()
            taken = crew.when(job, "processing") - crew.when(job, "queued")
            waited.append(taken.total_seconds())
        median = statistics.median(waited)
        print(f"\n{self.engine}: taken {median * 1000:.1f} ms after it was captured (median)")
        assert median < 1.0

    # The last: the workers stay like that.
    def test_a_kind_can_have_a_worker_of_its_own(self, crew: Crew) -> None:
        live, bulk = crew.workers
        live.serve("event,upkeep")
        bulk.serve("event-batch,summary")
        send_batch(crew.fleet, 30)
        calls = tool_calls(30, sessions=5)
        for call in (*calls, {**calls[0], "hook_event_name": "SessionEnd", "reason": "other"}):
            crew.fleet.post(HOOK, call)
        prove(crew.fleet)
        assert {kind for kind, _ in crew.fleet.claims_of(live)} == {"event"}
        assert {kind for kind, _ in crew.fleet.claims_of(bulk)} == {"event-batch", "summary"}

    @staticmethod
    def forget_messages(fleet: Fleet) -> None:
        """Take away whatever the engine keeps besides the rows."""
