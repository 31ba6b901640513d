"""Jobs, with the words of memory: whose they are, what they are about, what they made."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from observations.admin.filters import ProjectFilter
from observations.admin.gist import event_link, session_link
from observations.admin.reach import Scoped, projects
from observations.admin.said import called_so
from observations.captured import jobs_of
from observations.models import Event, Observation, Project, Session
from queueing import kinds
from queueing.admin.jobs import JobAdmin, KindFilter, StateFilter
from queueing.admin.lanes import LanePin
from queueing.browsing import NOTHING, Period, badge, link, once
from queueing.models import GenerationJob, Lane


class LaneOfOurs(LanePin):
    """The jobs of one lane within reach."""

    def describe(self, value: str, request: HttpRequest) -> str:
        """The lane's key; the value alone for one that is out of reach."""
        lane = Lane.objects.filter(pk=value).first() if value.isdecimal() else None
        ours = lane and projects(request).filter(pk=lane.project_id).exists()
        return str(lane) if ours else value


class MemoryJobAdmin(JobAdmin, Scoped[GenerationJob]):
    """The queue's own page of jobs, which knows only ids, with names and links."""

    team = "team_id"
    one_project = True

    list_filter: ClassVar[tuple[Any, ...]] = (
        ProjectFilter,
        StateFilter,
        KindFilter,
        Period,
        LaneOfOurs,
    )
    readonly_fields: ClassVar[tuple[str, ...]] = (*JobAdmin.readonly_fields, "made")
    fieldsets: ClassVar[tuple[Any, ...]] = (
        (None, {"fields": (("shown_state", "kind", "tries"), "error", "about", "made",
                           "project_name")}),
        *JobAdmin.fieldsets[1:],
    )  # fmt: skip

    def has_operate_permission(
        self, request: HttpRequest, obj: GenerationJob | None = None
    ) -> bool:
        """Admins of a team retry and cancel its jobs."""
        return Scoped.has_change_permission(self, request, obj)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[GenerationJob], search_term: str
    ) -> tuple[QuerySet[GenerationJob], bool]:
        """The job of that id, those of the event of that id, or all of the session of that id."""
        term = search_term.strip()
        if not term:
            return queryset, False
        lanes = Session.objects.filter(pk__in=called_so(request, term)).values_list("lane_key")
        found = list(Lane.objects.filter(key__in=lanes).values_list("pk", flat=True))
        if found:
            return queryset.filter(lane__in=found), False
        if ours := [job.pk for job in jobs_of([term]).values()]:
            return queryset.filter(pk__in=ours), False
        return super().get_search_results(request, queryset, term)

    def accompany(self, rows: list[GenerationJob]) -> None:
        """The names of the rows' projects."""
        names = _names({row.project_id for row in rows})
        for row in rows:
            vars(row)["project_named"] = names.get(row.project_id)

    @admin.display(description="project")
    def project_name(self, job: GenerationJob) -> str:
        """The project's name; its id if it is gone."""
        if "project_named" not in vars(job):
            self.accompany([job])
        return vars(job)["project_named"] or job.project_id

    @admin.display(description="about")
    @once
    def about(self, job: GenerationJob) -> SafeString | str:
        """The event or session that it is about."""
        if job.kind == kinds.SUMMARY.name:
            session = Session.objects.filter(pk=job.source_id).first()
            return session_link(session) if session else f"session {job.source_id} (gone)"
        event = Event.objects.filter(pk=job.source_id).first()
        return event_link(event) if event else f"event {job.source_id} (gone)"

    @admin.display(description="made")
    @once
    def made(self, job: GenerationJob) -> SafeString | str:
        """The observations that it made, found by indexes that they have for other reasons."""
        near = Q(sources__event=job.source_id)
        if job.kind == kinds.SUMMARY.name:
            near = Q(session=job.session_id, kind="summary")
        rows = Observation.objects.filter(near, created_by_job_id=job.pk).order_by("number")
        shown = ((link(Observation, row.pk, row), badge(row.kind)) for row in rows)
        return format_html_join("", "<div>{} {}</div>", shown) or NOTHING


def _names(ids: set[str]) -> dict[str, str]:
    return dict(Project.objects.filter(pk__in=ids).values_list("pk", "name"))


admin.site.unregister(GenerationJob)
admin.site.register(GenerationJob, MemoryJobAdmin)
