"""Sessions in the admin: what an agent did and what was made of it, in order."""

# Django gives these methods more than each of them needs.
# ruff: noqa: ARG002

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from observations.admin import captures, timeline
from observations.admin.filters import BranchPin, PartPin, ProjectFilter
from observations.admin.gist import called
from observations.admin.reach import Scoped
from observations.admin.said import begun_so, called_so, prompts, subjects
from observations.models import Event, Observation, Session
from queueing import operations
from queueing.admin.operating import CONFIRMED
from queueing.browsing import (
    NOTHING,
    Period,
    ReadOnly,
    by_user,
    list_link,
    once,
    pretty,
    shortened,
)
from queueing.models import GenerationJob, Lane

# Where a backfill that was started on a session's own page leads back to.
RETURN = "return-to-session"
# Agents say a word; whatever else somebody sends must not make the list wide.
LONGEST_REASON = 40


class OpenFilter(admin.SimpleListFilter):
    """Whether a session goes on."""

    title = "state"
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        """Open or ended."""
        return [("yes", "Open"), ("no", "Ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Session]) -> QuerySet[Session]:
        """The open ones, the ended ones, or all."""
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(ended_at__isnull=self.value() == "yes")


class SessionAdmin(ReadOnly[Session], Scoped[Session]):
    """Sessions, newest first."""

    by_project = "started_at"
    one_project = True
    list_display = (
        "name", "project", "where", "platform", "started_at", "ending", "event_count",
        "observation_count",
    )  # fmt: skip
    list_filter = (ProjectFilter, OpenFilter, Period, BranchPin, PartPin)
    list_select_related = ("project",)
    # That there are any shows the search box; what it does is below.
    search_fields = ("id",)
    search_help_text = "An id or its beginning, or words of a prompt"
    actions = ("clear_queues", "backfill")
    fieldsets = (
        (None, {"fields": (("project", "platform_source"), ("cwd", "where"),
                           ("started_at", "last_event_at", "ending"), "ways")}),
        ("Captured", {"fields": ("captures",)}),
        ("Timeline", {"fields": ("timeline",)}),
        ("Details", {"classes": ["collapse"],
                     "fields": ("id", "team", "external_session_id", "content_session_id",
                                "agent_id", "agent_type", "generation_status",
                                "last_generated_at", "shown_metadata")}),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Session]:
        """Sessions with what they belong to: every page names it."""
        return super().get_queryset(request).select_related("project", "team")

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Session | None:
        """The session, and the event at which its timeline is to be opened."""
        session: Session | None = super().get_object(request, object_id, from_field)
        at = request.GET.get("at", "")
        if session is not None and at.isascii() and at.isdecimal():
            vars(session)["shown_at"] = int(at[:18])
        return session

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Session], search_term: str
    ) -> tuple[QuerySet[Session], bool]:
        """The sessions of that id, ours or their agent's, or its beginning; or of those words."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = called_so(request, term) or begun_so(request, term)
        found = found or list(prompts(request, term).values_list("session", flat=True))
        return queryset.filter(pk__in=found), False

    def accompany(self, rows: list[Session]) -> None:
        """What each session is about, and how many observations it has: two queries."""
        ids = [row.pk for row in rows]
        about = subjects(ids)
        made = Observation.objects.filter(session__in=ids)
        counts = dict(made.values_list("session").annotate(Count("pk")).order_by())
        for row in rows:
            vars(row)["observation_number"] = counts.get(row.pk, 0)
            vars(row)["subject"] = about.get(row.pk)

    def has_operate_permission(self, request: HttpRequest, obj: Session | None = None) -> bool:
        """Admins of a team clear the queues of its sessions."""
        return Scoped.has_change_permission(self, request, obj)

    @admin.action(description="Clear the queue of selected sessions", permissions=["operate"])
    def clear_queues(
        self, request: HttpRequest, queryset: QuerySet[Session]
    ) -> TemplateResponse | None:
        """Cancel all their jobs that wait or are worked, once confirmed; say how many."""
        sessions = list(queryset.order_by("pk"))
        if CONFIRMED not in request.POST:
            context = {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": f"Clear the queue of {_counted(len(sessions), 'session')}?",
                "sessions": sessions,
                "back": request.get_full_path(),
            }
            return TemplateResponse(request, "observations/clear_queues.html", context)
        by = by_user(request)
        cancelled = sum(operations.clear(each.lane_key, each.pk, by) for each in sessions)
        self.message_user(request, f"{_counted(cancelled, 'job')} cancelled")
        return None

    @admin.action(description="Backfill selected sessions", permissions=["operate"])
    def backfill(self, request: HttpRequest, queryset: QuerySet[Session]) -> HttpResponse | None:
        """Capture what their transcripts tell and nobody did, once confirmed; say how much."""
        rows = list(queryset.select_related("project", "team").order_by("pk"))
        found = [(row, *captures.transcript_of(request, row)) for row in rows]
        if CONFIRMED not in request.POST:
            context = {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": f"Backfill {_counted(len(rows), 'session')}?",
                "sessions": [(row, why_not) for row, _, why_not in found],
                "possible": any(transcript for _, transcript, _ in found),
                "command": captures.COMMAND,
                "alone": RETURN in request.POST,
                "back": _page(rows[0]) if RETURN in request.POST else request.get_full_path(),
            }
            return TemplateResponse(request, "observations/backfill.html", context)
        for row, transcript, _ in found:
            if transcript:
                said = captures.fill(row, transcript, by_user(request))
                self.message_user(request, f"{called(row)}: {said}")
        return HttpResponseRedirect(_page(rows[0])) if RETURN in request.POST else None

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """A session's page says what is missing, and offers to bring that in."""
        session = kwargs.get("obj")
        if isinstance(session, Session):
            found = captures.shown(session, *captures.transcript_of(request, session))
            vars(session)["captures"] = found
            may = self.has_operate_permission(request, session)
            context["may_backfill"] = may and found.at_hand and bool(found.lost)
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="captured")
    @once
    def captures(self, session: Session) -> SafeString:
        """How much of it was captured, of how much, and what is missing."""
        context = {"shown": vars(session).get("captures")}
        # Rendered by a template that escapes what it is given.
        return mark_safe(render_to_string("observations/captures.html", context))  # noqa: S308

    @admin.display(description="session")
    def name(self, session: Session) -> SafeString | str:
        """What was asked first, and the session as its agent calls it."""
        asked, named = vars(session).get("subject"), called(session)
        return format_html('{}<div class="quiet">{}</div>', asked, named) if asked else named

    @admin.display(description="platform")
    def platform(self, session: Session) -> str:
        """What the agent ran on."""
        return session.platform_source or NOTHING

    @admin.display(description="branch")
    def where(self, session: Session) -> SafeString | str:
        """Where in its repository it began, leading to the sessions that did there too."""
        of = {"branch": session.branch, "part": session.part}
        links = (
            (list_link(Session, shortened(value, LONGEST_REASON), **{
                "project": session.project_id, name: value}),)
            for name, value in of.items() if value
        )  # fmt: skip
        return format_html_join(", ", "{}", links) or NOTHING

    @admin.display(description="ended")
    def ending(self, session: Session) -> str:
        """When and why it ended."""
        if session.ended_at is None:
            return "open"
        reason = f" ({shortened(session.end_reason, LONGEST_REASON)})" if session.end_reason else ""
        return f"{session.ended_at:%Y-%m-%d %H:%M}{reason}"

    @admin.display(description="events")
    def event_count(self, session: Session) -> SafeString | str:
        """How many events it has, leading to them."""
        count = session.last_number
        return list_link(Event, count, session=session.pk) if count else NOTHING

    @admin.display(description="observations")
    def observation_count(self, session: Session) -> SafeString | str:
        """How many observations were made of it, leading to them."""
        count = vars(session).get("observation_number", 0)
        return list_link(Observation, count, session=session.pk) if count else NOTHING

    @admin.display(description="browse")
    @once
    def ways(self, session: Session) -> SafeString:
        """The way to the lists of what it has."""
        events, observations = self._lists(session)
        lane = Lane.objects.filter(key=session.lane_key).values_list("pk", flat=True).first()
        jobs = list_link(GenerationJob, "jobs", lane=lane) if lane else "no jobs"
        return format_html("{} · {} · {}", events, observations, jobs)

    def _lists(self, session: Session) -> tuple[SafeString, SafeString]:
        return (
            list_link(Event, f"{session.last_number} events", session=session.pk),
            list_link(Observation, "observations", session=session.pk),
        )

    @admin.display(description="timeline")
    @once
    def timeline(self, session: Session) -> SafeString:
        """The session told in order, a page of it."""
        _, observations = self._lists(session)
        context = {
            "timeline": timeline.of(session, vars(session).get("shown_at")),
            "all_observations": observations,
        }
        # Rendered by a template that escapes what it is given.
        return mark_safe(render_to_string("observations/timeline.html", context))  # noqa: S308

    @admin.display(description="metadata")
    def shown_metadata(self, session: Session) -> SafeString | str:
        """What the client added."""
        return pretty(session.metadata)


def _page(session: Session) -> str:
    return reverse("admin:observations_session_change", args=[session.pk])


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


admin.site.register(Session, SessionAdmin)
