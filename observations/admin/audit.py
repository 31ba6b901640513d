"""The audit: who did what, to be read.

The table has no index but that of its numbers, which are in the order of time. So times are found
by halving, and whatever else narrows the list looks through a bounded part of it.
"""

# Django gives these methods more than each of them needs.
# ruff: noqa: ARG002

from datetime import timedelta
from typing import Any, Final

from django.contrib import admin
from django.db.models import Max, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from observations import entries
from observations.admin.filters import TeamFilter
from observations.admin.reach import Scoped, reach
from observations.history import first_since
from observations.models import ApiKey, AuditEntry, Event, Observation, Project, Session, Team
from queueing.browsing import (
    NOTHING,
    Period,
    ReadOnly,
    Words,
    link,
    list_link,
    pretty,
    shortened,
)
from queueing.models import GenerationJob

# Where no time is chosen, so many entries are looked through, the newest.
LOOKED_THROUGH = 100_000
LONGEST_DETAILS = 120
NARROWING: Final = ("action", "team", "q")
PAGES: Final = {entries.SESSION: Session, entries.EVENT: Event, entries.JOB: GenerationJob,
                entries.KEY: ApiKey}  # fmt: skip


class ActionFilter(Words):
    """What can be done."""

    title = parameter_name = "action"
    words = entries.ACTIONS
    # No index: the list itself is bounded where it is narrowed.
    indexed = True


class Since(Period):
    """How recent: all entries from a number on."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The entries made since then."""
        hours = self.HOURS.get(self.value() or "")
        if not hours:
            return queryset
        return queryset.filter(pk__gte=first_since(timezone.now() - timedelta(hours=hours)))


class AuditAdmin(ReadOnly[AuditEntry], Scoped[AuditEntry]):
    """Entries, newest first; members see those of their teams."""

    team = "team_id"

    list_display = ("created_at", "action", "about", "who", "team_name", "in_short")
    list_filter = (ActionFilter, TeamFilter, Since)
    search_fields = ("resource_id__exact", "api_key_id__exact")
    search_help_text = "An id, of a thing or a key"
    hint = (
        "The id of what something was done to, or of the key that did it; without a time, among "
        f"the newest {LOOKED_THROUGH} entries."
    )
    fields = ("created_at", "action", "about", "who", "team_name", "project_name", "shown_details")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        """All entries; the newest of them where something but a time narrows the list."""
        rows: QuerySet[AuditEntry] = super().get_queryset(request)
        asked = any(request.GET.get(name) for name in NARROWING)
        narrowed = asked or not reach(request).is_whole
        if not narrowed or request.GET.get(Since.parameter_name) in Since.HOURS:
            return rows
        newest = rows.aggregate(last=Max("pk"))["last"] or 0
        return rows.filter(pk__gt=newest - LOOKED_THROUGH)

    def accompany(self, rows: list[AuditEntry]) -> None:
        """The names of the rows' keys and teams."""
        keys = dict(_names(ApiKey, {row.api_key_id for row in rows}))
        teams = dict(_names(Team, {row.team_id for row in rows}))
        for row in rows:
            vars(row)["names"] = keys.get(row.api_key_id), teams.get(row.team_id)

    def _named(self, row: AuditEntry) -> tuple[str | None, str | None]:
        if "names" not in vars(row):
            self.accompany([row])
        names: tuple[str | None, str | None] = vars(row)["names"]
        return names

    @admin.display(description="what")
    def about(self, row: AuditEntry) -> SafeString | str:
        """The way to what something was done to, as long as that is there."""
        named, pk = row.resource_type, row.resource_id
        if pk is None:
            return named
        if named == entries.OBSERVATION and row.action != entries.OBSERVATION_READ:
            return list_link(Observation, f"{named} {pk}", q=pk)
        page = Event if row.action == entries.OBSERVATION_READ else PAGES.get(named)
        return link(page, pk, f"{named} {pk}") if page else f"{named} {pk}"

    @admin.display(description="who")
    def who(self, row: AuditEntry) -> SafeString | str:
        """The key that was used, or who came another way."""
        if row.api_key_id is None:
            return row.actor_id or row.details.get("source") or NOTHING
        return link(ApiKey, row.api_key_id, self._named(row)[0] or row.api_key_id)

    @admin.display(description="team")
    def team_name(self, row: AuditEntry) -> str:
        """The team's name; its id if it is gone."""
        return self._named(row)[1] or row.team_id or NOTHING

    @admin.display(description="project")
    def project_name(self, row: AuditEntry) -> str:
        """The project's name; its id if it is gone."""
        name = Project.objects.filter(pk=row.project_id).values_list("name", flat=True).first()
        return name or row.project_id or NOTHING

    @admin.display(description="details")
    def in_short(self, row: AuditEntry) -> str:
        """What else is known of it, in a line."""
        told = ", ".join(
            f"{name}: {len(value) if isinstance(value, list) else value}"
            for name, value in row.details.items()
        )
        return shortened(told, LONGEST_DETAILS) or NOTHING

    @admin.display(description="details")
    def shown_details(self, row: AuditEntry) -> SafeString | str:
        """What else is known of it."""
        return pretty(row.details)


def _names(model: type[ApiKey] | type[Team], ids: set[str | None]) -> QuerySet[Any, Any]:
    return model.objects.filter(pk__in=ids - {None}).values_list("pk", "name")


admin.site.register(AuditEntry, AuditAdmin)
