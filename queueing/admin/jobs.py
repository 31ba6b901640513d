"""Jobs in the admin: to be read, retried and cancelled."""

# Django gives these methods more than each of them needs.
# ruff: noqa: ARG002

from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet, Value
from django.db.models.functions import Concat
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from queueing import identity, kinds, pauses, states, whereabouts
from queueing.admin.lanes import LanePin, heads_of
from queueing.admin.operating import CANCEL, RETRY, ask_or_do
from queueing.browsing import (
    MOST_FILTERED,
    NOTHING,
    AtLeast,
    Period,
    ReadOnly,
    Words,
    badge,
    brief,
    link,
    list_link,
    not_older,
    once,
    pretty,
    shortened,
)
from queueing.models import GenerationJob, GenerationJobEvent

if TYPE_CHECKING:
    _Inline = admin.TabularInline[GenerationJobEvent, GenerationJob]
else:
    from unfold.admin import TabularInline as _Inline


# So many jobs before one in its lane are counted.
MOST_AHEAD = 500
# So much of a last error is shown in a list, in characters.
MOST_OF_ERROR = 160


class StateFilter(Words):
    """The states of a job, as they are on the wire."""

    title = parameter_name = "state"
    indexed = True
    words = states.ALL

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[GenerationJob]
    ) -> QuerySet[GenerationJob]:
        """The jobs in that state, or all.

        Most are completed: the newest of those are found sooner among the newest of all than by
        the index of states, which would have all of them sorted first.
        """
        if self.value() != states.COMPLETED:
            return super().queryset(request, queryset)
        newest = not_older(queryset, MOST_FILTERED)
        return newest.alias(unindexed=Concat("state", Value(""))).filter(unindexed=self.value())


class KindFilter(Words):
    """The kinds of jobs."""

    title = parameter_name = "kind"
    words = tuple(kinds.BY_NAME)


class HistoryInline(_Inline):
    """Every transition of a job, oldest first."""

    model = GenerationJobEvent
    verbose_name_plural = "history"
    fields = readonly_fields = ("created_at", "what", "attempt", "notes")
    # The lines speak for themselves.
    hide_title = True
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
        details = _readable(row.details)
        task = details.get("task") if isinstance(details, dict) else None
        if not task or not settings.FLOWER_URL:
            return brief(details)
        rest = brief({name: value for name, value in details.items() if name != "task"})
        address = f"{settings.FLOWER_URL}/task/{task}"
        return format_html('{}, task: <a href="{}">{}</a>', rest, address, task)


