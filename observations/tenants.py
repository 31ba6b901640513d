"""Teams and projects as people name them: by id or by name. Nothing is made here."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import QuerySet

from observations.errors import InvalidInput, NotFound
from observations.models import Project, Team
from queueing import pauses
from queueing.pauses import Subject

# So many are named to whoever named none of them.
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Tenant:
    """The team, and its project where one was named; neither means everything there is."""

    team: Team | None = None
    project: Project | None = None

    @property
    def columns(self) -> dict[str, str]:
        """The rows that are meant, as columns that name a tenant have it."""
        if self.project:
            return {"project_id": self.project.id}
        return {"team_id": self.team.id} if self.team else {}

    @property
    def place(self) -> str:
        """What is meant, to be said behind something that belongs there or does not."""
        if self.project:
            return f" of the project {self.project.name}"
        return f" of the team {self.team.name}" if self.team else ""


def team(which: str) -> Team:
    """The team with this id or name. Raises NotFound, which names some that there are."""
    found = Team.objects.filter(pk=which).first() or Team.objects.filter(name=which).first()
    if found is None:
        raise NotFound(f"There is no team {which}{_known(Team.objects.order_by('name'))}")
    return found


def tenant(team_named: str | None, project_named: str | None) -> Tenant:
    """What is meant by a team's and a project's id or name, either of which may be left out.

    A project that was merged into another is that one. Raises NotFound; InvalidInput for a name
    that projects of several teams have.
    """
    if not project_named:
        return Tenant(team(team_named) if team_named else None)
    found = project(project_named, team_named)
    meant = found.merged_into or found
    return Tenant(meant.team, meant)


def project(project_named: str, team_named: str | None = None) -> Project:
    """The project of this id or name, also one that was merged into another.

    Raises NotFound; InvalidInput for a name that projects of several teams have.
    """
    owner = team(team_named) if team_named else None
    rows = Project.objects.select_related("team").order_by("name")
    rows = rows.filter(team=owner) if owner else rows
    found = list(rows.filter(pk=project_named)[:1]) or list(rows.filter(name=project_named)[:2])
    if len(found) > 1:
        raise InvalidInput(f"Several teams have a project {project_named}: name its team as well.")
    if not found:
        of_team = f" of the team {owner.name}" if owner else ""
        raise NotFound(f"There is no project {project_named}{of_team}{_known(rows)}")
    return found[0]


def subject(text: str) -> Subject:
    """What can be paused or resumed under this name; a team by its id or name.

    A team that is gone and still paused is known by its id. Raises UnknownSubject for what cannot
    be paused, NotFound for a team that there is not.
    """
    meant = Subject.parse(text)
    if meant.kind != "team" or meant in [hold.subject for hold in pauses.held()]:
        return meant
    return Subject("team", team(meant.name).id)


_SORTS = {"team": "team", "quota": "quota of team"}


def names(subjects: Iterable[Subject]) -> dict[Subject, str]:
    """Each subject as people know it: a team by its name, if it is there still."""
    held = list(subjects)
    ids = [each.name for each in held if each.team_id]
    known = dict(Team.objects.filter(pk__in=ids).values_list("pk", "name")) if ids else {}
    return {
        each: f"{_SORTS[each.kind]} {known[each.name]}" if each.name in known else str(each)
        for each in held
    }


def _known(rows: "QuerySet[Team] | QuerySet[Project]") -> str:
    found = [row.name for row in rows[: MOST_NAMED + 1]]
    if not found:
        return "; there is none yet."
    more = ", …" if len(found) > MOST_NAMED else ""
    verb = "is" if len(found) == 1 else "are"
    return f"; there {verb} {', '.join(found[:MOST_NAMED])}{more}."
