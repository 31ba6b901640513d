"""What always holds of lanes, jobs and what came of them, whoever is in the midst of what.

A ledger keeps what it saw last, and what was asked of the protocol since; from these it knows what
may be there at the next look, and what may not.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from queueing import direct, states
from queueing.leases import Job
from queueing.pauses import Subject

ROWS = """
    SELECT job.id, lane_id, lane.key, head, tail, seq, state, token, attempts, max_attempts,
        leased_by, source_id, job.team_id, job.project_id, session_id
    FROM queueing_generationjob job
    JOIN queueing_lane lane ON lane.id = lane_id ORDER BY lane_id, seq"""
HOLDS = "SELECT subject, id FROM queueing_pause WHERE until IS NULL"
LIMITS = "SELECT team_id, project_id, max_in_flight FROM queueing_share"


@dataclass(frozen=True, slots=True)
class Row:
    """A job as it is seen from outside, with the counters of its lane."""

    id: str
    lane: int
    key: str
    head: int
    tail: int
    seq: int
    state: str
    token: int
    attempts: int
    max_attempts: int
    leased_by: str
    source: str
    team: str
    project: str
    session: str

    @property
    def is_open(self) -> bool:
        return self.state in states.OPEN


@dataclass
class Ledger:
    """What was seen, and what was asked for. `look` fails where the one cannot follow from these.

    `asked` has how many jobs each order is of, if not of one; the others whatever was begun, done
    or not.
    """

    rows: dict[str, Row] = field(default_factory=dict)
    holds: dict[str, int] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    to_be_forgotten: set[str] = field(default_factory=set)
    to_be_cancelled: set[str] = field(default_factory=set)
    to_be_cleared: set[str] = field(default_factory=set)
    to_be_retried: set[str] = field(default_factory=set)
    is_pruned: bool = False
    is_handed_over: bool = False
    begun_in_vain: list[tuple[str, str]] = field(default_factory=list)

    def begun(self, job: Job, held: Mapping[str, int]) -> None:
        """Note a claim, before which there were these holds: none that lasts may be on it."""
        self.begun_in_vain += [
            (job.id, text) for text, hold in held.items()
            if self.holds.get(text) == hold and Subject.stored(text).covers(job.kind, job.team_id)
        ]  # fmt: skip

    def look(self) -> None:
        """See what is there now, and that it may be."""
        assert self.begun_in_vain == []
        self.holds = dict(direct.fetch(HOLDS))
        rows = {row.id: row for row in (Row(*row) for row in direct.fetch(ROWS))}
        self._nothing_is_lost(rows)
        self._nothing_goes_back(rows)
        by_lane = defaultdict(list)
        for row in rows.values():
            by_lane[row.lane].append(row)
        for lane in by_lane.values():
            self._a_lane_is_in_order(lane)
        self._limits_are_kept(rows)
        self._effects_are_applied_once_and_in_order(rows)
        self.rows = rows

    def _nothing_is_lost(self, rows: dict[str, Row]) -> None:
        """An order is there as a whole or not at all, until its lanes are forgotten."""
        lanes = {row.lane for row in rows.values()}
        for row in self.rows.values():
            if row.id not in rows:
                is_over = self.is_pruned and row.state in states.FINAL and row.seq < row.head
                assert is_over or (row.key in self.to_be_forgotten and row.lane not in lanes)
        came = Counter(row.source for row in rows.values() if row.id not in self.rows)
        assert all(self.asked.get(source, 1) == count for source, count in came.items())

    def _nothing_goes_back(self, rows: dict[str, Row]) -> None:
        for before in self.rows.values():
            if not (row := rows.get(before.id)):
                continue
            assert row.token >= before.token
            if not before.is_open and row.state != before.state:
                retried = before.state != states.COMPLETED and row.id in self.to_be_retried
                assert retried or (before.state, row.state) == (states.FAILED, states.CANCELLED)
            assert row.seq == before.seq or (row.seq > before.tail and row.id in self.to_be_retried)
            if row.state == states.CANCELLED != before.state:
                assert row.id in self.to_be_cancelled or row.key in self.to_be_cleared

    def _a_lane_is_in_order(self, lane: list[Row]) -> None:
        """Its head is the first that is open, and what is worked begins there, as one claim."""
        head, tail = lane[0].head, lane[0].tail
        assert lane[-1].seq == tail or (self.is_pruned and lane[-1].seq < tail)
        still = [row for row in lane if row.is_open]
        assert head == (still[0].seq if still else tail + 1)
        at_work = [row for row in still if row.state == states.PROCESSING]
        assert at_work == still[: len(at_work)]
        assert len({row.leased_by for row in at_work}) <= 1
        assert all(0 <= row.attempts <= row.max_attempts for row in lane)
        assert all(row.attempts < row.max_attempts for row in still if row not in at_work)

    def _limits_are_kept(self, rows: dict[str, Row]) -> None:
        at_work = [row for row in rows.values() if row.state == states.PROCESSING]
        for team, project, most in direct.fetch(LIMITS):
            if project and self.is_handed_over:
                continue  # with what is worked there a project got more than it may begin
            lanes = {row.lane for row in at_work
                     if row.team == team and project in ("", row.project)}  # fmt: skip
            assert len(lanes) <= most

    def _effects_are_applied_once_and_in_order(self, rows: dict[str, Row]) -> None:
        last: Counter[int] = Counter()
        applied = Counter()
        for job, lane, seq in direct.fetch("SELECT job, lane, seq FROM applied ORDER BY id"):
            applied[job] += 1
            assert seq > last[lane]
            last[lane] = seq
        for row in rows.values():
            assert applied[row.id] == (row.state == states.COMPLETED)
