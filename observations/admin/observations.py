"""Observations in the admin: searched, read with what they were made of, deleted."""

# Django gives these methods more than each of them needs.
# ruff: noqa: ARG002

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from observations.admin.filters import EventPin, ProjectFilter, SessionPin
from observations.generate import mode
from observations.models import Event, Observation, Session
from queueing.browsing import NOTHING, Browsed, Period, Words, badge, link, pretty
from queueing.models import GenerationJob


class KindFilter(Words):
    """The types of the mode in force, and the summary."""

    title = parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Every such kind."""
        return [(kind, kind) for kind in (*(one.id for one in mode().types), "summary")]


class ObservationAdmin(Browsed[Observation]):
    """Observations, newest first: to be read or deleted, never edited."""

    by_project = "occurred_at"
    list_display = ("headline", "shown_kind", "project", "session_link", "occurred_at")
    list_filter = (KindFilter, ProjectFilter, Period, SessionPin, EventPin)
    list_select_related = ("project", "session")
    search_fields = ("title__icontains", "content__icontains")
    search_help_text = "Words of the title or text."
    fieldsets = (
        (None, {"fields": ("shown_kind", "title", "subtitle", "text", "shown_facts",
                           "shown_concepts", "read", "modified")}),
        ("Where it is from", {"fields": ("project", "session_link", "sources", "job",
                                         "occurred_at", "created_at")}),
        ("Details", {"classes": ["collapse"],
                     "fields": ("number", "id", "team", "shown_metadata")}),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Observation]:
        """Observations with what they belong to; what only the search index needs stays away."""
        rows = super().get_queryset(request).select_related("project", "team", "session")
        return rows.defer("parts")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Observations are made of events, or through the API."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Observation | None = None) -> bool:
        """What was observed is not edited."""
        return False

    @admin.display(description="observation")
    def headline(self, row: Observation) -> SafeString:
        """Title and subtitle."""
        return format_html('{}<div class="quiet">{}</div>', str(row), row.subtitle)

    @admin.display(description="kind")
    def shown_kind(self, row: Observation) -> SafeString:
        """The kind as a coloured word."""
        return badge(row.kind)

    @admin.display(description="session")
    def session_link(self, row: Observation) -> SafeString | str:
        """The way to its session."""
        return link(Session, row.session_id, row.session) if row.session else NOTHING

    @admin.display(description="text")
    def text(self, row: Observation) -> SafeString:
        """The narrative; what has none shows its content."""
        return format_html('<div class="prose">{}</div>', row.narrative or row.content)

    @admin.display(description="facts")
    def shown_facts(self, row: Observation) -> SafeString | str:
        """Each fact on a line."""
        return _bullets(row.facts)

    @admin.display(description="concepts")
    def shown_concepts(self, row: Observation) -> str:
        """The concepts."""
        return ", ".join(map(str, row.concepts)) or NOTHING

    @admin.display(description="files read")
    def read(self, row: Observation) -> SafeString | str:
        """Each file on a line."""
        return _bullets(row.files_read)

    @admin.display(description="files modified")
    def modified(self, row: Observation) -> SafeString | str:
        """Each file on a line."""
        return _bullets(row.files_modified)

    @admin.display(description="sources")
    def sources(self, row: Observation) -> SafeString | str:
        """The events, or the session, that it was made of."""
        links = row.sources.select_related("event").order_by("id")
        shown = (
            link(Event, source.event_id, source.event)
            if source.event
            else f"{source.source_type} {source.source_id}"
            for source in links
        )
        return format_html_join("", "<div>{}</div>", ((one,) for one in shown)) or NOTHING

    @admin.display(description="made by")
    def job(self, row: Observation) -> SafeString | str:
        """The job that made it."""
        job = GenerationJob.objects.filter(pk=row.created_by_job_id or "").first()
        if job is None:
            return row.created_by_job_id or "a client"
        return format_html("{} {}", link(GenerationJob, job.pk, job), badge(job.state))

    @admin.display(description="metadata")
    def shown_metadata(self, row: Observation) -> SafeString | str:
        """What else is known of it."""
        return pretty(row.metadata)


def _bullets(values: Sequence[object]) -> SafeString | str:
    items = format_html_join("", "<li>{}</li>", ((value,) for value in values))
    return format_html('<ul class="plain">{}</ul>', items) if items else NOTHING


admin.site.register(Observation, ObservationAdmin)
