"""Lanes and pauses, each user seeing what is within reach."""

# Django gives these methods more than each of them needs.
# ruff: noqa: ARG002

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from observations import tenants
from observations.admin.filters import ProjectFilter
from observations.admin.reach import Scoped, projects, reach
from observations.models import Project, Team
from queueing.admin.lanes import BusyFilter, LaneAdmin
from queueing.admin.pauses import PauseAdmin
from queueing.models import Lane, Pause
from queueing.pauses import Subject


class MemoryLaneAdmin(LaneAdmin, Scoped[Lane]):
    """The queue's own page of lanes, with the names of their projects."""

    by_project = "id"
    one_project = True
    list_display: Any = ("shown_key", "project_name", *LaneAdmin.list_display[1:])
    list_filter: ClassVar[tuple[Any, ...]] = (ProjectFilter, BusyFilter)
    fields: ClassVar[tuple[Any, ...]] = ("key", "project_name", *LaneAdmin.fields[2:])
    readonly_fields: ClassVar[tuple[Any, ...]] = fields

    def within(self, request: HttpRequest, rows: QuerySet[Lane]) -> QuerySet[Lane]:
        """Lanes know their projects, not their teams."""
        if reach(request).is_whole:
            return rows
        return rows.filter(project_id__in=projects(request).values("pk"))

    def has_view_permission(self, request: HttpRequest, obj: Lane | None = None) -> bool:
        """Members see the lanes of their teams; those of others are never found."""
        return bool(reach(request).sees)

    def accompany(self, rows: list[Lane]) -> None:
        """Their heads, and the names of their projects."""
        super().accompany(rows)
        wanted = {row.project_id for row in rows}
        names = dict(Project.objects.filter(pk__in=wanted).values_list("pk", "name"))
        for row in rows:
            vars(row)["project_named"] = names.get(row.project_id)

    @admin.display(description="project")
    def project_name(self, lane: Lane) -> str:
        """The project's name; its id if it is gone."""
        if "project_named" not in vars(lane):
            self.accompany([lane])
        return vars(lane)["project_named"] or lane.project_id


class MemoryPauseAdmin(PauseAdmin):
    """The queue's own page of pauses, with the names of teams.

    A provider's or a queue's pause concerns everybody: members see it, superusers make and end it.
    A team's is seen by its members, and made and ended by its admins.
    """

    def get_queryset(self, request: HttpRequest) -> QuerySet[Pause]:
        """Pauses of what is shared, and of teams within reach."""
        rows = super().get_queryset(request)
        sees = reach(request).sees
        if sees.ids is None:
            return rows
        theirs = [f"{sort}:{team}" for sort in ("team", "quota") for team in sees.ids]
        shared = ~Q(subject__startswith="team:") & ~Q(subject__startswith="quota:")
        return rows.filter(Q(subject__in=theirs) | shared)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever is in a team may wonder why nothing happens."""
        return bool(reach(request).sees)

    def has_view_permission(self, request: HttpRequest, obj: Pause | None = None) -> bool:
        """Whoever is in a team may wonder why nothing happens."""
        return bool(reach(request).sees)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may act for a team pauses and resumes it."""
        return bool(reach(request).acts)

    def has_provider_permission(self, request: HttpRequest) -> bool:
        """Only who sees all teams tries for all of them."""
        return reach(request).is_whole

    def may_resume(self, request: HttpRequest, subject: Subject) -> bool:
        """Teams in whose name the user may act; what is shared only for who sees all teams."""
        if subject.kind == "team":
            return subject.name in reach(request).acts
        return reach(request).is_whole

    def choices(self, request: HttpRequest) -> list[tuple[str, str]]:
        """What is shared, for who sees all teams, and the teams in whose name the user may act."""
        shared = super().choices(request) if reach(request).is_whole else []
        teams = reach(request).acts.narrow(Team.objects.order_by("name"), "pk")
        named = teams.values_list("pk", "name")
        return [*shared, *((str(Subject("team", pk)), f"the team {name}") for pk, name in named)]

    def accompany(self, rows: list[Pause]) -> None:
        """The names of the teams that are paused."""
        super().accompany(rows)
        names = tenants.names(Subject.stored(row.subject) for row in rows)
        for row in rows:
            vars(row)["called"] = names[Subject.stored(row.subject)]

    def called(self, pause: Pause) -> str:
        """A team by its name; its id if it is gone."""
        if "called" not in vars(pause):
            self.accompany([pause])
        return str(vars(pause)["called"])


admin.site.unregister(Lane)
admin.site.register(Lane, MemoryLaneAdmin)
admin.site.unregister(Pause)
admin.site.register(Pause, MemoryPauseAdmin)
