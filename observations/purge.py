"""Delete a team with all that was ever its own, as if it had never been."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from django.db import transaction

from observations.entries import BY_PROGRAM
from observations.models import (
    ApiKey,
    AuditEntry,
    DailyUsage,
    Event,
    Member,
    MonthlyUsage,
    Observation,
    ObservationSource,
    Project,
    RateCount,
    Session,
    Team,
)
from queueing import outbox, pauses
from queueing.models import Lane, Share
from queueing.pauses import Subject

# So many lanes or rows are deleted by one statement.
AT_ONCE = 200

Item = TypeVar("Item")


def purge(team_id: str) -> int:
    """Delete the team with all that is its own, memory and jobs; how many events it had.

    Workers that hold one of its jobs lose their lease, and its keys are refused from the first
    moment on. What is interrupted is finished by calling it again: the team goes last. Must not be
    called inside a transaction.
    """
    projects = list(Project.objects.filter(team_id=team_id).values_list("pk", flat=True))
    keys = ApiKey.objects.filter(team_id=team_id)
    RateCount.objects.filter(api_key_id__in=list(keys.values_list("pk", flat=True))).delete()
    keys.delete()
    _forget_jobs(projects)
    pauses.resume(Subject("team", team_id), by=BY_PROGRAM)
    pauses.resume_quota(team_id)
    with transaction.atomic():
        events = _forget_memory(projects)
    _forget_audit(team_id)
    with transaction.atomic():
        Member.objects.filter(team_id=team_id).delete()
        Share.objects.filter(team_id=team_id).delete()
        DailyUsage.objects.filter(team_id=team_id).delete()
        MonthlyUsage.objects.filter(team_id=team_id).delete()
        Project.objects.filter(team_id=team_id).delete()
        Team.objects.filter(pk=team_id).delete()
    return events


def _forget_jobs(projects: Sequence[str]) -> None:
    lanes = Lane.objects.filter(project_id__in=projects).order_by("key")
    for keys in _portions(list(lanes.values_list("key", flat=True))):
        with transaction.atomic():
            outbox.forget(keys)


def _forget_memory(projects: Sequence[str]) -> int:
    """What was made of events, the events, and their sessions; how many events there were."""
    ObservationSource.objects.filter(observation__project_id__in=projects).delete()
    Observation.objects.filter(project_id__in=projects).delete()
    events, _ = Event.objects.filter(project_id__in=projects).delete()
    Session.objects.filter(project_id__in=projects).delete()
    return events


def _forget_audit(team_id: str) -> None:
    # Found without a lock: no index leads to a team's entries, and there may be years of others'.
    entries = list(AuditEntry.objects.filter(team_id=team_id).values_list("pk", flat=True))
    for some in _portions(entries):
        with transaction.atomic():
            AuditEntry.objects.filter(pk__in=some).delete()


def _portions(rows: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(rows), AT_ONCE):
        yield rows[start : start + AT_ONCE]
