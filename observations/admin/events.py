"""Events in the admin: what hooks and clients reported, to be read."""

# Django gives these methods more than each of them needs.

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from observations.admin.filters import ProjectFilter, SessionPin
from observations.admin.gist import gist, place_link, session_link
from observations.admin.reach import Scoped
from observations.admin.said import called_so, prompts
from observations.captured import jobs_of
from observations.models import Event, Observation, ObservationSource
from queueing.browsing import NOTHING, Period, ReadOnly, Words, badge, link, list_link, once, pretty
from queueing.models import GenerationJob


class TypeFilter(Words):
    """The events that Claude Code's hooks report; others are found through their session."""

    title = "type"
    parameter_name = "event_type"
    words = (
        "SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "PostToolUseFailure",
        "SubagentStop", "PreCompact", "Stop", "SessionEnd",
    )  # fmt: skip


class EventAdmin(ReadOnly[Event], Scoped[Event]):
    """Events, newest first."""

    by_project = "received_at"
    one_project = True
    list_display = (
        "received_at", "event_type", "about", "project", "session_link", "made", "cut_count",
    )  # fmt: skip
    list_filter = (ProjectFilter, TypeFilter, Period, SessionPin)
    list_select_related = ("project", "session")
    search_fields = ("id__exact",)
    search_help_text = "An id, or words of a prompt"
    fieldsets = (
        (None, {"fields": ("event_type", "about", ("project", "place"),
                           ("occurred_at", "received_at"))}),
        ("What became of it", {"fields": ("jobs", "observations", "cut")}),
        ("Payload", {"fields": ("shown_payload",)}),
        ("Delivery", {"classes": ["collapse"],
                      "fields": ("id", "team", "source_adapter", "source_event_id",
                                 "platform_source", "dedupe_key", "shown_metadata")}),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        """Events with what they belong to: every page names it."""
        return super().get_queryset(request).select_related("project", "team", "session")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Event], search_term: str
    ) -> tuple[QuerySet[Event], bool]:
        """The event of that id, those of the session of that id, or prompts with those words."""
        term = search_term.strip()
        if not term:
            return queryset, False
        sessions = called_so(request, term)
        if sessions:
            return queryset.filter(session__in=sessions), False
        if queryset.filter(pk=term).exists():
            return queryset.filter(pk=term), False
        found = prompts(request, term).values_list("pk", flat=True)
        return queryset.filter(pk__in=list(found)), False

    def accompany(self, rows: list[Event]) -> None:
        """How many observations were made of each event, and its job."""
        ids = [row.pk for row in rows]
        of_events = ObservationSource.objects.filter(event__in=ids).values_list("event")
        counts = dict(of_events.annotate(Count("pk")).order_by())
        jobs = jobs_of(ids)
        for row in rows:
            vars(row)["companions"] = counts.get(row.pk, 0), jobs.get(row.pk)

    @admin.display(description="observations")
    def made(self, event: Event) -> SafeString | str:
        """Its observations, or the state of the job that is to make them."""
        count, job = vars(event).get("companions", (0, None))
        if count:
            return list_link(Observation, count, event=event.pk)
        return link(GenerationJob, job.pk, badge(job.state)) if job else NOTHING

    @admin.display(description="about")
    def about(self, event: Event) -> str:
        """The payload in a line."""
        return gist(event.payload) or NOTHING

    @admin.display(description="session")
    def session_link(self, event: Event) -> SafeString | str:
        """The way to its session."""
        return session_link(event.session) if event.session else NOTHING

    @admin.display(description="in its session")
    def place(self, event: Event) -> SafeString | str:
        """The way to where it stands in the timeline of its session."""
        if event.session is None or event.number is None:
            return NOTHING
        return place_link(event.session, event.number)

    @admin.display(description="removed")
    def cut_count(self, event: Event) -> str:
        """How many pieces were cut out before it was stored."""
        return str(sum(_removed(event).values()) or NOTHING)

    @admin.display(description="removed at the door")
    def cut(self, event: Event) -> str:
        """What was cut out before it was stored, by rule."""
        counted = (f"{rule} × {count}" for rule, count in sorted(_removed(event).items()))
        return ", ".join(counted) or NOTHING

    @admin.display(description="jobs")
    @once
    def jobs(self, event: Event) -> SafeString | str:
        """The jobs that work on it."""
        jobs = jobs_of([event.pk]).values()
        shown = ((link(GenerationJob, job.pk, job), badge(job.state)) for job in jobs)
        return format_html_join("", "<div>{} {}</div>", shown) or "None: it is kept as it is."

    @admin.display(description="observations")
    @once
    def observations(self, event: Event) -> SafeString | str:
        """What was made of it."""
        rows = Observation.objects.filter(sources__event=event).order_by("number")
        shown = ((link(Observation, row.pk, row), badge(row.kind)) for row in rows)
        return format_html_join("", "<div>{} {}</div>", shown) or NOTHING

    @admin.display(description="payload")
    def shown_payload(self, event: Event) -> SafeString | str:
        """What was reported, after the door's rules."""
        return format_html('<div class="wide">{}</div>', pretty(event.payload))

    @admin.display(description="metadata")
    def shown_metadata(self, event: Event) -> SafeString | str:
        """What the client added."""
        return pretty(event.metadata)


def _removed(event: Event) -> dict[str, int]:
    counts = event.removed if isinstance(event.removed, dict) else {}
    return {rule: count for rule, count in counts.items() if isinstance(count, int)}


admin.site.register(Event, EventAdmin)
