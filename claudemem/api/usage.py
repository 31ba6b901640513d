"""What a team used, and how much more it may use."""

from ninja import Router

from claudemem.api import queries, wire
from claudemem.api.answers import Answer
from claudemem.api.calls import Call, Needs, team
from claudemem.api.documents import says
from observations import counters, quotas, scopes, usage
from observations.quotas import REQUEST, TOKENS, Limits
from observations.usage import Usage

router = Router(tags=["usage"])


@router.get(
    "/usage",
    auth=Needs(scopes.READ_MEMORY),
    openapi_extra=says(query=queries.Usage, answers={200: wire.usage.Used}),
)
def show(request: Call) -> Answer[wire.usage.Used]:
    """What the caller's team used in this month in UTC, or in `month`, and what it may use.

    By kind, by day and by project. A key that is bound to a project sees no other project.
    """
    named = request.GET.getlist("month")
    since = quotas.parse_month(named) if named else usage.this_month()
    return Answer(_told(request, usage.of_team(team(request), since), counters.in_force()))


def _told(request: Call, used: Usage, limits: Limits) -> wire.usage.Used:
    ours = request.auth.project_id
    return {
        "since": _moment(used.since.isoformat()),
        "usage": used.totals,
        "until": _moment(quotas.next_month(used.since).isoformat()),
        "metering": limits.metering,
        "caps": {"request": _cap(REQUEST, used, limits), "tokens": _cap(TOKENS, used, limits)},
        "requestsPerMinute": limits.per_minute or None,
        "days": [{"day": day.isoformat(), "usage": each} for day, each in used.days.items()],
        "projects": [
            {"projectId": project or None, "usage": each}
            for project, each in used.projects.items()
            if ours in (None, project)
        ],
    }


def _cap(kind: str, used: Usage, limits: Limits) -> wire.usage.Cap | None:
    cap, spent = limits.cap(kind), used.totals.get(kind, 0)
    return {"cap": cap, "used": spent, "left": max(0, cap - spent)} if cap else None


def _moment(day: str) -> str:
    """When it begins, as clients write moments."""
    return f"{day}T00:00:00.000Z"
