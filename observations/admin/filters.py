"""Narrowing a list: to a project, or to what a link from another page points at."""

# Django gives these methods more than each of them needs.
# ruff: noqa: ARG002

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Concat
from django.http import HttpRequest

from observations.admin.reach import projects, reach
from observations.models import Project, Session, Team
from queueing.browsing import MOST_FILTERED, Pin, age, not_older

# A menu of more projects than this is no menu; the project's own page leads to its lists.
MOST_PROJECTS = 100


class ProjectFilter(admin.SimpleListFilter):
    """One project. With it, lists are in the order of the index that starts with the project.

    First among the filters of a list: those behind it look through what it leaves.
    """

    title = "project"
    parameter_name = "project"
    column = "project_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The first projects by name, and the chosen one."""
        self.shows_all = reach(request).is_whole
        named = projects(request).select_related("team").order_by("name", "team__name")
        rows = list(named[:MOST_PROJECTS])
        chosen = self.value()
        if chosen and chosen not in {row.id for row in rows}:
            rows += named.filter(pk=chosen)
        teams = {row.team_id for row in rows}
        return [(row.id, full_name(row) if len(teams) > 1 else row.name) for row in rows]

    def choices(self, changelist: Any) -> Iterator[Any]:
        """The projects, and all of them together for those who may see all."""
        return islice(super().choices(changelist), 0 if self.shows_all else 1, None)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """What belongs to the project, or everything."""
        if not self.value():
            return queryset
        if not request.GET.get("q"):
            return queryset.filter(**{self.column: self.value()})
        # What is searched for is found by other indices; SQLite would think this one better.
        plain: QuerySet[Any] = queryset.alias(unindexed=Concat(self.column, Value("")))
        return plain.filter(unindexed=self.value())


class TeamFilter(admin.SimpleListFilter):
    """One team, where several are within reach."""

    title = parameter_name = "team"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The first teams by name."""
        teams = reach(request).sees.narrow(Team.objects.order_by("name"), "pk")
        return list(teams.values_list("pk", "name")[:MOST_PROJECTS])

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """What belongs to the team, or everything."""
        return queryset.filter(team_id=self.value()) if self.value() else queryset


class SessionPin(Pin):
    """What belongs to one session."""

    title = "session"
    parameter_name = "session"

    def describe(self, value: str, request: HttpRequest) -> str:
        """The session's name."""
        found = reach(request).sees.narrow(Session.objects.filter(pk=value)).first()
        return str(found) if found else value


class _FacetPin(Pin):
    """Where a session began, looked for among the newest: no index leads there."""

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.by_age = age(request, model_admin)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those that began there, or all."""
        if not self.value():
            return queryset
        return super().queryset(request, not_older(queryset, MOST_FILTERED, self.by_age))


class BranchPin(_FacetPin):
    """Sessions on one branch."""

    title = parameter_name = "branch"


class PartPin(_FacetPin):
    """Sessions in one part of a repository."""

    title = parameter_name = "part"


class EventPin(Pin):
    """What was made of one event."""

    title = "source"
    parameter_name = "event"

    def narrow(self, value: str) -> Q:
        """The observations that name the event as their source."""
        return Q(sources__event=value)


def full_name(project: Project) -> str:
    """A project's name with its team's, for where several teams are shown."""
    return f"{project.team.name} / {project.name}"
