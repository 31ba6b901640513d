"""`claudemem projects …`: what projects are known by, and two of them made one."""

import json
from typing import TYPE_CHECKING, Any

import click

from claudemem.commands import BY_OPERATOR, load_django

if TYPE_CHECKING:
    from observations.models import Project

_TEAM = click.option("--team", help="Its id or its name, where several have such a project.")
_JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group
def projects() -> None:
    """See what projects are known by, and merge two that are one."""


@projects.command("list")
@_TEAM
@_JSON
def list_projects(team: str | None, as_json: bool) -> None:
    """List projects with what they are known by, and those that were merged."""
    load_django(existing=True)
    from observations import tenants
    from observations.models import Project

    rows = Project.objects.select_related("team", "merged_into").prefetch_related("aliases")
    rows = rows.filter(team=tenants.team(team)) if team else rows
    found = [_entry(row) for row in rows.order_by("team__name", "name")]
    if as_json:
        click.echo(json.dumps({"count": len(found), "projects": found}, indent=2))
        return
    for entry in found:
        click.echo(_line(entry))


@projects.command("merge")
@click.argument("project")
@click.option("--into", required=True, help="The id or the name of the project that it is.")
@_TEAM
@click.option("--yes", is_flag=True, help="Do not ask.")
def merge_projects(project: str, into: str, team: str | None, yes: bool) -> None:
    """Put all that a project has into another; `undo` brings it back."""
    load_django(existing=True)
    from observations import merging

    source, target = _named(project, team), _named(into, team)
    found = merging.contents(source.pk)
    moved = f"{found.sessions} sessions, {found.events} events, {found.observations} observations"
    if not yes:
        click.confirm(f"Put {source} ({moved}) into {target}?", abort=True)
    merging.merge(source.team_id, source.pk, target.pk, origin=BY_OPERATOR)
    click.echo(f"{source} is merged into {target}: {moved}")


@projects.command("undo")
@click.argument("project")
@_TEAM
def undo_merge(project: str, team: str | None) -> None:
    """Bring a project back that was merged into another."""
    load_django(existing=True)
    from observations import merging
    from observations.errors import Conflict
    from observations.models import ProjectMerge

    source = _named(project, team)
    made = ProjectMerge.objects.filter(source=source, undone_at__isnull=True).first()
    if made is None:
        raise Conflict(f"{source} is not merged into another project")
    merging.undo(source.team_id, made.pk, origin=BY_OPERATOR)
    click.echo(f"{source} is a project of its own again")


def _named(which: str, team: str | None) -> "Project":
    """The project of that id or name itself, merged or not."""
    from observations import tenants

    return tenants.project(which, team)


def _entry(row: "Project") -> dict[str, Any]:
    return {
        "id": row.pk,
        "team": row.team.name,
        "name": row.name,
        "aliases": [{"sort": each.sort, "key": each.key} for each in row.aliases.all()],
        "mergedInto": row.merged_into_id,
        "into": row.merged_into.name if row.merged_into else None,
    }


def _line(entry: dict[str, Any]) -> str:
    known = ", ".join(each["key"].partition("#")[0] for each in entry["aliases"]) or "its name"
    merged = f", merged into {entry['into']}" if entry["into"] else ""
    return f"{entry['team']} / {entry['name']}: known by {known}{merged}"
