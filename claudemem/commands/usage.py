"""`claudemem usage`: what a team used in a month, and how much more it may use."""

import json
from typing import TYPE_CHECKING, Any

import click

from claudemem.commands import load_django
from claudemem.commands.scoping import allow

if TYPE_CHECKING:
    from observations.tenants import Tenant
    from observations.usage import Totals, Usage

_WORDS = {
    "request": "requests",
    "tokens": "tokens",
    "input_tokens": "  asked",
    "output_tokens": "  answered",
    "observation": "observations",
}


@click.command(short_help="Show what was used in a month.")
@click.option("--team", metavar="ID|NAME", help="Only this team.")
@click.option("--project", metavar="ID|NAME", help="Only this project.")
@click.option("--month", metavar="YYYY-MM", help="Another month in UTC. [default: this one]")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def usage(team: str | None, project: str | None, month: str | None, as_json: bool) -> None:
    """Show what a team used in a month: requests, tokens, observations; by day and by project.

    Requests and tokens are counted where they are capped, all of it where it is metered
    (CLAUDE_MEM_USAGE_METERING=1); the days and projects are those that were metered.
    """
    load_django(existing=True)
    if not (team or project):
        allow("this concerns all teams", "--team or --project", "--team {}")
    from observations import quotas, tenants
    from observations import usage as used

    since = quotas.parse_month([month]) if month else used.this_month()
    tenant = tenants.tenant(team, project)
    found = _used(tenant, since)
    click.echo(json.dumps(_wire(found), indent=2) if as_json else _text(tenant, found))


def _used(tenant: "Tenant", since: Any) -> "Usage":
    from observations import usage as used

    if tenant.team is None:
        return used.of_all(since)
    project = tenant.project.pk if tenant.project else None
    return used.of_team(tenant.team.pk, since, project_id=project)


def _wire(used: "Usage") -> dict[str, Any]:
    names = _projects(used)
    return {
        "month": f"{used.since:%Y-%m}",
        "usage": used.totals,
        "days": [{"day": day.isoformat(), "usage": each} for day, each in used.days.items()],
        "projects": [
            {"projectId": project or None, "project": names.get(project), "usage": each}
            for project, each in used.projects.items()
        ],
    }


def _text(tenant: "Tenant", used: "Usage") -> str:
    whose = f"the month{tenant.place}" if tenant.team else "the month of all teams"
    lines = [f"{whose}, {used.since:%Y-%m} in UTC:"]
    lines += [f"  {_WORDS[kind]:<14}{amount:>12}" for kind, amount in used.totals.items()]
    if not used.totals:
        lines.append("  nothing was counted")
    # A cap is a team's.
    if tenant.team and not tenant.project:
        lines += _caps(used)
    names = _projects(used)
    lines += _table("by day", {str(day): each for day, each in used.days.items()})
    lines += _table(
        "by project",
        {
            names.get(project, project) if project else "none": each
            for project, each in used.projects.items()
        },
    )
    return "\n".join(lines)


def _caps(used: "Usage") -> list[str]:
    from observations import counters, quotas

    limits = counters.in_force()
    return [
        f"  of {limits.cap(kind)} {_WORDS[kind]} that may be used in a month, "
        f"{max(0, limits.cap(kind) - used.totals.get(kind, 0))} are left"
        for kind in quotas.CAPPED
        if limits.cap(kind)
    ]


def _table(title: str, rows: "dict[str, Totals]") -> list[str]:
    if not rows:
        return []
    kinds = ("request", "tokens", "observation")
    head = f"{title:<24}" + "".join(f"{_WORDS[kind]:>14}" for kind in kinds)
    return ["", head, *(
        f"  {name[:20]:<22}" + "".join(f"{each.get(kind, 0):>14}" for kind in kinds)
        for name, each in rows.items()
    )]  # fmt: skip


def _projects(used: "Usage") -> dict[str, str]:
    """The names of the projects, of those that are there still."""
    from observations.models import Project

    rows = Project.objects.filter(pk__in=[each for each in used.projects if each])
    return dict(rows.values_list("pk", "name"))
