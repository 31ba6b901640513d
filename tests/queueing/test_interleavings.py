"""Delivery at the grain of statements: whoever does whatever, in any order, dying anywhere.

Captures and other producers, workers that are sent messages or look for themselves, their
heartbeats, operators, reconcile and retention do what they do in production, each over a connection
of its own; Hypothesis says whose statement is next, who dies or loses the database before it, which
messages are lost or doubled, and when time passes. What must hold (`ledger`) is looked up after
each turn, and whatever was left lying about is worked to its end at last.

CLAUDE_MEM_TEST_EXAMPLES says how many histories are tried; where it is given, one that fails is
made shorter before it is shown, which takes minutes.
"""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from observations.models import Project, Team
from queueing import (
    direct,
    kinds,
    leases,
    operations,
    outbox,
    pauses,
    reconcile,
    retention,
    states,
    stopping,
)
from queueing.errors import JobConflict, JobNotFound
from queueing.models import Share
from queueing.outbox import NewJob
from queueing.pauses import Subject
from tests.queueing.ledger import Row
from tests.queueing.stage import DIE, FAIL, GO
from tests.queueing.world import SESSIONS, World

EXAMPLES = int(os.environ.get("CLAUDE_MEM_TEST_EXAMPLES", "20"))
SHRINKING = [Phase.shrink] if "CLAUDE_MEM_TEST_EXAMPLES" in os.environ else []
LANES = list(SESSIONS)
MOST_ACTORS = 4
# What may be refused to an operator, and what a worker whose database failed leaves to the next.
ALLOWED = (JobConflict, JobNotFound, OperationalError)

Order = tuple[str, str, int]
Limits = dict[tuple[str, str], int]

