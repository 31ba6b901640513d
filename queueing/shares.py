"""Fair shares: of all heads that may run, which one is due to be worked by this process.

Teams take turns by their weights, within a team its projects do, and within a project the kinds.
Each process keeps its own marks (`turns`): where every worker is fair, all of them are, and nobody
writes a common counter. A message is no more than leave to work some head. Whoever takes it works
the head whose turn it is, of whichever queue that the worker serves: a team with a backlog in each
of them must not have as many turns. The message of that head does the same later, for one that was
passed over.
"""

import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from queueing import broker, kinds, states
from queueing.leases import Job
from queueing.outbox import Head
from queueing.statements import fetch
from queueing.turns import Turns

# A process looks who waits at most so often, unless what it saw turned out to be no longer true;
# somewhat less often where a look takes long, that looking does not become the work.
LOOK_SECONDS = 0.1
RARITY = 5
SELDOM_SECONDS = 0.25
# Where many workers want the same head, only one gets it; the others try so often.
TRIES = 4
# They then choose among so many.
CROWD = 8
# Teams and projects come and go. Where more than so many projects are known, and more than twice
# those that wait, the others are forgotten.
KEPT = 1000


@dataclass(frozen=True, slots=True)
class Share:
    """What was said of a team or project."""

    weight: int = 1
    most: int | None = None


_NOTHING_SAID = Share()
_Whose = TypeVar("_Whose", str, tuple[str, str])


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """The heads of one kind of one project; of those that can run there is at least one."""

    kind: str
    team_id: str
    project_id: str

    @property
    def whose(self) -> tuple[str, str]:
        return self.team_id, self.project_id


@dataclass(frozen=True, slots=True)
class View:
    """Who waits, and what may be done about it, as a look saw it; worth something until then."""

    lines: tuple[Line, ...] = ()
    shares: Mapping[tuple[str, str], Share] = field(default_factory=dict)
    in_flight: Mapping[tuple[str, str], int] = field(default_factory=dict)
    until: float = float("-inf")

    @property
    def was_seen(self) -> bool:
        """Whether this is what there was at some time, and not what is known before any look."""
        return self.until > float("-inf")

    @property
    def is_plain(self) -> bool:
        """Whether there is nobody to be fair to, and nothing to be kept within limits."""
        return not self.is_limited and len({line.whose for line in self.lines}) <= 1

    @property
    def is_limited(self) -> bool:
        return any(share.most is not None for share in self.shares.values())

    def limits(self, team_id: str, project_id: str) -> bool:
        """Whether there is a limit for the team or the project."""
        return self.room(team_id, project_id) is not None

    def room(self, team_id: str, project_id: str) -> int | None:
        """How many more lanes may be worked; None if there is no limit."""
        free = []
        if (most := self.share(team_id).most) is not None:
            free.append(most - sum(n for (team, _), n in self.in_flight.items() if team == team_id))
        if (most := self.share(team_id, project_id).most) is not None:
            free.append(most - self.in_flight.get((team_id, project_id), 0))
        return max(0, min(free)) if free else None

    def share(self, team_id: str, project_id: str = "") -> Share:
        """What was said of a team, or of a project of it."""
        return self.shares.get((team_id, project_id), _NOTHING_SAID)

    def open(self, names: Iterable[str]) -> list[Line]:
        """The lines of these kinds, of which one more head may be worked."""
        wanted = set(names)
        return [each for each in self.lines if each.kind in wanted and self.room(*each.whose) != 0]


class _Forks(defaultdict[_Whose, Turns]):
    """Turns of others, of which each is copied when it is asked for: there may be thousands."""

    def __init__(self, others: Mapping[_Whose, Turns]) -> None:
        super().__init__(Turns)
        self._others: Mapping[_Whose, Turns] = others

    def __missing__(self, whose: _Whose) -> Turns:
        others = self._others.get(whose)
        self[whose] = turns = others.fork() if others else Turns()
        return turns


