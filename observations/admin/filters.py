"""Narrowing a list: to a project, or to what a link from another page points at."""

# Django gives these methods more than each of them needs.
# ruff: noqa: ARG002

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from observations.models import Project, Session
from queueing.browsing import Pin

# A menu of more projects than this is no menu; the project's own page leads to its lists.
MOST_PROJECTS = 100


class ProjectFilter(admin.SimpleListFilter):
    """One project. With it, lists are in the order of the index that starts with the project."""

    title = "project"
    parameter_name = "project"
    column = "project_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The first projects by name, and the chosen one."""
        projects = Project.objects.select_related("team").order_by("name", "team__name")
        rows = list(projects[:MOST_PROJECTS])
        chosen = self.value()
        if chosen and chosen not in {row.id for row in rows}:
            rows += projects.filter(pk=chosen)
        teams = {row.team_id for row in rows}
        return [(row.id, full_name(row) if len(teams) > 1 else row.name) for row in rows]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """What belongs to the project, or everything."""
        return queryset.filter(**{self.column: self.value()}) if self.value() else queryset


class SessionPin(Pin):
    """What belongs to one session."""

    title = "session"
    parameter_name = "session"

    def describe(self, value: str) -> str:
        """The session's name."""
        found = Session.objects.filter(pk=value).first()
        return str(found) if found else value


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
