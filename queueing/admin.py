"""Jobs and lanes in the admin: to be read, and jobs to be retried and cancelled."""

# Django gives these methods more than each of them needs.
# ruff: noqa: ARG002

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from queueing import kinds, operations, states
from queueing.browsing import (
    NOTHING,
    Period,
    Pin,
    ReadOnly,
    Words,
    badge,
    brief,
    by_user,
    list_link,
    pretty,
    shortened,
)
from queueing.errors import JobConflict, JobNotFound
from queueing.models import GenerationJob, GenerationJobEvent, Lane

if TYPE_CHECKING:
    _Inline = admin.TabularInline[GenerationJobEvent, GenerationJob]
else:
    _Inline = admin.TabularInline

# Where an action that was started on a job's own page leads back to.
RETURN_TO_JOB = "return-to-job"


class StateFilter(Words):
    """The states of a job, as they are on the wire."""

    title = parameter_name = "state"
    words = states.ALL


class KindFilter(Words):
    """The kinds of jobs."""

    title = parameter_name = "kind"
    words = tuple(kinds.BY_NAME)


class LanePin(Pin):
    """The jobs of one lane."""

    title = "lane"
    parameter_name = "lane"

    def describe(self, value: str) -> str:
        """The lane's key."""
        found = Lane.objects.filter(pk=value) if value.isdecimal() else Lane.objects.none()
        return found.values_list("key", flat=True).first() or value


class BusyFilter(admin.SimpleListFilter):
    """Whether something waits in a lane."""

    title = "activity"
    parameter_name = "busy"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Busy or idle."""
        return [("yes", "Jobs waiting"), ("no", "Idle")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Lane]) -> QuerySet[Lane]:
        """Lanes with a job at their head, or those without."""
        if self.value() == "yes":
            return queryset.filter(head__lte=F("tail"))
        return queryset.filter(head__gt=F("tail")) if self.value() == "no" else queryset


class HistoryInline(_Inline):
    """Every transition of a job, oldest first."""

    model = GenerationJobEvent
    verbose_name_plural = "history"
    fields = readonly_fields = ("created_at", "what", "attempt", "notes")
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: GenerationJob | None = None) -> bool:
        """History is only written by transitions."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """History is never edited."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may see the job may see its history."""
        return True

    @admin.display(description="what happened")
    def what(self, row: GenerationJobEvent) -> SafeString:
        """The transition, and the state that it led to where that is another word."""
        after = badge(row.state_after)
        return after if row.event == row.state_after else _arrow(badge(row.event), after)

    @admin.display(description="details")
    def notes(self, row: GenerationJobEvent) -> SafeString | str:
        """Why, and by whom; where Flower is known, the task leads there."""
        details = row.details
        task = details.get("task") if isinstance(details, dict) else None
        if not task or not settings.FLOWER_URL:
            return brief(details)
        rest = brief({name: value for name, value in details.items() if name != "task"})
        address = f"{settings.FLOWER_URL}/task/{task}"
        return format_html('{}, task: <a href="{}">{}</a>', rest, address, task)