@dataclass
class Order:
    """The turns of teams, within each team those of its projects, and within those of kinds."""

    _teams: Turns = field(default_factory=Turns)
    _projects: defaultdict[str, Turns] = field(default_factory=lambda: defaultdict(Turns))
    _kinds: defaultdict[tuple[str, str], Turns] = field(default_factory=lambda: defaultdict(Turns))
    _most: int = KEPT

    def next(self, lines: Sequence[Line]) -> Line:
        """Which of the lines has the turn. There must be one."""
        if len(lines) == 1:
            return lines[0]
        team = self._teams.next(each.team_id for each in lines)
        of_team = [each for each in lines if each.team_id == team]
        project = self._projects[team].next(each.project_id for each in of_team)
        by_kind = {each.kind: each for each in of_team if each.project_id == project}
        return by_kind[self._kinds[team, project].next(by_kind)]

    def foremost(self, lines: Sequence[Line], most: int) -> list[Line]:
        """Those of the lines that can be among the next `most`: of thousands of teams, so many."""
        teams = set(self._teams.foremost({each.team_id for each in lines}, most))
        return [each for each in lines if each.team_id in teams]

    def serve(self, line: Line, view: View) -> None:
        """Note that a lease of one of the line's heads was begun."""
        team_id, project_id = line.whose
        alone = all(each.team_id == team_id for each in view.lines)
        _serve(self._teams, team_id, view.share(team_id).weight, alone=alone)
        of_team = [each for each in view.lines if each.team_id == team_id]
        alone = all(each.project_id == project_id for each in of_team)
        weight = view.share(team_id, project_id).weight
        _serve(self._projects[team_id], project_id, weight, alone=alone)
        alone = all(each.kind == line.kind or each.project_id != project_id for each in of_team)
        _serve(self._kinds[line.whose], line.kind, 1, alone=alone)
        # Of whatever else there is a mark, there is a project in these.
        if len(self._kinds) > self._most:
            self._keep([*view.lines, line])

    def _keep(self, waiting: Sequence[Line]) -> None:
        """Forget all but those that wait; they are many, so not with each service anew."""
        projects = defaultdict(set)
        for each in waiting:
            projects[each.team_id].add(each.project_id)
        self._teams.keep(projects)
        for gone in self._projects.keys() - projects.keys():
            del self._projects[gone]
        for team, turns in self._projects.items():
            turns.keep(projects[team])
        whose = {each.whose for each in waiting}
        for none_of in self._kinds.keys() - whose:
            del self._kinds[none_of]
        self._most = max(KEPT, 2 * len(whose))

    def fork(self) -> "Order":
        """The same marks, to see what would follow."""
        return Order(self._teams.fork(), _Forks(self._projects), _Forks(self._kinds))


def _serve(turns: Turns, who: str, weight: int, *, alone: bool) -> None:
    if alone:  # who is alone sets the pace for those who come
        turns.next([who])
    turns.serve(who, weight)


class Desk:
    """What this process knows of who waits, and whom it served. For many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._order = Order()
        self._view = View()

    def view(self, *, anew: bool = False) -> View:
        """What was seen a moment ago, or is now."""
        # While another thread has its first look there is nothing to go by: limits would be missed.
        if anew or not self._view.was_seen:
            self._view = _seen()
        else:
            self.refreshed()
        return self._view

    def refreshed(self) -> bool:
        """Look if it is time to, unless another thread does so just now; whether this one did."""
        if time.monotonic() < self._view.until or not self._looking.acquire(blocking=False):
            return False
        try:
            self._view = _seen()
        finally:
            self._looking.release()
        return True

    def next(self, lines: Sequence[Line]) -> Line:
        """Which of the lines has the turn. There must be one."""
        with self._lock:
            return self._order.next(lines)

    def serve(self, line: Line) -> None:
        """Note that a lease of one of the line's heads was begun."""
        with self._lock:
            self._order.serve(line, self._view)

    def fork(self) -> Order:
        """The order as it is, to see what would follow."""
        with self._lock:
            return self._order.fork()


_desk = Desk()


def is_limited() -> bool:
    """Whether any team or project has a limit, as far as was seen a moment ago."""
    return _desk.view().is_limited


def candidates(job_id: str, served: Iterable[str] = ()) -> Iterator[str]:
    """The heads to be claimed, one after the other until it succeeds, for a message or a look.

    For a look that is the one that it chose, by turns. A message stands for any head of its kind,
    and of the kinds that are `served` beside it: the one it names where nobody else waits, and
    otherwise the one whose turn it is.
    """
    view = _desk.view()
    if not broker.can_lose():
        yield job_id
        return
    if view.is_plain:
        yield job_id
    for kind, state in fetch("whose", [job_id]):
        if state == states.PROCESSING:  # by one that fell silent, perhaps
            yield job_id
        yield from _by_turns({kind, *served}, anew=view.is_plain)


def _by_turns(served: Iterable[str], *, anew: bool) -> Iterator[str]:
    for tried in range(TRIES):
        lines = _desk.view(anew=anew).open(served)
        if not lines and not anew:
            lines = _desk.view(anew=True).open(served)
        if not lines:
            return
        anew = True
        if heads := _firsts(_desk.next(lines), CROWD if tried else 1):
            yield random.choice(heads)  # noqa: S311


