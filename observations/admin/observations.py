"""Observations in the admin: searched, read with what they were made of, deleted."""

# Django gives these methods more than each of them needs.
# ruff: noqa: ARG002

import re
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import Case, Q, QuerySet, Value, When
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from observations import memories
from observations.admin.filters import EventPin, ProjectFilter, SessionPin
from observations.admin.gist import session_link
from observations.admin.reach import Scoped, projects
from observations.admin.sources import table
from observations.generate import mode
from observations.models import Observation
from observations.search import Filters, keyword_index
from observations.search.terms import query_terms
from queueing.browsing import (
    NOTHING,
    Period,
    Words,
    badge,
    by_user,
    link,
    once,
    pretty,
    shortened,
)
from queueing.models import GenerationJob

# So many matches are shown: who has not found it among them asks differently.
MOST_MATCHES = 200
LONGEST_TITLE = 160
# So many projects are searched at once, the newest; others by choosing them.
MOST_PROJECTS = 500
_NUMBER = re.compile(r"#?([0-9]{1,18})")


class KindFilter(Words):
    """The types of the mode in force, and the summary."""

    title = parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Every such kind."""
        return [(kind, kind) for kind in (*(one.id for one in mode().types), "summary")]


class ObservationAdmin(Scoped[Observation]):
    """Observations, newest first: to be read or deleted, never edited."""

    by_project = "occurred_at"
    one_project = True
    list_display = ("headline", "shown_kind", "project", "occurred_at", "session_link")
    list_filter = (ProjectFilter, KindFilter, Period, SessionPin, EventPin)
    list_select_related = ("project", "session")
    # That there are any shows the search box; what it does is below.
    search_fields = ("title",)
    search_help_text = "A question, words, #number or id"
    hint = (
        f'A question in plain words: the best {MOST_MATCHES} matches, best first. "Quoted words" '
        "stay together, -words exclude. Or the number or id of an observation."
    )
    fieldsets = (
        (None, {"fields": ("shown_kind", "title", "subtitle", "text", "shown_facts",
                           "shown_concepts", "read", "modified")}),
        ("What it was made of", {"fields": ("sources",)}),
        ("Where it is from", {"fields": (("project", "session_link"), "job",
                                         ("occurred_at", "created_at"))}),
        ("Details", {"classes": ["collapse"],
                     "fields": ("number", "id", "team", "shown_metadata")}),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Observation]:
        """Observations with what they belong to; what only the search index needs stays away."""
        rows = super().get_queryset(request).select_related("project", "team", "session")
        return rows.defer("parts")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Observation], search_term: str
    ) -> tuple[QuerySet[Observation], bool]:
        """What agents find by the same words, in the order of its rank."""
        term = search_term.strip()
        if not term:
            return queryset, False
        number = _NUMBER.fullmatch(term)
        named = Q(number=int(number[1])) if number else Q(id=term)
        if queryset.filter(named).exists():
            return queryset.filter(named), False
        found = _found(term, request)
        places = [When(pk=number, then=Value(place)) for place, number in enumerate(found)]
        ranked = queryset.filter(pk__in=found)
        return (ranked.order_by(Case(*places)) if places else ranked), False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Observations are made of events, or through the API."""
        return False

    def delete_model(self, request: HttpRequest, obj: Observation) -> None:
        """Forget it as the API does."""
        memories.forget(obj.team_id, None, obj.id, origin=by_user(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Observation]) -> None:
        """Forget all of them, or none."""
        with transaction.atomic():
            for row in queryset:
                self.delete_model(request, row)

    def has_change_permission(self, request: HttpRequest, obj: Observation | None = None) -> bool:
        """What was observed is not edited."""
        return False

    @admin.display(description="observation")
    def headline(self, row: Observation) -> SafeString:
        """Title and subtitle."""
        title = shortened(str(row), LONGEST_TITLE)
        return format_html('{}<div class="quiet">{}</div>', title, row.subtitle)

    @admin.display(description="kind")
    def shown_kind(self, row: Observation) -> SafeString:
        """The kind as a coloured word."""
        return badge(row.kind)

    @admin.display(description="session")
    def session_link(self, row: Observation) -> SafeString | str:
        """The way to its session."""
        return session_link(row.session) if row.session else NOTHING

    @admin.display(description="text")
    def text(self, row: Observation) -> SafeString:
        """The narrative; what has none shows its content."""
        return format_html('<div class="passage">{}</div>', row.narrative or row.content)

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
    @once
    def sources(self, row: Observation) -> SafeString:
        """The events, or the session, that it was made of."""
        return table(row)

    @admin.display(description="made by")
    @once
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


def _found(term: str, request: HttpRequest) -> list[int]:
    """The numbers of the best matches within the chosen project, kind and session."""
    chosen = request.GET.get("project")
    among = projects(request).filter(pk=chosen) if chosen else projects(request).order_by("-id")
    kind = request.GET.get("kind")
    hits = keyword_index().find(
        query_terms(term),
        Filters(kinds=(kind,) if kind else (), session_id=request.GET.get("session")),
        project_ids=list(among.values_list("pk", flat=True)[:MOST_PROJECTS]),
        limit=MOST_MATCHES,
    )
    return [hit.number for hit in hits]


def _bullets(values: Sequence[object]) -> SafeString | str:
    items = format_html_join("", "<li>{}</li>", ((value,) for value in values))
    return format_html('<ul class="plain">{}</ul>', items) if items else NOTHING


admin.site.register(Observation, ObservationAdmin)
