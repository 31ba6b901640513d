"""Delivery at the grain of statements: whoever does whatever, in any order, dying anywhere.

Producers, workers, their heartbeats, operators, reconcile and retention do what they do in
production, each over a connection of its own; Hypothesis says whose statement is next, who dies or
loses the database before it, which messages are lost or doubled, and when time passes. What must
hold (`ledger`) is looked up after each turn, and whatever was left lying about is worked to its end
at last.

CLAUDE_MEM_TEST_EXAMPLES says how many histories are tried; where it is given, one that fails is
made shorter before it is shown, which takes minutes.
"""

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import OperationalError, transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from queueing import (
    broker,
    canaries,
    direct,
    identity,
    kinds,
    leases,
    operations,
    outbox,
    pauses,
    reconcile,
    retention,
    runner,
    shares,
    states,
    stopping,
)
from queueing.errors import JobConflict, JobFailed, JobNotFound, QueueStoreAway
from queueing.leases import Details, Job, Lease
from queueing.models import Share
from queueing.outbox import NewJob
from queueing.pauses import Subject
from tests.queueing.ledger import Ledger, Row
from tests.queueing.stage import DIE, FAIL, GO, Actor, Stage, point

EXAMPLES = int(os.environ.get("CLAUDE_MEM_TEST_EXAMPLES", "25"))
SHRINKING = [Phase.shrink] if "CLAUDE_MEM_TEST_EXAMPLES" in os.environ else []
# Each with its team and project.
LANES = {"a": ("one", "p"), "b": ("one", "p"), "c": ("two", "q")}
TABLES = ("applied", "queueing_generationjobevent", "queueing_generationjob", "queueing_lane",
          "queueing_pause", "queueing_share", "queueing_pruning",
          "observations_auditentry")  # fmt: skip
MOST_ACTORS = 4
HOURS = 3600.0
# What may be refused to an operator, and what a worker whose database failed leaves to the next.
ALLOWED = (JobConflict, JobNotFound, OperationalError)

UNSEEN = {"sqlite": "", "postgresql": "FOR UPDATE SKIP LOCKED"}
AGO = {
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f000', 'now', '-2 hours')",
    "postgresql": "clock_timestamp() - interval '2 hours'",
}

Order = tuple[str, str, int]
Limits = dict[tuple[str, str], int]

picks = st.integers(0, 20)
lanes = st.sampled_from(list(LANES))
orders = st.lists(
    st.tuples(lanes, st.sampled_from(["event", "event", "summary"]),
              st.integers(1, 3)),
    min_size=1, max_size=3,
)  # fmt: skip
deeds = st.sampled_from(["cancel", "cancel", "retry", "retry", "clear", "forget"])
subjects = st.sampled_from(["team:one", "team:one", "team:two", "queue:event", "queue:summary"])
limits = st.sampled_from([{}, {}, {("one", ""): 1}, {("one", "p"): 1}])
ends = st.lists(
    st.sampled_from(["done", "done", "done", "later", "never", "pause", "defect"]), max_size=4
)
ways = st.sampled_from([GO] * 8 + [DIE, FAIL])
turns = st.lists(st.tuples(picks, ways, st.integers(0, 9)), min_size=3, max_size=24)


