"""Lanes and pauses, each user seeing what is within reach."""

# Django gives these methods more than each of them needs.
# ruff: noqa: ARG002

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from observations.admin.filters import ProjectFilter
from observations.admin.reach import Scoped, projects, reach
from observations.models import Project
from queueing.admin.lanes import BusyFilter, LaneAdmin
from queueing.admin.pauses import PauseAdmin
from queueing.models import Lane, Pause


class MemoryLaneAdmin(LaneAdmin, Scoped[Lane]):
    """The queue's own page of lanes, with the names of their projects."""

    by_project = "id"
    one_project = True
    list_display: Any = ("key", "project_name", *LaneAdmin.list_display[1:])
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
    """A pause concerns everybody: members see it, superusers end it."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever is in a team may wonder why nothing happens."""
        return bool(reach(request).sees)

    def has_view_permission(self, request: HttpRequest, obj: Pause | None = None) -> bool:
        """Whoever is in a team may wonder why nothing happens."""
        return bool(reach(request).sees)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Only who sees all teams tries for all of them."""
        return reach(request).is_whole


admin.site.unregister(Lane)
admin.site.register(Lane, MemoryLaneAdmin)
admin.site.unregister(Pause)
admin.site.register(Pause, MemoryPauseAdmin)
