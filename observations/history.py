"""What happened and who did what, listed newest first: sessions, events, and the audit."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, Min, QuerySet

from observations import listings
from observations.identity import platform
from observations.listings import AUDIT, SESSIONS, Listed, Order, Row, Window
from observations.models import AuditEntry, Event, Session


@dataclass(frozen=True, slots=True)
class SessionFilters:
    """What sessions must be. Times are of their start: `since` is included, `until` is not."""

    external_session_id: str | None = None
    content_session_id: str | None = None
    platform_source: str | None = None
    ended: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class EventFilters:
    """What events must be; of several types any will do.

    Times are of their arrival: `since` is included, `until` is not.
    """

    event_types: tuple[str, ...] = ()
    source_adapter: str | None = None
    platform_source: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditFilters:
    """What entries must be; of several actions any will do.

    `since` is included, `until` is not.
    """

    actions: tuple[str, ...] = ()
    resource_type: str | None = None
    resource_id: str | None = None
    project_id: str | None = None
    api_key_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def sessions(project_id: str, filters: SessionFilters, window: Window) -> Listed[Session]:
    """A page of a project's sessions, that which started last first."""
    rows = _between(Session.objects.filter(project_id=project_id), "started_at", filters)
    among: dict[str, object] = _given(
        external_session_id=filters.external_session_id,
        platform_source=platform(filters.platform_source),
    )
    if filters.content_session_id is not None:
        rows = rows.filter(content_session_id=filters.content_session_id)
    if filters.ended is not None:
        among["ended_at__isnull"] = not filters.ended
    return listings.page(rows, SESSIONS, window, rows.filter(**among) if among else None)


def order(session_id: str | None) -> Order:
    """The order in which events are listed: those of a session by their number in it."""
    return listings.EVENTS_OF_SESSION if session_id else listings.EVENTS_OF_PROJECT


def events(
    project_id: str, session_id: str | None, filters: EventFilters, window: Window
) -> Listed[Event]:
    """A page of a project's events, or of those of one of its sessions, newest first."""
    rows = Event.objects.filter(project_id=project_id)
    if session_id:
        rows = listings.of_session(Event.objects.all(), session_id, project_id)
    among: dict[str, object] = _given(
        source_adapter=filters.source_adapter, platform_source=platform(filters.platform_source)
    )
    if filters.event_types:
        among["event_type__in"] = filters.event_types
    if session_id:
        among |= _times("received_at", filters)
    else:
        rows = _between(rows, "received_at", filters)
    found = rows.filter(**among) if among else None
    return listings.page(rows, order(session_id), window, found)


def audit(team_id: str, filters: AuditFilters, window: Window) -> Listed[AuditEntry]:
    """A page of a team's audit, newest first.

    No index but that of the number leads to entries, so that whatever is asked for is looked for
    among a bounded number of everybody's.
    """
    rows = AuditEntry.objects.all()
    if filters.since is not None:
        rows = rows.filter(pk__gte=first_since(filters.since))
    if filters.until is not None:
        rows = rows.filter(pk__lt=first_since(filters.until + _LATE))
    among: dict[str, object] = {"team_id": team_id} | _given(
        project_id=filters.project_id,
        api_key_id=filters.api_key_id,
        resource_type=filters.resource_type,
        resource_id=filters.resource_id,
    )
    if filters.actions:
        among["action__in"] = filters.actions
    among |= _times("created_at", filters)
    return listings.page(rows, AUDIT, window, rows.filter(**among))


def first_since(moment: datetime) -> int:
    """The number that no entry made at `moment` or later is below."""
    rows = AuditEntry.objects.order_by("pk")
    ends = rows.aggregate(first=Min("pk"), last=Max("pk"))
    low, high = ends["first"] or 0, (ends["last"] or 0) + 1
    while low < high:
        middle = (low + high) // 2
        at = rows.filter(pk__gte=middle).values_list("created_at", flat=True).first()
        if at is not None and at < moment:
            low = middle + 1
        else:
            high = middle
    return int(low)


# By so much at most an entry of a read may be written after its time.
_LATE = timedelta(days=1)

_Timed = SessionFilters | EventFilters | AuditFilters


def _between(rows: QuerySet[Row], column: str, filters: _Timed) -> QuerySet[Row]:
    return rows.filter(**_times(column, filters))


def _times(column: str, filters: _Timed) -> dict[str, object]:
    return _given(**{f"{column}__gte": filters.since, f"{column}__lt": filters.until})


def _given(**conditions: object) -> dict[str, object]:
    return {name: value for name, value in conditions.items() if value is not None}
