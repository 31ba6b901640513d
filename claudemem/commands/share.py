"""`claudemem share …`: what teams and projects have of the workers."""

import json
from typing import TYPE_CHECKING, Any

import click

from claudemem.commands import BY_OPERATOR, load_django

if TYPE_CHECKING:
    from queueing.models import Share

_TEAM = click.option("--team", required=True, help="Its id or its name.")
_PROJECT = click.option("--project", help="Its id, or its name in the team; else the whole team.")
_JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group
def share() -> None:
    """Share workers between teams and projects."""


@share.command("list")
@_JSON
def list_shares(as_json: bool) -> None:
    """List the weights and limits that were set; all others have a weight of 1 and no limit."""
    load_django(existing=True)
    from queueing.models import Share

    entries = [_entry(row) for row in Share.objects.order_by("team_id", "project_id")]
    if as_json:
        click.echo(json.dumps({"count": len(entries), "shares": entries}, indent=2))
        return
    for entry in entries:
        click.echo(_line(entry))
    click.echo(f"{len(entries)} set; every other team and project has weight 1 and no limit")


@share.command("set")
@_TEAM
@_PROJECT
@click.option("--weight", type=click.IntRange(1, 1000), help="Turns in proportion to others.")
@click.option(
    "--max-in-flight", type=click.IntRange(0), help="At most so many calls at once; 0: no limit."
)
@_JSON
def set_share(
    team: str, project: str | None, weight: int | None, max_in_flight: int | None, as_json: bool
) -> None:
    """Set the weight or the limit of a team or of one of its projects; what is not named stays."""
    if weight is None and max_in_flight is None:
        raise click.UsageError("say what to set: --weight, --max-in-flight, or both")
    load_django(existing=True)
    from django.db import transaction

    from observations import audit, entries
    from queueing.models import Share

    said: dict[str, int | None] = {} if weight is None else {"weight": weight}
    said |= {} if max_in_flight is None else {"max_in_flight": max_in_flight or None}
    team_id, project_id = _whose(team, project)
    whose: dict[str, Any] = {"team_id": team_id, "project_id": project_id}
    with transaction.atomic():
        row, _ = Share.objects.update_or_create(**whose, defaults=said)
        audit.write([entries.of_share(entries.SHARE_SET, row, BY_OPERATOR)])
    _show(_entry(row), as_json)


@share.command("clear")
@_TEAM
@_PROJECT
@_JSON
def clear_share(team: str, project: str | None, as_json: bool) -> None:
    """Give a team or a project a weight of 1 and no limit again."""
    load_django(existing=True)
    from django.db import transaction

    from observations import audit, entries
    from queueing.models import Share

    team_id, project_id = _whose(team, project)
    bare = Share(team_id=team_id, project_id=project_id)
    with transaction.atomic():
        gone, _ = Share.objects.filter(team_id=team_id, project_id=project_id).delete()
        if gone:
            audit.write([entries.of_share(entries.SHARE_CLEARED, bare, BY_OPERATOR)])
    _show(_entry(bare), as_json)


def _whose(team: str, project: str | None) -> tuple[str, str]:
    """The ids of a team, and of a project of it or an empty one."""
    from observations import tenants

    meant = tenants.tenant(team, project)
    assert meant.team is not None  # it was named
    return meant.team.pk, meant.project.pk if meant.project else ""


def _entry(row: "Share") -> dict[str, Any]:
    from observations.models import Project, Team

    team = Team.objects.filter(pk=row.team_id).first()
    project = Project.objects.filter(pk=row.project_id).first() if row.project_id else None
    return {
        "teamId": row.team_id,
        "team": team.name if team else None,
        "projectId": row.project_id or None,
        "project": project.name if project else None,
        "weight": row.weight,
        "maxInFlight": row.max_in_flight,
    }


def _show(entry: dict[str, Any], as_json: bool) -> None:
    click.echo(json.dumps(entry, indent=2) if as_json else _line(entry))


def _line(entry: dict[str, Any]) -> str:
    team = entry["team"] or entry["teamId"]
    project = entry["project"] or entry["projectId"]
    limit = entry["maxInFlight"]
    return (
        f"{team}{f' / {project}' if project else ''}: weight {entry['weight']}, "
        f"{'no limit' if limit is None else f'{limit} at once'}"
    )
