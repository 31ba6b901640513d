"""The admin's first page: what was remembered today, what waits, what failed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone

from observations import tenants
from observations.admin.gist import called
from observations.admin.reach import Reach, latest_projects, reach
from observations.admin.said import subjects
from observations.models import Event, Observation, Project, Session
from queueing import pauses, states
from queueing.browsing import AtLeast, earliest_id
from queueing.models import GenerationJob, Lane
from queueing.pauses import Hold

# Counting stops there: a figure is to be taken in at a glance.
MOST_COUNTED = 10_000
# Among so many busy lanes, and so many failed jobs, the ones to show are looked for.
MOST_LOOKED_THROUGH = 1_000
LINES = 5


@dataclass(frozen=True, slots=True)
class Waiting:
    """The job at the head of the lane that has waited longest, and since when."""

    job: GenerationJob
    since: datetime


def facts(request: HttpRequest) -> dict[str, Any]:
    """What the page shows, in a number of queries that does not depend on how much there is."""
    whose = reach(request)
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    today = {"id__gte": earliest_id(midnight)}
    jobs = GenerationJob.objects
    return {
        "captured": _count(Event.objects.filter(**today), whose),
        "remembered": _count(Observation.objects.filter(**today), whose),
        "queued": _count(jobs.filter(state=states.QUEUED), whose),
        "processing": _count(jobs.filter(state=states.PROCESSING), whose),
        "failed": _count(jobs.filter(state=states.FAILED), whose),
        "waiting": _waiting(whose),
        "pause": pauses.current(),
        "holds": _holds(whose),
        "failures": _named(_failures(whose)),
        "sessions": _sessions(request),
        "in_no_team": not whose.sees,
    }


def _count(rows: "QuerySet[Any]", whose: Reach) -> int:
    """How many of the rows are within reach; AtLeast so many if there are too many to look at."""
    ours = Q() if whose.sees.ids is None else Q(team_id__in=sorted(whose.sees.ids))
    some = rows.order_by().values("pk", "team_id")[: MOST_COUNTED + 1]
    seen = some.aggregate(looked=Count("pk"), ours=Count("pk", filter=ours))
    found: int = seen["ours"]
    return AtLeast(min(found, MOST_COUNTED)) if seen["looked"] > MOST_COUNTED else found


def _holds(whose: Reach) -> list[tuple[str, Hold]]:
    """What operators paused of what is within reach or shared by all, by its name."""
    seen = [
        hold for hold in pauses.held()
        if hold.subject.team_id is None or hold.subject.team_id in whose.sees
    ]  # fmt: skip
    names = tenants.names(hold.subject for hold in seen)
    return [(names[hold.subject], hold) for hold in seen]


def _waiting(whose: Reach) -> Waiting | None:
    busy = Lane.objects.filter(head__lte=F("tail")).order_by("id").values("pk")
    heads = GenerationJob.objects.filter(
        lane__in=busy[:MOST_LOOKED_THROUGH], seq=F("lane__head"), state=states.QUEUED
    )
    ours = whose.sees.narrow(heads, "team_id")
    job = ours.select_related("lane").order_by("created_at", "id").first()
    return Waiting(job, job.created_at) if job else None


def _failures(whose: Reach) -> list[GenerationJob]:
    """Those that failed last, among the newest that failed: an old one may have been retried."""
    newest = GenerationJob.objects.filter(state=states.FAILED).order_by("-id")
    looked = newest.values_list(Coalesce("failed_at", "created_at"), "pk", "team_id")[
        :MOST_LOOKED_THROUGH
    ]
    seen = whose.sees
    ours = sorted((at, pk) for at, pk, team in looked if seen.ids is None or team in seen)
    rows = GenerationJob.objects.in_bulk([pk for _, pk in ours[-LINES:]])
    return [rows[pk] for _, pk in reversed(ours[-LINES:]) if pk in rows]


def _named(jobs: list[GenerationJob]) -> list[tuple[GenerationJob, str]]:
    """The jobs, each with the name of its project."""
    wanted = {job.project_id for job in jobs}
    names = dict(Project.objects.filter(pk__in=wanted).values_list("pk", "name"))
    return [(job, names.get(job.project_id, job.project_id)) for job in jobs]


def _sessions(request: HttpRequest) -> list[tuple[Session, str]]:
    """The latest sessions, each with what it is about; by its name where nothing was asked."""
    rows = _latest(request)
    about = subjects([row.pk for row in rows])
    return [(row, about.get(row.pk, called(row))) for row in rows]


def _latest(request: HttpRequest) -> list[Session]:
    """The latest sessions: of all, by id, which is by time; of a member's latest project."""
    rows = Session.objects.select_related("project")
    if reach(request).is_whole:
        return list(rows.order_by("-id")[:LINES])
    project = latest_projects(request).first()
    return list(rows.filter(project=project).order_by("-started_at")[:LINES]) if project else []