def begun(job: Job) -> None:
    """Note that a lease of this head began: its team, project and kind had their turn."""
    _desk.serve(Line(job.kind, job.team_id, job.project_id))


def may_go_on(job: Job) -> bool:
    """Whether the lane may go on with its next job, or others are to be served first.

    Asked at most every LOOK_SECONDS; whoever is quicker than that makes nobody wait.
    """
    if not _desk.refreshed():
        return True
    view = _desk.view()
    own = Line(job.kind, job.team_id, job.project_id)
    others = [each for each in view.open(kinds.BY_NAME) if each.whose != own.whose]
    return not others or _desk.next([*others, own]) is own


def passed_on(ended: Job, head: Head | None) -> list[Head]:
    """What is to be published when a lease ends and its lane does not go on.

    That is the lane's own next head. Where there is a limit, a place became free: then it is the
    head that waits longest, of whichever of the team's projects has the turn.
    """
    if not _desk.view().limits(ended.team_id, ended.project_id):
        return [head] if head else []
    lines = [line for line in _desk.view(anew=True).open(kinds.BY_NAME)
             if line.team_id == ended.team_id]  # fmt: skip
    if not lines:
        return []
    line = _desk.next(lines)
    return [Head(job_id, line.kind) for job_id in _firsts(line, 1)]


def unasked(depths: Mapping[str, int]) -> list[Head]:
    """Heads within limits for which too few messages wait, of so many for each kind.

    Messages that come while there is no room are dropped, and each lease that ends has another
    sent; where its worker died instead, this finds what should have been sent.
    """
    view = _desk.view(anew=True)
    if not view.is_limited:
        return []
    found = []
    for line in view.open(kinds.BY_NAME):
        lacking = (view.room(*line.whose) or 0) - depths.get(line.kind, 0)
        if lacking > 0:
            found += [Head(job_id, line.kind) for job_id in _firsts(line, lacking)]
    return found


def due(names: Sequence[str], most: int, window: int) -> list[Head]:
    """Heads of these kinds that may be begun, by turns: `most` of them at most.

    Where a project has a `window` of a kind or more, they are any of the first so many.
    """
    view = _desk.view(anew=True)
    lines = view.open(names)
    found = _forsaken(names, most) if view.is_limited else []
    if lines:
        _desk.next(lines)
        found += _in_turn(lines, view, most, window)
    return list(dict.fromkeys(found))


def _forsaken(names: Sequence[str], most: int) -> list[Head]:
    wanted = [*names, *[""] * (len(kinds.ALL) - len(names))]
    return [Head(*row) for row in fetch("forsaken", [*wanted, most], items=len(wanted))]


def _in_turn(lines: Sequence[Line], view: View, most: int, window: int) -> Iterator[Head]:
    """The lines' heads, by turns."""
    order = _desk.fork()
    left = order.foremost(lines, most)
    waiting: dict[Line, list[str]] = {}
    for _ in range(most):
        if not left:
            return
        line = order.next(left)
        if line not in waiting:
            room = view.room(*line.whose)
            waiting[line] = _some(line, window if room is None else min(window, room))
        if waiting[line]:
            yield Head(waiting[line].pop(0), line.kind)
            order.serve(line, view)
        else:
            left.remove(line)


def _some(line: Line, window: int) -> list[str]:
    heads = _firsts(line, window)
    if len(heads) == window:
        # Any of so many may be next: workers that all began with the first would want the same.
        random.shuffle(heads)
    return heads


def _firsts(line: Line, most: int) -> list[str]:
    """The line's heads that may run, those that waited longest first."""
    params = [line.kind, *line.whose]
    heads = [] if broker.can_lose() else fetch("heads_unnudged", [*params, most])
    if len(heads) < most:
        heads += fetch("heads_nudged", [*params, most - len(heads)])
    return [job_id for (job_id,) in heads]


def _seen() -> View:
    began = time.monotonic()
    lines = fetch("lines_nudged" if broker.can_lose() else "lines", [])
    shares = {(team, project): Share(*said) for team, project, *said in fetch("shares", [])}
    limited = any(share.most is not None for share in shares.values())
    rows = fetch("in_flight", []) if limited else []
    in_flight = Counter({(team, project): n for team, project, n in rows})
    ended = time.monotonic()
    rest = LOOK_SECONDS and min(max(LOOK_SECONDS, RARITY * (ended - began)), SELDOM_SECONDS)
    return View(tuple(sorted(Line(*row) for row in lines)), shares, in_flight, ended + rest)
