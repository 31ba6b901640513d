"""Delete a team with all that was ever its own, as if it had never been."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet

from observations import portions
from observations.entries import BY_PROGRAM
from observations.models import (
    ApiKey,
    AuditEntry,
    DailyUsage,
    Member,
    MonthlyUsage,
    MovedRow,
    Project,
    ProjectMerge,
    RateCount,
    Team,
)
from observations.portions import Counts
from queueing import direct, pauses, retention
from queueing.models import Share
from queueing.pauses import Subject

# So many rows are deleted in one transaction.
AT_ONCE: Final = 500
# What is under way while a team goes is done by then.
_UNDER_WAY: Final = timedelta(hours=1)


def purge(team_id: str, tell: Callable[[Counts], None] = lambda _: None) -> int:
    """Delete the team with all that is its own, memory and jobs; how many events it had.

    In portions, so that nobody waits long for it; `tell` is called with what went after each.
    Workers that hold one of its jobs lose their lease, and its keys are refused from the first
    moment on. What is interrupted is finished by calling it again: the team goes last. Must not be
    called inside a transaction.
    """
    keys = ApiKey.objects.filter(team_id=team_id)
    RateCount.objects.filter(api_key_id__in=list(keys.values_list("pk", flat=True))).delete()
    keys.delete()
    pauses.resume(Subject("team", team_id), by=BY_PROGRAM)
    pauses.resume_quota(team_id)
    counts = Counts()
    for project_id in Project.objects.filter(team_id=team_id).values_list("pk", flat=True):
        _forget(project_id, counts, tell)
    # No index leads to a team's entries in the audit, and there may be years of others'.
    _delete(AuditEntry.objects.filter(team_id=team_id))
    _delete(DailyUsage.objects.filter(team_id=team_id))
    _delete(MovedRow.objects.filter(merge__team_id=team_id))
    with transaction.atomic():
        for model in (ProjectMerge, Member, MonthlyUsage, Share, Project):
            model._default_manager.filter(team_id=team_id).delete()
        Team.objects.filter(pk=team_id).delete()
    return counts.events


def _forget(project_id: str, counts: Counts, tell: Callable[[Counts], None]) -> None:
    # Its keys are gone: nothing is captured any more but what was under way, so it is never busy.
    steps, over = portions.delete(project_id, direct.now() + _UNDER_WAY, counts), object()
    more: object = None
    while more is not over:
        with retention.turn():
            more = next(steps, over)
        tell(counts)


def _delete(rows: QuerySet[Any]) -> None:
    """Delete the rows in portions. They are found at once: nothing may lead to the next ones."""
    found = list(rows.order_by().values_list("pk", flat=True))
    for start in range(0, len(found), AT_ONCE):
        with retention.turn():
            rows.model._default_manager.filter(pk__in=found[start : start + AT_ONCE]).delete()