class JobAdmin(ReadOnly[GenerationJob]):
    """Jobs: read-only but for retry and cancel, which go through `operations`."""

    # With ids in the order of time, the index behind the project.
    by_project = "id"
    list_display = (
        "created_at", "kind", "shown_state", "tries", "project_name", "lane_name", "brief_error",
    )  # fmt: skip
    list_filter: ClassVar[tuple[Any, ...]] = (StateFilter, KindFilter, Period, LanePin)
    list_select_related = ("lane",)
    search_fields = ("id__exact", "queue_job_id__exact")
    search_help_text = "The id of a job, event or session"
    actions = ("retry_jobs", "cancel_jobs")
    inlines = (HistoryInline,)
    fieldsets: ClassVar[tuple[Any, ...]] = (
        (None, {"fields": (("shown_state", "kind", "tries"), "error", "about", "project_name")}),
        (None, {"fields": (("created_at", "due_at", "ended"), "lease")}),
        ("Its place in line", {"fields": ("lane_name", "position", "ahead")}),
        (
            "Delivery",
            {
                "classes": ["collapse"],
                "fields": (("seq", "token", "retried_count"), ("covers", "size"),
                           "id", "queue_job_id", "requested", "full_error"),
            },
        ),
    )  # fmt: skip
    readonly_fields: ClassVar[tuple[str, ...]] = (
        "shown_state", "tries", "error", "about", "project_name", "lease", "ended", "lane_name",
        "requested", "full_error", "position", "ahead",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[GenerationJob]:
        """Jobs with their lanes: every page names them."""
        return super().get_queryset(request).select_related("lane")

    def has_operate_permission(
        self, request: HttpRequest, obj: GenerationJob | None = None
    ) -> bool:
        """Who may retry and cancel: those who may change jobs, though none is edited by hand."""
        return request.user.has_perm("queueing.change_generationjob")

    @admin.action(description="Retry selected jobs", permissions=["operate"])
    def retry_jobs(
        self, request: HttpRequest, queryset: QuerySet[GenerationJob]
    ) -> HttpResponse | None:
        """Queue failed and cancelled jobs again, once confirmed; say what was refused."""
        return ask_or_do(self, request, queryset, RETRY)

    @admin.action(description="Cancel selected jobs", permissions=["operate"])
    def cancel_jobs(
        self, request: HttpRequest, queryset: QuerySet[GenerationJob]
    ) -> HttpResponse | None:
        """Cancel jobs that are not completed, once confirmed; say what was refused."""
        return ask_or_do(self, request, queryset, CANCEL)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """A job's page offers the operations that its state allows."""
        job = kwargs.get("obj")
        if isinstance(job, GenerationJob) and self.has_operate_permission(request, job):
            given_up = job.state in (states.FAILED, states.CANCELLED)
            context["can_retry"] = given_up or _is_stalled(job)
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

    @admin.display(description="last error")
    def brief_error(self, job: GenerationJob) -> str:
        """As much of it as fits into a list: a provider may have answered with a page."""
        return shortened(self.error(job), MOST_OF_ERROR)

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

    @admin.display(description="position")
    @once
    def position(self, job: GenerationJob) -> str:
        """Which place the job has among those that wait in its lane."""
        if job.state not in states.OPEN:
            return "It waits no more."
        before = list(_before(job).values_list("pk", flat=True)[: MOST_AHEAD + 1])
        if not before:
            return _held(job) or "At the head: it is its turn."
        return f"{AtLeast(MOST_AHEAD) if len(before) > MOST_AHEAD else len(before)} before it"

    @admin.display(description="ahead of it")
    @once
    def ahead(self, job: GenerationJob) -> SafeString | str:
        """The job at the head of its lane, which must end before any other there begins."""
        head = heads_of([job.lane]).get(job.lane_id)
        if head is None or head.pk == job.pk or job.state not in states.OPEN:
            return NOTHING
        waits = f"due {head.due_at:%Y-%m-%d %H:%M:%S}" if head.state == states.QUEUED else ""
        return format_html("{} {} {}", link(GenerationJob, head.pk, head), badge(head.state), waits)

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
        holder = identity.shown(job.leased_by) or "a worker"
        return f"{holder} until {job.lease_until:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="ended")
    def ended(self, job: GenerationJob) -> str:
        """When it came to a final state."""
        at = {
            states.COMPLETED: job.completed_at,
            states.FAILED: job.failed_at,
            states.CANCELLED: job.cancelled_at,
        }.get(job.state)
        return f"{at:%Y-%m-%d %H:%M:%S}" if at else NOTHING


def _readable(details: Any) -> Any:
    """Details of a line of history, with the worker by its host and number."""
    if isinstance(details, dict) and "worker" in details:
        return {**details, "worker": identity.shown(str(details["worker"]))}
    return details


def _is_stalled(job: GenerationJob) -> bool:
    return job.lease_until is not None and whereabouts.find(job.pk).is_stalled


def _held(job: GenerationJob) -> str:
    """That an operator holds it, or a quota, and why."""
    found = [hold for hold in pauses.held() if hold.subject.covers(job.kind, job.team_id)]
    told = "; ".join(f"{hold.subject.kind} ({hold.reason or 'no reason given'})" for hold in found)
    by = "by an operator" if any(hold.subject.kind != "quota" for hold in found) else "for now"
    return f"At the head, but paused {by}: {told}." if told else ""


def _before(job: GenerationJob) -> QuerySet[GenerationJob]:
    """The jobs that are to end before this one may begin."""
    line = GenerationJob.objects.filter(lane=job.lane_id, seq__gte=job.lane.head, seq__lt=job.seq)
    return line.filter(state__in=states.OPEN)


def _arrow(before: SafeString, after: SafeString) -> SafeString:
    return format_html("{} → {}", before, after)


admin.site.register(GenerationJob, JobAdmin)
