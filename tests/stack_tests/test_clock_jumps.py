"""A host whose wall clock is put forward and back by an hour while web, worker and beat run on it.

Stores and PostgreSQL are as on another host: they are not told.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import rmtree

import pytest

from queueing.direct import moment
from tests.backlog import in_the_middle, prove, send_wide
from tests.nodes import Fleet, StoreNode, Worker
from tests.stack import CELERY, SOON, STRAIGHT
from tests.stack_tests.conftest import SLOW
from tests.waiting import until
from tests.wall_clock import Hands

pytestmark = pytest.mark.stack

# So long (s) a job waits that failed.
RETRY = 4.0
_TIMES = {
    "queueing_generationjobevent": "created_at",
    "queueing_generationjob": "completed_at",
    "observations_observation": "created_at",
    "observations_auditentry": "created_at",
}


@dataclass(frozen=True, slots=True)
class Host:
    """A server, its worker, and the clock that both go by."""

    fleet: Fleet
    worker: Worker
    hands: Hands

    def wall(self) -> float:
        """What the wall clock of its web says."""
        return float(self.fleet.get("/v1/health").json()["checkedAtEpoch"]) / 1000

    def postponed(self) -> str:
        """A job that waits for a moment, as one does whose call has failed; "" if none waits."""
        later = (
            f"clock_timestamp() + make_interval(secs => {RETRY})"
            if self.fleet.on_postgresql
            else f"strftime('%Y-%m-%d %H:%M:%f000', 'now', '{RETRY} seconds')"
        )
        # The one that is reached last, if nobody takes it in hand just now.
        last = (
            "SELECT id FROM queueing_generationjob WHERE state = 'queued'"
            " ORDER BY seq DESC, id LIMIT 1"
        )
        found = self.fleet.sql(
            f"UPDATE queueing_generationjob SET due_at = {later}"
            f" WHERE id = ({last}) AND state = 'queued' RETURNING id"
        )
        return str(found[0][0]) if found else ""

    def waited(self, job: str) -> timedelta:
        """How long after it was due a job was taken."""
        ((due,),) = self.fleet.sql("SELECT due_at FROM queueing_generationjob WHERE id = ?", job)
        ((taken,),) = self.fleet.sql(
            "SELECT created_at FROM queueing_generationjobevent WHERE job_id = ? AND event = ?",
            job,
            "processing",
        )
        return moment(taken) - moment(due)


@pytest.fixture(scope="module", params=STRAIGHT)
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    home = Path(tempfile.mkdtemp(prefix="claudemem-clock-"))
    with ExitStack() as ends:
        ends.callback(rmtree, home, ignore_errors=True)
        hands = Hands(home)
        fleet = Fleet(home, {**SLOW, **SOON, **hands.settings}, engine=request.param)
        if fleet.engine == CELERY:
            ends.callback(StoreNode(fleet.directory).teardown)
        ends.callback(fleet.stop)
        fleet.start()
        worker = fleet.worker("worker")
        ends.callback(worker.teardown)
        assert worker.container.ready()
        yield Host(fleet, worker, hands)


def test_an_hour_forward_and_an_hour_back_change_nothing(host: Host) -> None:
    fleet, began = host.fleet, datetime.now(UTC)
    for hours in (+1, -1):
        late = until(lambda: amid_work(host))
        host.hands.put(hours)
        until(lambda off=hours * 3600: abs(host.wall() - time.time() - off) < 60)
        prove(fleet)
        assert timedelta(0) <= host.waited(late) < timedelta(seconds=30)
    # Nobody took a job over, and nobody lost one.
    assert fleet.jobs("attempts <> 1") == 0
    assert fleet.count("queueing_generationjobevent", "event = 'released'") == 0
    times_are_right(fleet, began)


def amid_work(host: Host) -> str:
    """A job that waits for a moment in the middle of a backlog; "" if none waited any more."""
    in_the_middle(host.fleet, 200, send_wide)
    return host.postponed()


def times_are_right(fleet: Fleet, began: datetime) -> None:
    """Whatever was written down is of the time that really was, and in its order.

    What the database began with is older by less than the jumps.
    """
    for table, column in _TIMES.items():
        ((first, last),) = fleet.sql(f"SELECT min({column}), max({column}) FROM {table}")
        assert began - timedelta(minutes=30) < moment(first) <= moment(last), table
        assert moment(last) < datetime.now(UTC) + timedelta(seconds=1), table