def only_if(
    condition: Callable[["Interleavings"], object],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A rule that does something else where the condition does not hold.

    Whether it does may hang upon who was quicker to get a lock; with preconditions Hypothesis would
    draw other rules then, and take that for a mistake.
    """

    def only(act: Callable[..., None]) -> Callable[..., None]:
        @wraps(act)
        def acting(self: "Interleavings", **drawn: Any) -> None:
            if condition(self):
                act(self, **drawn)
            else:
                self.do_the_usual()

        return acting

    return only


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
            case "defect":
                raise ZeroDivisionError

    def store(self, jobs: Sequence[Job], result: Any) -> Details:
        for job in jobs:
            direct.fetch("INSERT INTO applied (job, lane, seq) VALUES (%s, %s, %s)",
                         [job.id, job.lane_id, job.seq])  # fmt: skip
        return {}


class Interleavings(RuleBasedStateMachine):
    """Any schedule of whatever may go on at once."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = pytest.MonkeyPatch()
        self.stage = Stage(self.patches)
        self.messages: list[tuple[str, str]] = []
        self.ledger = Ledger()
        self.held: dict[int, Lease] = {}
        self.of: dict[int, int] = {}
        self.numbers = 0
        # Workers are threads of some process; those of a number below this one were told to stop.
        self.process = 0
        self.thread = threading.local()
        self.is_over = False
        # Whether nobody dies, fails for now or stands still: then no time need pass.
        self.is_calm = False
        # Whether whoever dies does so on a host of which nothing can be told.
        self.is_elsewhere = False
        self._set_up()

    def _set_up(self) -> None:
        for name, value in (("LEASE_SECONDS", HOURS), ("QUANTUM_SECONDS", HOURS),
                            ("QUANTUM_JOBS", 4)):  # fmt: skip
            self.patches.setattr(configured, name, value)
        self.patches.setattr(broker, "publish", self._publish)
        self.patches.setattr(broker, "can_lose", lambda: True)
        self.patches.setattr(broker, "depths", self._depths)
        self.patches.setattr(canaries, "send", list)
        self.patches.setattr(runner.heartbeat, "keeping", self._keeping)
        self.patches.setattr(stopping.heartbeat, "held", self._held_by_the_stopped)
        self.patches.setattr(stopping, "begun", self)
        # In the thread that is moved, and not in one of its own.
        self.patches.setattr(runner.calls, "within", lambda seconds, call: call())
        self.patches.setattr(shares, "_desk", shares.Desk())
        self.patches.setattr(shares, "LOOK_SECONDS", 0.0)
        self.patches.setattr(retention, "turn", transaction.atomic)
        self.patches.setattr(identity.Identity, "is_gone", lambda who: self._is_gone(who))
        claim = leases._claim

        def signed(job_id: str, worker: str, task: str, how: str = "claim_head") -> Lease | None:
            """By a process a message, that no two claims look alike."""
            number = task.rpartition(" ")[2]
            held = dict(self.ledger.holds)
            lease = claim(job_id, f"host/0/{number}:{number}", task, how)
            if lease:
                self.ledger.begun(lease.head, held)
            return lease

        self.patches.setattr(leases, "_claim", signed)

    def teardown(self) -> None:
        try:
            self._end()
        finally:
            self.stage.finish(DIE)
            self.patches.undo()
            for table in TABLES:
                direct.fetch(f"DELETE FROM {table}")

    # --- the world around -------------------------------------------------------------------------

    @property
    def rows(self) -> dict[str, Row]:
        return self.ledger.rows

    def _publish(self, job_id: str, kind: str) -> None:
        try:
            point()
        except OperationalError as error:
            raise QueueStoreAway("the queue store fails here") from error
        self.messages.append((job_id, kind))

    def _depths(self) -> dict[str, int]:
        waiting = Counter(kind for _, kind in self.messages)
        return {name: waiting[name] for name in [*kinds.BY_NAME, kinds.UPKEEP]}

    @contextmanager
    def _keeping(self, lease: Lease, timeout: float) -> Iterator[None]:
        self.held[id(lease)] = lease
        self.of[id(lease)] = self._own_process
        try:
            yield
        finally:
            del self.held[id(lease)]

    @property
    def _own_process(self) -> int:
        return getattr(self.thread, "process", self.process)

    def is_set(self) -> bool:
        """In the place of `stopping.begun`: whether the process that asks was told to stop."""
        return self._own_process < self.process

    def _held_by_the_stopped(self) -> list[Lease]:
        return [lease for key, lease in self.held.items() if self.of[key] < self.process]

    def _is_gone(self, who: identity.Identity) -> bool:
        if self.is_over or self.is_elsewhere:
            return self.is_over and not self.is_elsewhere
        return any(one.died and one.name.endswith(f" {who.pid}") for one in self.stage.ended)

    def _begin(self, name: str, act: Callable[[], object]) -> Actor:
        self.numbers += 1
        return self.stage.begin(f"{name} {self.numbers}", act)

    @property
    def has_room(self) -> bool:
        return len(self.stage.actors) < MOST_ACTORS

    # --- who may be at something ------------------------------------------------------------------

    @initialize(orders=orders, is_calm=st.booleans(), is_elsewhere=st.booleans(), limits=limits)
    def something_is_there(
        self, orders: list[Order], is_calm: bool, is_elsewhere: bool, limits: Limits
    ) -> None:
        self.is_calm, self.is_elsewhere = is_calm, is_elsewhere
        for (team, project), most in limits.items():
            Share.objects.create(team_id=team, project_id=project, max_in_flight=most)
        self._produce(orders)
        self.stage.finish()

    @rule(orders=orders)
    @only_if(lambda self: self.has_room)
    def produce(self, orders: list[Order]) -> None:
        self._produce(orders)

    def _produce(self, orders: list[Order]) -> None:
        source = f"order {self.numbers}"
        new = [
            NewJob(kinds.BY_NAME[kind], lane, f"{source} {place} {n}", source, *LANES[lane],
                   session_id=lane)
            for place, (lane, kind, count) in enumerate(orders)
            for n in range(count)
        ]  # fmt: skip
        self.ledger.asked[source] = len(new)

        def act() -> None:
            with transaction.atomic():
                rows = outbox.enqueue(new)
            outbox.publish_enqueued(rows)

        self._begin("produce", act)

    @rule(pick=picks, ends=ends, doubled=st.booleans(), at_once=st.booleans())
    @only_if(lambda self: self.has_room and self.messages)
    def work(self, pick: int, ends: list[str], doubled: bool, at_once: bool) -> None:
        """A worker takes a message, which may come once more, and may be at the call at once."""
        place = pick % len(self.messages)
        job_id, _ = self.messages[place] if doubled else self.messages.pop(place)
        actor = self._work(job_id, ends)
        before = len(self.held)
        while at_once and len(self.held) == before and not (actor.over or actor.waits_for_lock):
            self.stage.move(actor)
            self._look()

    @rule(pick=picks, ends=ends)
    @only_if(lambda self: self.has_room and self.rows)
    def work_unasked(self, pick: int, ends: list[str]) -> None:
        """A message that is long since late, or names what is not its lane's head."""
        self._work(self._pick(pick).id, ends)

    def _work(self, job_id: str, ends: list[str]) -> Actor:
        if self.is_calm:
            ends = [end for end in ends if end in ("done", "never", "defect")]
        process, task = self.process, f"message {self.numbers + 1}"

        def act() -> None:
            self.thread.process = process
            runner.run(job_id, Worker(ends), task=task)

        return self._begin("work", act)

    @rule()
    @only_if(lambda self: self.has_room and self.held)
    def beat(self) -> None:
        """A heartbeat, of all who have something in hand: those that lost it do not know it yet."""
        held = list(self.held.values())
        self._begin("beat", lambda: leases.renew(held))

    @rule()
    @only_if(lambda self: self.has_room and self.held)
    def stop_softly(self) -> None:
        """All who work are told to stop, and what they have in hand is given back; others come."""
        self.process += 1
        self._begin("stop", stopping.give_all_back)

    @rule(pick=picks, deed=deeds)
    @only_if(lambda self: self.has_room and self.rows)
    def operate(self, pick: int, deed: str) -> None:
        """Someone cancels or retries a job, clears a session's queue, or forgets a session."""
        row = self._pick(pick)
        {"cancel": self._cancel, "retry": self._retry, "clear": self._clear,
         "forget": self._forget}[deed](row)  # fmt: skip

    def _cancel(self, row: Row) -> None:
        self.ledger.to_be_cancelled.add(row.id)
        self._begin("cancel", lambda: operations.cancel(row.id))

    def _retry(self, row: Row) -> None:
        self.ledger.to_be_retried.add(row.id)
        self._begin("retry", lambda: operations.retry(row.id))

    def _clear(self, row: Row) -> None:
        self.ledger.to_be_cleared.add(row.key)
        self._begin("clear", lambda: operations.clear(row.key, row.key))

    def _forget(self, row: Row) -> None:
        which = [lane for lane in LANES if lane == row.key or row.seq % 2]
        self.ledger.to_be_forgotten |= set(which)

        def act() -> None:
            with transaction.atomic():
                outbox.forget(which)

        self._begin("forget", act)

    @rule(subject=subjects, lasts=st.booleans())
    @only_if(lambda self: self.has_room)
    def pause_or_resume(self, subject: str, lasts: bool) -> None:
        named = Subject.parse(subject)
        if lasts and subject not in self.ledger.holds:
            self._begin("pause", lambda: pauses.hold(named, "why not"))
        else:
            self._begin("resume", lambda: pauses.resume(named))

    @rule(what=st.sampled_from(["reconcile", "reconcile", "prune", "lift"]))
    @only_if(lambda self: self.has_room)
    def see_to_things(self, what: str) -> None:
        """Reconcile; delete what is over; or lift what limits there are, which takes a while to
        be heard of by those who had no room.
        """
        if what == "prune":
            # Whatever is over was so long ago.
            at = datetime.now(UTC) + timedelta(days=1)
            self.ledger.is_pruned = True
            budget = retention.budget()
            self._begin("prune", lambda: retention.prune(retention.Cutoffs(at, at), budget))
        elif what == "lift" and not self.is_calm:
            self._begin("lift", lambda: Share.objects.all().delete())
        else:
            self._begin("reconcile", reconcile.reconcile)

    def do_the_usual(self) -> None:
        """Whatever can be done just now."""
        if self.has_room and self.messages:
            self._work(self.messages.pop(0)[0], [])
        elif not self.stage.actors:
            self._produce([("a", "event", 2), ("b", "event", 1)])
        for actor in list(self.stage.actors) * 4:
            if not actor.over:
                self.stage.move(actor)
                self._look()

    # --- what happens to them ---------------------------------------------------------------------

    @rule(turns=turns)
    @only_if(lambda self: self.stage.actors)
    def take_turns(self, turns: list[tuple[int, str, int]]) -> None:
        for pick, how, points in turns:
            if not self.stage.actors:
                return
            actor = self.stage.actors[pick % len(self.stage.actors)]
            self.stage.move(actor, GO if self.is_calm else how, points)
            self._look()

    @rule()
    @only_if(lambda self: self.stage.actors)
    def everybody_comes_to_an_end(self) -> None:
        self.stage.finish(look=self._look)

    @rule(pick=picks)
    @only_if(lambda self: self.messages and not self.is_calm)
    def lose_a_message(self, pick: int) -> None:
        del self.messages[pick % len(self.messages)]

    @rule(pick=picks, alone=st.booleans())
    @only_if(lambda self: self.rows and not self.is_calm)
    def let_a_lease_expire(self, pick: int, alone: bool) -> None:
        """Of a worker that stands still: of all that it has, or a moment sooner of the head."""
        at_work = [row for row in self.rows.values() if row.state == states.PROCESSING]
        if at_work:
            chosen = at_work[pick % len(at_work)]
            self._expire(
                "id = %s" if alone and chosen.seq == chosen.head else "leased_by = %s",
                chosen.id if alone and chosen.seq == chosen.head else chosen.leased_by,
            )

    @rule(taker=st.integers(0, 6), late=st.integers(0, 3))
    @only_if(lambda self: self.held and len(self.stage.actors) <= 2 and not self.is_calm)
    def someone_wakes_up_while_another_takes_over(self, taker: int, late: int) -> None:
        """The heartbeat of who stood still comes after so many statements of the other."""
        lease = max(self.held.values(), key=lambda lease: len(lease.jobs))
        self._expire("lane_id = %s", lease.head.lane_id)
        self._work(lease.head.id, [])
        self.beat()
        other, heart = self.stage.actors[-2:]
        for actor in (*[other] * taker, *[heart] * late, *[other] * 8):
            if not actor.over:
                self.stage.move(actor)
                self._look()

    def _expire(self, which: str, *values: object) -> None:
        """Where no one has it in hand."""
        vendor = direct.vendor()
        direct.fetch(
            f"UPDATE queueing_generationjob SET lease_until = {AGO[vendor]} WHERE id IN ("
            "SELECT id FROM queueing_generationjob WHERE lease_until IS NOT NULL "
            f"AND {which} {UNSEEN[vendor]})",
            values,
        )

    @rule()
    @only_if(lambda self: not self.is_calm)
    def time_passes(self) -> None:
        """Whatever waits is due, nudges are long ago, and a pause is over."""
        self._let_time_pass()

    def _let_time_pass(self) -> None:
        vendor = direct.vendor()
        for table, column in (("queueing_generationjob", "due_at"), ("queueing_lane", "woken_at"),
                              ("queueing_pause", "until")):  # fmt: skip
            direct.fetch(
                f"UPDATE {table} SET {column} = {AGO[vendor]} WHERE id IN "
                f"(SELECT id FROM {table} WHERE {column} > {AGO[vendor]} {UNSEEN[vendor]})"
            )

    # --- what always holds ------------------------------------------------------------------------

    def _pick(self, pick: int) -> Row:
        return list(self.rows.values())[pick % len(self.rows)]

    @invariant()
    def all_is_well(self) -> None:
        self._look()

    def _look(self) -> None:
        assert self.stage.unforeseen == []
        errors = [(one.name, one.error) for one in self.stage.ended if one.error]
        assert [one for one in errors if not isinstance(one[1], ALLOWED)] == []
        self.ledger.look()

    # --- the end ----------------------------------------------------------------------------------

    def _end(self) -> None:
        """From here on all goes well: whatever there is comes to its end, and soon."""
        self.stage.finish(GO if self.is_calm else DIE, look=self._look)
        assert not (self.is_calm and any(row.leased_by for row in self.rows.values()))
        for hold in pauses.held():
            pauses.resume(hold.subject)
        self._produce([(lane, "event", 1) for lane in LANES])
        self.stage.finish()
        self._look()
        self.is_over = True
        if self.is_elsewhere and not self.is_calm:
            self._expire("1 = 1")
        starts = sum(row.max_attempts for row in self.rows.values() if row.is_open)
        for _ in range(starts + 2):
            if not self.is_calm:
                self._let_time_pass()
            reconcile.reconcile()
            if not self.messages:
                break
            self._work_messages()
        self._look()
        assert not any(row.is_open for row in self.rows.values())
        assert not direct.fetch("SELECT 1 FROM queueing_lane WHERE head <= tail")
        assert not direct.fetch("SELECT 1 FROM queueing_pause")

    def _work_messages(self) -> None:
        """Each of which does something, or is one too many."""
        left = 20 * (len(self.rows) + len(self.messages) + 1)
        while self.messages:
            job_id, _ = self.messages.pop(0)
            runner.run(job_id, Worker([]), task=f"last {10_000 + left}")
            left -= 1
            assert left, "messages beget messages"


@pytest.fixture
def applied(transactional_db: None) -> Iterator[None]:
    """The table of what was stored."""
    key = {"sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT", "postgresql": "bigserial PRIMARY KEY"}
    direct.fetch(f"CREATE TABLE applied (id {key[direct.vendor()]}, job text, lane int, seq int)")
    yield
    direct.fetch("DROP TABLE applied")


def test_however_statements_interleave_and_whoever_dies_all_comes_to_its_end(applied: None) -> None:
    run_state_machine_as_test(
        Interleavings,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            report_multiple_bugs=False,
            phases=[Phase.explicit, Phase.reuse, Phase.generate, *SHRINKING],
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