picks = st.integers(0, 20)
lanes = st.sampled_from(LANES)
orders = st.lists(
    st.tuples(lanes, st.sampled_from(["event", "event", "summary"]),
              st.integers(1, 3)),
    min_size=1, max_size=3,
)  # fmt: skip
captures = st.lists(st.tuples(lanes, st.integers(0, 12)), min_size=1, max_size=3)
deeds = st.sampled_from(["cancel", "cancel", "retry", "retry", "clear", "forget", "hand over"])
subjects = st.sampled_from(
    ["team:one", "team:one", "team:two", "queue:event", "queue:summary", "quota:one"]
)
limits = st.sampled_from([{}, {}, {("one", ""): 1}, {("one", "p"): 1}])
ends = st.lists(
    st.sampled_from(["done", "done", "done", "later", "never", "pause", "defect", "no thread"]),
    max_size=4,
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


def is_of_two_captures(error: Exception) -> bool:
    """Whether the same hook, or the first of a session, arrived twice at once: one goes again."""
    return isinstance(error, IntegrityError) and "observations_" in str(error)


class Interleavings(RuleBasedStateMachine):
    """Any schedule of whatever may go on at once."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.stage, self.ledger = self.world.stage, self.world.ledger

    def teardown(self) -> None:
        try:
            self._end()
        finally:
            self.stage.finish(DIE)
            self.world.close()

    @property
    def rows(self) -> dict[str, Row]:
        return self.ledger.rows

    @property
    def has_room(self) -> bool:
        return len(self.stage.actors) < MOST_ACTORS

    # --- who may be at something ------------------------------------------------------------------

    @initialize(orders=orders, limits=limits, is_calm=st.booleans(), is_elsewhere=st.booleans(),
                is_polled=st.booleans())  # fmt: skip
    def something_is_there(self, orders: list[Order], limits: Limits, **how: bool) -> None:
        vars(self.world).update(how)
        for (team, project), most in limits.items():
            Share.objects.create(team_id=team, project_id=project, max_in_flight=most)
        self._produce(orders)
        self.world.capture(LANES[0], 0)
        self.stage.finish()

    @rule(orders=orders)
    @only_if(lambda self: self.has_room)
    def produce(self, orders: list[Order]) -> None:
        self._produce(orders)

    def _produce(self, orders: list[Order]) -> None:
        source = f"order {self.world.numbers}"
        new = [
            NewJob(kinds.BY_NAME[kind], lane, f"{source} {place} {n}", source, *SESSIONS[lane][1:],
                   session_id=SESSIONS[lane][0])
            for place, (lane, kind, count) in enumerate(orders)
            for n in range(count)
        ]  # fmt: skip
        self.ledger.asked[source] = len(new)

        def act() -> None:
            with transaction.atomic():
                rows = outbox.enqueue(new)
            outbox.publish_enqueued(rows)

        self.world.begin("produce", act)

    @rule(captures=captures)
    @only_if(lambda self: self.has_room)
    def capture(self, captures: list[tuple[str, int]]) -> None:
        """Hooks of agents, some of which were delivered before."""
        for lane, number in captures:
            self.world.capture(lane, number)

    @rule(pick=picks, ends=ends, doubled=st.booleans(), at_once=st.booleans())
    @only_if(lambda self: self.has_room and self.world.messages)
    def work(self, pick: int, ends: list[str], doubled: bool, at_once: bool) -> None:
        """A worker takes a message, which may come once more, and may be at the call at once."""
        messages = self.world.messages
        place = pick % len(messages)
        job_id, _ = messages[place] if doubled else messages.pop(place)
        actor = self.world.work(job_id, ends)
        before = len(self.world.held)
        while (at_once and len(self.world.held) == before
               and not (actor.over or actor.waits_for_lock)):  # fmt: skip
            self.stage.move(actor)
            self._look()

    @rule(pick=picks, ends=ends)
    @only_if(lambda self: self.has_room and self.rows)
    def work_unasked(self, pick: int, ends: list[str]) -> None:
        """A message that is long since late, or names what is not its lane's head."""
        self.world.work(self._pick(pick).id, ends)

    @rule(which=st.integers(0, 1), ends=ends)
    @only_if(lambda self: self.has_room and self.world.is_polled)
    def look_for_work(self, which: int, ends: list[str]) -> None:
        """A process looks who waits, and begins with what is due, as far as it has threads."""
        self.world.look(which, ends)

    @rule()
    @only_if(lambda self: self.has_room and self.world.held)
    def beat(self) -> None:
        """A heartbeat, of all who have something in hand: those that lost it do not know it yet."""
        held = list(self.world.held.values())
        self.world.begin("beat", lambda: leases.renew(held))

    @rule()
    @only_if(lambda self: self.has_room and self.world.held)
    def stop_softly(self) -> None:
        """All who work are told to stop, and what they have in hand is given back; others come."""
        self.world.process += 1
        self.world.begin("stop", stopping.give_all_back)

    @rule(pick=picks, deed=deeds)
    @only_if(lambda self: self.has_room and self.rows)
    def operate(self, pick: int, deed: str) -> None:
        """Someone cancels or retries a job, clears a session's queue, or forgets a session; or puts
        its project into another.
        """
        row = self._pick(pick)
        {"cancel": self._cancel, "retry": self._retry, "clear": self._clear,
         "forget": self._forget, "hand over": self._hand_over}[deed](row)  # fmt: skip

    def _cancel(self, row: Row) -> None:
        self.ledger.to_be_cancelled.add(row.id)
        self.world.begin("cancel", lambda: operations.cancel(row.id))

    def _retry(self, row: Row) -> None:
        self.ledger.to_be_retried.add(row.id)
        self.world.begin("retry", lambda: operations.retry(row.id))

    def _clear(self, row: Row) -> None:
        self.ledger.to_be_cleared.add(row.key)
        self.world.begin("clear", lambda: operations.clear(row.key, row.session))

    def _forget(self, row: Row) -> None:
        which = [lane for lane in LANES if lane == row.key or row.seq % 2]
        self.ledger.to_be_forgotten |= set(which)
        self._in_transaction("forget", lambda: outbox.forget(which))

    def _hand_over(self, row: Row) -> None:
        team, project = SESSIONS[row.key][1:]
        which = [lane for lane in LANES if SESSIONS[lane][1] == team]
        to = project if row.project != project else f"{team}'s other"
        self.ledger.is_handed_over = True
        self._in_transaction("hand over", lambda: outbox.hand_over(which, to))

    def _in_transaction(self, name: str, act: Callable[[], object]) -> None:
        def within() -> None:
            with transaction.atomic():
                act()

        self.world.begin(name, within)

    @rule(subject=subjects, lasts=st.booleans())
    @only_if(lambda self: self.has_room)
    def pause_or_resume(self, subject: str, lasts: bool) -> None:
        named = Subject.stored(subject)
        if lasts and subject not in self.ledger.holds:
            if named.kind == "quota":
                self._in_transaction("pause", lambda: pauses.hold_quota(named.name, "why not"))
            else:
                self.world.begin("pause", lambda: pauses.hold(named, "why not"))
        else:
            self.world.begin("resume", lambda: self._resume(named))

    @staticmethod
    def _resume(subject: Subject) -> None:
        if subject.kind == "quota":
            pauses.resume_quota(subject.name)
        else:
            pauses.resume(subject)

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
            self.world.begin("prune", lambda: retention.prune(retention.Cutoffs(at, at), budget))
        elif what == "lift" and not self.world.is_calm:
            self.world.begin("lift", lambda: Share.objects.all().delete())
        else:
            self.world.begin("reconcile", reconcile.reconcile)

    def do_the_usual(self) -> None:
        """Whatever can be done just now."""
        if self.has_room and self.world.messages:
            self.world.work(self.world.messages.pop(0)[0], [])
        elif self.has_room and self.world.is_polled and self.rows:
            self.world.look(0, [])
        elif not self.stage.actors:
            self._produce([(LANES[0], "event", 2), (LANES[1], "event", 1)])
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
            self.stage.move(actor, GO if self.world.is_calm else how, points)
            self._look()

    @rule()
    @only_if(lambda self: self.stage.actors)
    def everybody_comes_to_an_end(self) -> None:
        self.stage.finish(look=self._look)

    @rule(pick=picks)
    @only_if(lambda self: self.world.messages and not self.world.is_calm)
    def lose_a_message(self, pick: int) -> None:
        del self.world.messages[pick % len(self.world.messages)]

    @rule(pick=picks, alone=st.booleans())
    @only_if(lambda self: self.rows and not self.world.is_calm)
    def let_a_lease_expire(self, pick: int, alone: bool) -> None:
        """Of a worker that stands still: of all that it has, or a moment sooner of the head."""
        at_work = [row for row in self.rows.values() if row.state == states.PROCESSING]
        if at_work:
            chosen = at_work[pick % len(at_work)]
            self.world.expire(
                "id = %s" if alone and chosen.seq == chosen.head else "leased_by = %s",
                chosen.id if alone and chosen.seq == chosen.head else chosen.leased_by,
            )

    @rule(taker=st.integers(0, 6), late=st.integers(0, 3))
    @only_if(lambda self: (
        self.world.held and len(self.stage.actors) <= 2 and not self.world.is_calm
    ))  # fmt: skip
    def someone_wakes_up_while_another_takes_over(self, taker: int, late: int) -> None:
        """The heartbeat of who stood still comes after so many statements of the other."""
        lease = max(self.world.held.values(), key=lambda lease: len(lease.jobs))
        self.world.expire("lane_id = %s", lease.head.lane_id)
        self.world.work(lease.head.id, [])
        self.beat()
        other, heart = self.stage.actors[-2:]
        for actor in (*[other] * taker, *[heart] * late, *[other] * 8):
            if not actor.over:
                self.stage.move(actor)
                self._look()

    @rule()
    @only_if(lambda self: not self.world.is_calm)
    def time_passes(self) -> None:
        """Whatever waits is due, nudges are long ago, and a pause is over."""
        self.world.let_time_pass()

    # --- what always holds ------------------------------------------------------------------------

    def _pick(self, pick: int) -> Row:
        return list(self.rows.values())[pick % len(self.rows)]

    @invariant()
    def all_is_well(self) -> None:
        self._look()

    def _look(self) -> None:
        self.world.begin_found()
        assert [error for error in self.stage.unforeseen if not is_of_two_captures(error)] == []
        errors = [(one.name, one.error) for one in self.stage.ended if one.error]
        assert [one for one in errors if not isinstance(one[1], ALLOWED)] == []
        self.ledger.look()

    # --- the end ----------------------------------------------------------------------------------

    def _end(self) -> None:
        """From here on all goes well: whatever there is comes to its end, and soon."""
        is_calm = self.world.is_calm
        self.stage.finish(GO if is_calm else DIE, look=self._look)
        assert not (is_calm and any(row.leased_by for row in self.rows.values()))
        for hold in pauses.held():
            self._resume(hold.subject)
        self._produce([(lane, "event", 1) for lane in LANES])
        self.stage.finish()
        self._look()
        self.world.is_over = True
        if self.world.is_elsewhere and not is_calm:
            self.world.expire("1 = 1")
        starts = sum(row.max_attempts for row in self.rows.values() if row.is_open)
        for _ in range(starts + 2):
            if not is_calm:
                self.world.let_time_pass()
            buried = reconcile.reconcile()
            if not (self.world.work_off() or buried):
                break
        self._look()
        assert not any(row.is_open for row in self.rows.values())
        assert not direct.fetch("SELECT 1 FROM queueing_lane WHERE head <= tail")
        assert not direct.fetch("SELECT 1 FROM queueing_pause")


@pytest.fixture
def applied(transactional_db: None) -> Iterator[None]:
    """The table of what was stored, and the projects in which hooks arrive."""
    key = {"sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT", "postgresql": "bigserial PRIMARY KEY"}
    direct.fetch(f"CREATE TABLE applied (id {key[direct.vendor()]}, job text, lane int, seq int)")
    for team, project in {(team, project) for _, team, project in SESSIONS.values()}:
        Team.objects.create(id=team, name=team)
        Project.objects.create(id=project, team_id=team, name=project)
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
