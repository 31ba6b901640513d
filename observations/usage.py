"""What was used: entered as it is used, told by kind, day and project, and kept for its time.

Tokens are entered when a call ends, in a transaction of their own: what was paid was paid, whatever
becomes of the job; where the database is away then, once it is back. Observations are entered in
the transaction that stores them. A team that spent its tokens is held: its jobs wait, as they are,
until it may use more.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import orjson
from django.db import transaction
from django.db.models import QuerySet, Sum

from observations import counters, quotas
from observations.drafts import Tokens
from observations.models import DailyUsage, MonthlyUsage, RateCount
from observations.quotas import INPUT_TOKENS, OBSERVATION, OUTPUT_TOKENS, TOKENS
from queueing import direct, light, pauses
from queueing.leases import Job

log = logging.getLogger(__name__)

# Minutes that are over so long ago nobody counts in any more.
_RATES_KEPT = timedelta(days=1)

Totals = dict[str, int]


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used in the month that begins with `since`, by kind, and the same more narrowly.

    `days` and `projects` have what was metered; a project's "" is what belongs to none.
    """

    since: date
    totals: Totals
    days: Mapping[date, Totals] = field(default_factory=dict)
    projects: Mapping[str, Totals] = field(default_factory=dict)


def spend(job: Job, tokens: Tokens) -> None:
    """Enter what a call for the job cost. Must not be called inside a transaction."""
    if not tokens.total or not (limits := counters.in_force()).counts_tokens:
        return
    with light.transaction():
        at = direct.now()
        spent = counters.add(job.team_id, TOKENS, tokens.total, at)
        if limits.metering:
            whose = (job.team_id, job.project_id, _key_of(job))
            counters.enter(*whose, INPUT_TOKENS, tokens.input, at)
            counters.enter(*whose, OUTPUT_TOKENS, tokens.output, at)
        if quotas.is_spent(limits, spent):
            _hold(job.team_id, at)


def observed(jobs: Sequence[Job], made: Mapping[str, int]) -> None:
    """Enter how many observations each job made. Inside the transaction that stores them."""
    if not counters.in_force().metering:
        return
    counted: Counter[tuple[str, str, str]] = Counter()
    for job in jobs:
        counted[job.team_id, job.project_id, _key_of(job)] += made.get(job.id, 0)
    at = direct.now()
    for whose, count in sorted(counted.items()):
        if count:
            counters.enter(*whose, OBSERVATION, count, at)


def review() -> None:
    """Hold each team that spent its tokens of this month, and let all others go on."""
    at = direct.now()
    held = {hold.subject.name for hold in pauses.held() if hold.subject.kind == "quota"}
    spent = _spent(at)
    for team_id in sorted(spent - held):
        with transaction.atomic():
            _hold(team_id, at)
    for team_id in sorted(held - spent):
        if pauses.resume_quota(team_id):
            log.info("the team %s may use tokens again: its jobs go on", team_id)


def of_team(team_id: str, since: date, *, project_id: str | None = None) -> Usage:
    """What a team used in the month that begins then; with `project_id` what its project did."""
    return _told(
        MonthlyUsage.objects.filter(team_id=team_id, month=since),
        DailyUsage.objects.filter(team_id=team_id),
        since,
        project_id,
    )


def of_all(since: date) -> Usage:
    """What all teams together used in the month that begins then."""
    return _told(MonthlyUsage.objects.filter(month=since), DailyUsage.objects.all(), since, None)


def this_month() -> date:
    """The first day of the month that it is."""
    return quotas.month(direct.now())


def prune(before: datetime | None, at: datetime) -> int:
    """Delete what was used on days before then, and minutes that are over; how many rows.

    The month of `at` is kept. Must be called inside a transaction.
    """
    gone, _ = RateCount.objects.filter(started__lt=(at - _RATES_KEPT).timestamp()).delete()
    for rows in _over(before, at):
        gone += rows.delete()[0]
    return gone


def over(before: datetime | None, at: datetime) -> int:
    """How many rows of what was used `prune` would delete."""
    return sum(rows.count() for rows in _over(before, at))


def _over(before: datetime | None, at: datetime) -> list[QuerySet[Any]]:
    if before is None:
        return []
    first = min(quotas.day(before), quotas.month(at))
    months = MonthlyUsage.objects.filter(month__lt=first.replace(day=1))
    return [DailyUsage.objects.filter(day__lt=first), months]


def _told(
    months: QuerySet[MonthlyUsage],
    days: QuerySet[DailyUsage],
    since: date,
    project_id: str | None,
) -> Usage:
    days = days.filter(day__gte=since, day__lt=quotas.next_month(since))
    if project_id is not None:
        days = days.filter(project_id=project_id)
    by_day = _grouped(days, "day")
    totals: Counter[str] = Counter()
    for each in by_day.values():
        totals.update(each)
    if project_id is None:
        # What can be capped is counted also while nothing is metered: it is no less.
        totals |= Counter(dict(months.values_list("kind").annotate(Sum("quantity"))))
    return Usage(since, _ordered(totals), by_day, _grouped(days, "project_id"))


def _grouped(days: QuerySet[DailyUsage], column: str) -> dict[Any, Totals]:
    rows = days.order_by(column).values_list(column, "kind").annotate(Sum("quantity"))
    found: dict[Any, Totals] = {}
    for value, kind, quantity in rows:
        found.setdefault(value, {})[kind] = quantity
    return {value: _ordered(_summed(totals)) for value, totals in found.items()}


def _summed(totals: Totals) -> Totals:
    """With the tokens of both directions together."""
    if not {INPUT_TOKENS, OUTPUT_TOKENS} & totals.keys():
        return totals
    return {**totals, TOKENS: totals.get(INPUT_TOKENS, 0) + totals.get(OUTPUT_TOKENS, 0)}


def _ordered(totals: Mapping[str, int]) -> Totals:
    return {kind: totals[kind] for kind in quotas.KINDS if totals.get(kind)}


def _spent(at: datetime) -> set[str]:
    cap = counters.in_force().tokens
    if not cap:
        return set()
    rows = MonthlyUsage.objects.filter(month=quotas.month(at), kind=TOKENS, quantity__gte=cap)
    return set(rows.values_list("team_id", flat=True))


def _hold(team_id: str, at: datetime) -> None:
    """Let nothing of the team begin. Must be called inside a transaction."""
    cap = counters.in_force().tokens
    reason = f"the {cap} tokens of {quotas.month(at):%Y-%m} are spent"
    if pauses.hold_quota(team_id, reason):
        log.warning("%s: jobs of the team %s wait", reason, team_id)


def _key_of(job: Job) -> str:
    """The key by which the job was asked for."""
    origin = orjson.loads(job.origin) if isinstance(job.origin, str) else job.origin
    return str(origin.get("api_key_id") or "")
