"""The audit: who did what."""

from ninja import Router

from claudemem.api import asking, audited, entities, pages, reach, wire
from claudemem.api.answers import Answer
from claudemem.api.asking import Filter, Filters, When
from claudemem.api.calls import Call, Needs, team
from claudemem.api.documents import says
from claudemem.api.pages import PageQuery
from observations import history, scopes
from observations.history import AuditFilters
from observations.listings import AUDIT

router = Router(tags=["audit"])


class AuditQuery(PageQuery):
    """Which entries are listed. Of several actions any will do."""

    project_id: Filter | None = None
    action: Filters = ()
    resource_type: Filter | None = None
    resource_id: Filter | None = None
    api_key_id: Filter | None = None
    since: When | None = None
    until: When | None = None

    def wanted(self, project_id: str | None) -> AuditFilters:
        """The filters for the domain."""
        return AuditFilters(
            actions=self.action,
            resource_type=self.resource_type,
            resource_id=self.resource_id,
            project_id=project_id,
            api_key_id=self.api_key_id,
            since=self.since,
            until=self.until,
        )


@router.get(
    "/audit",
    auth=Needs(scopes.READ_AUDIT),
    openapi_extra=says(query=AuditQuery, answers={200: wire.audit.Audit}),
)
def show_all(request: Call) -> Answer[wire.audit.Audit]:
    """The audit of the caller's team, or of the project that its key is bound to; newest first."""
    asked = asking.read(request, AuditQuery)
    named = asked.project_id or request.auth.project_id
    project_id = reach.project(request.auth, named) if named else None
    bound_to = pages.about("audit", [team(request), project_id], asked)
    window = pages.window(asked, bound_to, AUDIT.sorts)
    found = history.audit(team(request), asked.wanted(project_id), window)
    told = [entities.audit_entry(row) for row in found.rows]
    audited.listed(request, "audit_list", len(told), project_id, limit=window.limit)
    return Answer({"audit": told, "nextCursor": pages.cursor(found.goes_on, bound_to)})
