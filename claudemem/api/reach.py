"""What a caller can reach: rows of its team, and of its project where the key is bound to one."""

import re
from collections import Counter
from typing import TypeVar

from django.db.models import Count, Q, QuerySet

from observations.errors import InvalidInput, NotFound
from observations.keys import Principal
from observations.models import ApiKey, Event, Observation, Project, Session
from observations.sessions import foreign, require_project
from queueing import states
from queueing.errors import JobNotFound
from queueing.models import GenerationJob

# Ids of ours are longer, and have letters in them or dashes.
_NUMBER = re.compile(r"[0-9]{1,18}")

OTHER_PROJECT = "API key is scoped to a different project"

Row = TypeVar("Row", Event, Session)


def check_project(principal: Principal, project_id: str) -> None:
    """Raise Forbidden if the key is bound to another project.

    One that was merged into the key's is that one. That the project is the team's is checked where
    it is used.
    """
    bound = principal.project_id
    if bound in (None, project_id) or with_merged(principal).filter(pk=project_id).exists():
        return
    raise foreign(project_id, OTHER_PROJECT)


def project(principal: Principal, project_id: str) -> str:
    """The id of the project that is meant, if the caller may look into it. Raises Forbidden."""
    check_project(principal, project_id)
    if principal.project_id is None and principal.team_id is not None:
        return require_project(principal.team_id, project_id)
    return principal.project_id or project_id


def listed_project(principal: Principal, project_id: str | None) -> str:
    """The project of which a list is shown: the one that is named, or that of the key.

    Raises InvalidInput for a team's key without a name, Forbidden.
    """
    named = project_id or principal.project_id
    if named is None:
        raise InvalidInput("a team's key names a project", ("projectId",))
    return project(principal, named)


def projects(principal: Principal) -> QuerySet[Project]:
    """The caller's project, or all of its team but those that were merged into others."""
    rows = Project.objects.filter(team_id=principal.team_id)
    if principal.project_id:
        return rows.filter(pk=principal.project_id)
    return rows.filter(merged_into__isnull=True)


def with_merged(principal: Principal) -> QuerySet[Project]:
    """The same with those that were merged into them."""
    rows, bound = Project.objects.filter(team_id=principal.team_id), principal.project_id
    return rows.filter(Q(pk=bound) | Q(merged_into=bound)) if bound else rows


def observations(principal: Principal) -> QuerySet[Observation]:
    """The observations of the caller's project, or of its whole team."""
    rows = Observation.objects.filter(team_id=principal.team_id)
    return rows.filter(project_id=principal.project_id) if principal.project_id else rows


def observation_id(principal: Principal, named: str) -> str:
    """The id of the observation that is named by it, or by its number. Raises NotFound.

    Another team's is not there, nor is another project's.
    """
    rows = observations(principal)
    number = _NUMBER.fullmatch(named)
    rows = rows.filter(number=int(named)) if number else rows.filter(id=named)
    found = rows.values_list("id", flat=True).first()
    if found is None:
        raise NotFound("Observation not found")
    return found


def sees_project(principal: Principal, project_id: str) -> bool:
    """Whether there is such a project among the caller's."""
    return projects(principal).filter(pk=project_id).exists()


def event(principal: Principal, event_id: str) -> Event:
    """The event. NotFound where it is another team's, Forbidden where another project's."""
    return _owned(Event.objects.all(), principal, event_id, "Event not found")


def session(principal: Principal, session_id: str) -> Session:
    """The session. NotFound where it is another team's, Forbidden where another project's."""
    return _owned(Session.objects.all(), principal, session_id, "Session not found")


def jobs(principal: Principal) -> QuerySet[GenerationJob]:
    """The jobs of the caller's project, or of its whole team."""
    if principal.project_id:
        # It stays with its team, and so do its jobs: to ask for that as well would have all of
        # them read where they are only counted, which the index of the project can do alone.
        return GenerationJob.objects.filter(project_id=principal.project_id)
    return GenerationJob.objects.filter(team_id=principal.team_id)


def keys(principal: Principal) -> QuerySet[ApiKey]:
    """The keys of the caller's project, or of its whole team."""
    rows = ApiKey.objects.filter(team_id=principal.team_id)
    return rows.filter(project_id=principal.project_id) if principal.project_id else rows


def open_jobs(principal: Principal) -> Counter[tuple[str, str]]:
    """How many of them wait or are worked, by kind and state."""
    rows = jobs(principal).filter(state__in=states.OPEN).order_by()
    counted = rows.values_list("kind", "state").annotate(count=Count("pk"))
    return Counter({(kind, state): count for kind, state, count in counted})


def job(principal: Principal, job_id: str) -> GenerationJob:
    """The job. JobNotFound where it is not among the caller's."""
    found = jobs(principal).filter(pk=job_id).first()
    if found is None:
        raise JobNotFound
    return found


def _owned(rows: QuerySet[Row], principal: Principal, pk: str, missing: str) -> Row:
    found = rows.filter(pk=pk, team_id=principal.team_id).first()
    if found is None:
        raise NotFound(missing)
    check_project(principal, found.project_id)
    return found
