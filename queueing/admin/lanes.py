"""Lanes, to see where jobs wait."""

# Django gives these methods more than each of them needs.
# ruff: noqa: ARG002

from typing import Any, ClassVar, Final

from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from queueing.browsing import NOTHING, Pin, ReadOnly, badge, link, list_link, shortened
from queueing.models import GenerationJob, Lane

# So much of a key tells lanes apart.
KEY_LENGTH: Final = 24


class LanePin(Pin):
    """The jobs of one lane."""

    title = "lane"
    parameter_name = "lane"

    def narrow(self, value: str) -> Q:
        """The jobs of that lane. Raises ValidationError for what cannot be its number."""
        return Q(lane=Lane._meta.pk.clean(value, None))

    def describe(self, value: str, request: HttpRequest) -> str:
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


class LaneAdmin(ReadOnly[Lane]):
    """Lanes, the one that was made last first."""

    list_display: Any = ("shown_key", "waiting", "at_head", "woken_at", "jobs")
    list_filter: ClassVar[tuple[Any, ...]] = (BusyFilter,)
    search_fields = ("key__exact",)
    search_help_text = "The whole key of a lane"
    fields: ClassVar[tuple[Any, ...]] = (
        "key", "project_id", "waiting", "at_head", "head", "tail", "woken_at", "jobs",
    )  # fmt: skip
    readonly_fields: ClassVar[tuple[Any, ...]] = fields

    def accompany(self, rows: list[Lane]) -> None:
        """The job at the head of each busy lane."""
        heads = heads_of(rows)
        for row in rows:
            vars(row)["at_its_head"] = heads.get(row.pk)

    @admin.display(description="key", ordering="key")
    def shown_key(self, lane: Lane) -> str:
        """As much of the key as tells lanes apart; the whole of it is on the lane's page."""
        return shortened(lane.key, KEY_LENGTH)

    @admin.display(description="waiting")
    def waiting(self, lane: Lane) -> int:
        """How many jobs are in the lane, from its head to its tail."""
        return lane.tail - lane.head + 1

    @admin.display(description="at its head")
    def at_head(self, lane: Lane) -> SafeString | str:
        """The job that all others in the lane wait for."""
        if "at_its_head" not in vars(lane):
            self.accompany([lane])
        job = vars(lane)["at_its_head"]
        if job is None:
            return NOTHING
        return format_html("{} {}", link(GenerationJob, job.pk, job.kind), badge(job.state))

    @admin.display(description="jobs")
    def jobs(self, lane: Lane) -> SafeString:
        """A way to the lane's jobs."""
        return list_link(GenerationJob, "all jobs", lane=lane.pk)


def heads_of(lanes: list[Lane]) -> dict[int, GenerationJob]:
    """The job at the head of each of the lanes that has one, by the lane: one query."""
    wanted = Q()
    for lane in lanes:
        if lane.head <= lane.tail:
            wanted |= Q(lane=lane.pk, seq=lane.head)
    return {job.lane_id: job for job in GenerationJob.objects.filter(wanted)} if wanted else {}


admin.site.register(Lane, LaneAdmin)
