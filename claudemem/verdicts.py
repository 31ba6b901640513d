"""What readings mean: each part of the server against its limit. Pure.

`late` is what goes on more slowly than it should, or waits for something known; `failed` is what
does not go on at all. `unknown` is what could not be looked at, `off` what is not wanted here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, Final, Literal

from claudemem.schedule import MOST_WAITING

if TYPE_CHECKING:
    from queueing.canaries import Canary
    from queueing.depths import Table

Verdict = Literal["ok", "late", "failed", "unknown", "off"]
OK: Final = "ok"
LATE: Final = "late"
FAILED: Final = "failed"
UNKNOWN: Final = "unknown"
OFF: Final = "off"
# The overall verdict is the first of these that any part has.
_WORST: Final[tuple[Verdict, ...]] = (FAILED, LATE, UNKNOWN)
_STARTS: Final = "it was started a moment ago"
_STOPPED: Final = "nothing runs here: run `claudemem start`"


@dataclass(frozen=True, slots=True)
class Limits:
    """What is still well. All in seconds but `depth`, which is a number of jobs.

    `canary` is how long ago something came through a queue, `canary_every` how often something is
    sent, `upkeep_every` how often beat asks for upkeep.
    """

    answer: float
    lag: float
    success: float
    canary: float
    canary_every: float
    upkeep_every: float
    depth: int


@dataclass(frozen=True, slots=True)
class Store:
    """What the queue store answered: within how many seconds, and the messages by queue.

    `away` says why there is no answer; it is empty where there is one. `faults` say why it must not
    be used though it answers.
    """

    seconds: float = 0.0
    messages: Mapping[str, int] = field(default_factory=dict)
    away: str = ""
    faults: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Readings:
    """What was seen of the server at one moment.

    `table` is None where the database did not tell, for which `database` has the reason, empty
    where it is well. `store` is None under an engine without one. `idle` says that nothing is to be
    worked here, `stopped` that whoever could work has ended. `up` is for how many seconds the
    server runs, as far as that is known.
    """

    table: "Table | None"
    database: str
    database_seconds: float
    store: Store | None
    provider: str
    idle: bool
    up: float = inf
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """One part: its verdict, and why; `measure` and `limit` in the unit that `unit` names."""

    name: str
    verdict: Verdict
    reason: str
    measure: float | None = None
    limit: float | None = None
    unit: str = "seconds"
    details: Mapping[str, Any] = field(default_factory=dict)


def checks(seen: Readings, limits: Limits) -> list[Check]:
    """All parts, in the order in which they are told."""
    return [
        database(seen, limits),
        queue_store(seen, limits),
        lag(seen, limits),
        last_success(seen, limits),
        beat(seen, limits),
        workers(seen, limits),
        *canaries(seen, limits),
        *queues(seen, limits),
        provider(seen),
        pauses(seen),
    ]


def overall(parts: Iterable[Check]) -> Verdict:
    """The worst of their verdicts."""
    given = {part.verdict for part in parts}
    return next((verdict for verdict in _WORST if verdict in given), OK)


def database(seen: Readings, limits: Limits) -> Check:
    """Whether it answers and is up to date."""
    verdict: Verdict = FAILED if seen.database else OK
    reason = seen.database or "answers"
    return Check("database", verdict, reason, seen.database_seconds, limits.answer)


def queue_store(seen: Readings, limits: Limits) -> Check:
    """Whether the store of messages answers, and keeps what it is given."""
    if seen.store is None:
        return Check("queueStore", OFF, "the database engine uses none")
    wrong = seen.store.away or "; ".join(seen.store.faults)
    verdict: Verdict = FAILED if wrong else OK
    reason = wrong or "answers"
    return Check("queueStore", verdict, reason, seen.store.seconds, limits.answer)


def lag(seen: Readings, limits: Limits) -> Check:
    """How long the oldest event has waited that is not worked out yet."""
    if seen.table is None:
        return _untold("lag")
    age = _oldest(seen.table)
    if seen.idle:
        return Check("lag", OFF, "generation is switched off", age, limits.lag)
    if not seen.table.heads:
        return Check("lag", OK, "nothing waits", 0.0, limits.lag)
    if all(each.paused == each.all for each in seen.table.heads):
        return Check("lag", OK, "nothing waits but what is paused", 0.0, limits.lag)
    verdict: Verdict = LATE if age > limits.lag else OK
    return Check("lag", verdict, "age of the oldest unprocessed event", age, limits.lag)


def last_success(seen: Readings, limits: Limits) -> Check:
    """When a job was done last; bad only while others have waited for as long."""
    if seen.table is None:
        return _untold("lastSuccess")
    # What waited while nothing ran says nothing of what runs.
    age, waited = seen.table.done_age, min(_oldest(seen.table), seen.up)
    reason = "a job was completed" if age is not None else "nothing was completed lately"
    if seen.idle:
        return Check("lastSuccess", OFF, "generation is switched off", age, limits.success)
    if waited > limits.success and (age is None or age > limits.success):
        reason = f"nothing was completed while jobs waited for {waited:.0f} s"
        return Check("lastSuccess", FAILED, reason, age, limits.success)
    return Check("lastSuccess", OK, reason, age, limits.success)


def beat(seen: Readings, limits: Limits) -> Check:
    """Whether what is due by the clock is begun.

    Canaries are sent by upkeep, which beat asks for. Where nobody does upkeep, beat is known by
    its messages: they heap up at the pace at which it sends them.
    """
    if seen.store is None:
        return Check("beat", OFF, "workers do their own upkeep")
    if seen.table is None:
        return _untold("beat")
    age = _sent_age(seen.table.canaries)
    if seen.stopped:
        return Check("beat", FAILED, _STOPPED, age, limits.canary)
    if age is not None and age <= limits.canary:
        return Check("beat", OK, "upkeep is done", age, limits.canary)
    if seen.store.away:
        return Check("beat", UNKNOWN, "the queue store is away", age, limits.canary)
    waiting = seen.store.messages.get("upkeep", 0)
    # No longer than the server runs: nothing was sent while it was stopped.
    unserved = min((age or 0.0) - limits.canary_every, seen.up)
    # Where nobody takes them it sends no more at last.
    enough = min(0.5 * unserved / limits.upkeep_every, 0.9 * MOST_WAITING)
    if waiting > 1 and waiting >= enough:
        return Check("beat", OK, f"{waiting} of its messages wait", age, limits.canary)
    if _starts(seen, limits):
        return Check("beat", UNKNOWN, _STARTS, age, limits.canary)
    reason = "nothing is begun by the clock: run `claudemem beat`"
    return Check("beat", FAILED, reason, age, limits.canary)


def workers(seen: Readings, limits: Limits) -> Check:
    """Whether anything works the queues."""
    if seen.table is None:
        return _untold("workers")
    fresh = min((each.seen_age for each in seen.table.canaries if each.seen_age is not None),
                default=None)  # fmt: skip
    in_hand = sum(each.jobs for each in seen.table.held)
    if seen.stopped and not seen.idle:
        return Check("workers", FAILED, _STOPPED, fresh, limits.canary)
    if fresh is not None and fresh <= limits.canary:
        reason = _worked(in_hand) if in_hand else "a worker answered"
        return Check("workers", OK, reason, fresh, limits.canary)
    if in_hand:
        reason = f"busy: {_worked(in_hand)}"
        return Check("workers", LATE, reason, fresh, limits.canary)
    verdict, reason = _silent(seen, limits)
    return Check("workers", verdict, reason, fresh, limits.canary)


def _worked(jobs: int) -> str:
    return "1 job is being worked" if jobs == 1 else f"{jobs} jobs are being worked"


def canaries(seen: Readings, limits: Limits) -> list[Check]:
    """Whether something came through each queue of late."""
    if seen.table is None:
        return [_untold("canaries")]
    return [_canary(each, seen, limits) for each in seen.table.canaries]


def queues(seen: Readings, limits: Limits) -> list[Check]:
    """How much waits in each queue, and whether there are messages for it."""
    if seen.table is None:
        return [_untold("queues")]
    return [_queue(each.queue, seen, limits) for each in seen.table.canaries if each.has_jobs]


def provider(seen: Readings) -> Check:
    """Whether it may be asked. A pause is no failure: what waits is worked when it is over."""
    if seen.provider:
        return Check("provider", FAILED, seen.provider)
    if seen.table is None:
        return _untold("provider")
    if "provider" in _held(seen.table, "provider"):
        return Check("provider", OFF, "an operator paused it, until it is resumed")
    if pause := seen.table.pause:
        reason = f"paused ({pause.classification}); the next try is in {pause.left:.0f} s"
        return Check("provider", LATE, reason, pause.left)
    if hung := seen.table.hung:
        return Check("provider", LATE, f"{hung} calls hung of late, and were left behind")
    return Check("provider", OK, "configured")


def pauses(seen: Readings) -> Check:
    """What operators and quotas hold: it is meant, and so is what waits. No team is named."""
    if seen.table is None:
        return _untold("pauses")
    if not seen.table.holds:
        return Check("pauses", OK, "nothing is paused by an operator")
    named = [*_held(seen.table, "provider"), *_held(seen.table, "queue"), *_teams(seen, "team")]
    said = [f"paused by an operator: {', '.join(named)}"] if named else []
    said += [f"waiting for a quota: {each}" for each in _teams(seen, "quota")]
    return Check("pauses", OFF, "; ".join(said))


def _teams(seen: Readings, kind: str) -> list[str]:
    """How many teams are held so, if any."""
    count = len(_held(seen.table, kind)) if seen.table else 0
    return [f"{count} team{'' if count == 1 else 's'}"] if count else []


def _held(table: "Table", kind: str) -> list[str]:
    """The subjects of this kind that are held, as they are written."""
    return [str(hold.subject) for hold in table.holds if hold.subject.kind == kind]


def _canary(canary: "Canary", seen: Readings, limits: Limits) -> Check:
    verdict, reason = _seen(canary, seen, limits)
    details = {"queue": canary.queue, "sent": canary.sent_at, "seen": canary.seen_at}
    return Check("canaries", verdict, reason, canary.seen_age, limits.canary, details=details)


def _seen(canary: "Canary", seen: Readings, limits: Limits) -> tuple[Verdict, str]:
    if seen.stopped and not seen.idle:
        return UNKNOWN, _STOPPED
    if canary.seen_age is not None and canary.seen_age <= limits.canary:
        return OK, "came through"
    assert seen.table is not None
    # Threads that are all in calls take nothing, and are none the worse for it.
    if any(canary.queue == each.kind or canary.seen_by == each.worker for each in seen.table.held):
        return LATE, "busy: its workers have their hands full"
    if canary.is_first and (canary.age or 0.0) <= limits.canary:
        return UNKNOWN, "the first is under way"
    if _starts(seen, limits):
        return UNKNOWN, _STARTS
    if canary.under_way and not (seen.idle or (seen.store and seen.store.away)):
        return FAILED, f"nobody took what was sent {canary.age or 0:.0f} s ago"
    return _silent(seen, limits)


def _silent(seen: Readings, limits: Limits) -> tuple[Verdict, str]:
    """Where nothing came through and nothing is in hand."""
    if seen.idle:
        return OFF, "generation is switched off"
    if seen.store and seen.store.away:
        return UNKNOWN, "the queue store is away"
    if _starts(seen, limits):
        return UNKNOWN, _STARTS
    if beat(seen, limits).verdict == FAILED:
        return UNKNOWN, "nothing was sent: see beat"
    return FAILED, "no worker takes anything: run `claudemem worker start`"


def _queue(queue: str, seen: Readings, limits: Limits) -> Check:
    assert seen.table is not None
    rows = {state: count for (kind, state), count in seen.table.open.items() if kind == queue}
    heads = next((each for each in seen.table.heads if each.kind == queue), None)
    due, lacking = (heads.due, heads.lacking) if heads else (0, 0)
    paused = heads.paused if heads else 0
    told = seen.store is not None and not seen.store.away
    messages = seen.store.messages.get(queue, 0) if seen.store and told else None
    waiting = sum(rows.values())
    missing = max(0, lacking - messages) if messages is not None else None
    details = {"queue": queue, "rows": rows, "heads": due, "paused": paused,
               "messages": messages, "missing": missing}  # fmt: skip
    verdict: Verdict = OK
    reason = "rows and messages agree" if messages is not None else "counted by rows alone"
    if waiting > limits.depth:
        verdict, reason = LATE, f"{waiting} jobs wait or are worked"
    if paused:
        # How many jobs wait behind heads that are held is not known, and is no fault.
        verdict, reason = OK, f"{waiting} jobs wait or are worked; {paused} lanes are paused"
    if missing and not seen.table.pause:
        verdict, reason = LATE, f"{missing} jobs that may run have no message"
    return Check("queues", verdict, reason, waiting, limits.depth, "jobs", details)


def _starts(seen: Readings, limits: Limits) -> bool:
    """Whether the server runs for too short a time for anything to have gone wrong."""
    return seen.up <= limits.canary


def _oldest(table: "Table") -> float:
    return max((each.oldest for each in table.heads), default=0.0)


def _sent_age(canaries: "Sequence[Canary]") -> float | None:
    return min((each.age for each in canaries if each.age is not None), default=None)


def _untold(name: str) -> Check:
    return Check(name, UNKNOWN, "the database does not tell")