class JobAdmin(ReadOnly[GenerationJob]):
    """Jobs: read-only but for retry and cancel, which go through `operations`."""

    list_display = (
        "created_at", "kind", "shown_state", "tries", "project_name", "lane_name", "error",
    )  # fmt: skip
    list_filter: ClassVar[tuple[Any, ...]] = (StateFilter, KindFilter, Period, LanePin)
    list_select_related = ("lane",)
    search_fields = ("id__exact", "queue_job_id__exact", "source_id__exact")
    search_help_text = "The id of a job, of its message in the queue, or of what it is about."
    actions = ("retry_jobs", "cancel_jobs")
    inlines = (HistoryInline,)
    fieldsets: ClassVar[tuple[Any, ...]] = (
        (None, {"fields": (("shown_state", "kind", "tries"), "error", "about", "project_name")}),
        (None, {"fields": (("created_at", "due_at", "ended"), "lease")}),
        (
            "Delivery",
            {
                "classes": ["collapse"],
                "fields": ("lane_name", ("seq", "token", "retried_count"), ("covers", "size"),
                           "id", "queue_job_id", "requested", "full_error"),
            },
        ),
    )  # fmt: skip
    readonly_fields: ClassVar[tuple[str, ...]] = (
        "shown_state", "tries", "error", "about", "project_name", "lease", "ended", "lane_name",
        "requested", "full_error",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[GenerationJob]:
        """Jobs with their lanes: every page names them."""
        return super().get_queryset(request).select_related("lane")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may retry and cancel: those who may change jobs, though none is edited by hand."""
        return request.user.has_perm("queueing.change_generationjob")

    @admin.action(description="Retry selected jobs", permissions=["operate"])
    def retry_jobs(
        self, request: HttpRequest, queryset: QuerySet[GenerationJob]
    ) -> HttpResponse | None:
        """Queue failed and cancelled jobs again; say what was refused."""

        def one(job_id: str) -> str:
            done = operations.retry(job_id, by_user(request))
            return "queued already; nudged again" if done.already_queued else "queued again"

        return self._operate(request, queryset, one)

    @admin.action(description="Cancel selected jobs", permissions=["operate"])
    def cancel_jobs(
        self, request: HttpRequest, queryset: QuerySet[GenerationJob]
    ) -> HttpResponse | None:
        """Cancel jobs that are not completed; say what was refused."""

        def one(job_id: str) -> str:
            done = operations.cancel(job_id, by_user(request))
            return "cancelled already" if done.already_cancelled else "cancelled"

        return self._operate(request, queryset, one)

    def _operate(
        self,
        request: HttpRequest,
        queryset: QuerySet[GenerationJob],
        operation: Callable[[str], str],
    ) -> HttpResponse | None:
        # Oldest first: jobs that are queued again keep the order in which they came.
        chosen = list(queryset.order_by("id").values_list("pk", flat=True))
        outcomes: dict[tuple[int, str], list[str]] = defaultdict(list)
        for job_id in chosen:
            try:
                outcomes[messages.SUCCESS, operation(job_id)].append(job_id)
            except (JobConflict, JobNotFound) as refusal:
                outcomes[messages.ERROR, str(refusal)].append(job_id)
        for (level, text), ids in outcomes.items():
            self.message_user(request, _told(text, ids), level)
        if RETURN_TO_JOB in request.POST and chosen:
            return HttpResponseRedirect(
                reverse("admin:queueing_generationjob_change", args=[chosen[0]])
            )
        return None

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """A job's page offers the operations that its state allows."""
        job = kwargs.get("obj")
        if isinstance(job, GenerationJob) and self.has_operate_permission(request):
            context["can_retry"] = job.state in (states.FAILED, states.CANCELLED)
            context["can_cancel"] = job.state in states.OPEN
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="state")
    def shown_state(self, job: GenerationJob) -> SafeString:
        """The state as a coloured word."""
        return badge(job.state)

    @admin.display(description="attempts")
    def tries(self, job: GenerationJob) -> str:
        """How much of the retry budget is used."""
        return f"{job.attempts} of {job.max_attempts}"

    @admin.display(description="last error")
    def error(self, job: GenerationJob) -> str:
        """Why the last attempt failed, in its own words."""
        details = job.last_error
        return str(details.get("reason", "")) if isinstance(details, dict) else NOTHING

    @admin.display(description="last error, in full")
    def full_error(self, job: GenerationJob) -> SafeString | str:
        """All that is known of the last failure."""
        return pretty(job.last_error)

    @admin.display(description="requested by")
    def requested(self, job: GenerationJob) -> SafeString | str:
        """Who asked for the job, and by what route."""
        return pretty(job.origin)

    @admin.display(description="lane")
    def lane_name(self, job: GenerationJob) -> SafeString:
        """The lane's key, leading to all of its jobs."""
        return list_link(GenerationJob, shortened(job.lane.key, 24), lane=job.lane_id)

    @admin.display(description="project")
    def project_name(self, job: GenerationJob) -> str:
        """Whose job it is; only the id is known here."""
        return job.project_id

    @admin.display(description="about")
    def about(self, job: GenerationJob) -> SafeString | str:
        """What the job is about; only the id is known here."""
        return f"{job.source_type} {job.source_id}"

    @admin.display(description="lease")
    def lease(self, job: GenerationJob) -> str:
        """Who works on it, and until when that is certain."""
        if job.lease_until is None:
            return NOTHING
        return f"{job.leased_by or 'a worker'} until {job.lease_until:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="ended")
    def ended(self, job: GenerationJob) -> str:
        """When it came to a final state."""
        at = {
            states.COMPLETED: job.completed_at,
            states.FAILED: job.failed_at,
            states.CANCELLED: job.cancelled_at,
        }.get(job.state)
        return f"{at:%Y-%m-%d %H:%M:%S}" if at else NOTHING


class LaneAdmin(ReadOnly[Lane]):
    """Lanes, to see where jobs wait."""

    list_display = ("key", "waiting", "head", "tail", "woken_at", "jobs")
    list_filter = (BusyFilter,)
    search_fields = ("key__exact",)
    search_help_text = "The whole key of a lane."
    fields = readonly_fields = ("key", "project_id", "waiting", "head", "tail", "woken_at", "jobs")

    @admin.display(description="waiting")
    def waiting(self, lane: Lane) -> int:
        """How many jobs are in the lane, from its head to its tail."""
        return lane.tail - lane.head + 1

    @admin.display(description="jobs")
    def jobs(self, lane: Lane) -> SafeString:
        """A way to the lane's jobs."""
        return list_link(GenerationJob, "all jobs", lane=lane.pk)


def _arrow(before: SafeString, after: SafeString) -> SafeString:
    return format_html("{} → {}", before, after)


def _told(text: str, ids: list[str]) -> str:
    """An outcome and the jobs that it concerns; the first few by id."""
    named = ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
    return f"{len(ids)} job{'s' if len(ids) > 1 else ''} {named}: {text}"


admin.site.register(GenerationJob, JobAdmin)
admin.site.register(Lane, LaneAdmin)
