"""`claudemem api-key …`: make, list and revoke API keys."""

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from claudemem.commands import BY_OPERATOR, load_django
from observations import scopes

if TYPE_CHECKING:
    from datetime import datetime

    from observations.models import ApiKey


@click.group
def api_key() -> None:
    """Make, list and revoke API keys."""


@api_key.command
@click.option("--name", default="server-api-key", show_default=True, help="What it is for.")
@click.option(
    "--scope",
    "--scopes",
    "scope",
    default=scopes.MEMORIES_READ,
    show_default=True,
    help=f"Comma-separated, of: {', '.join(scopes.KNOWN)}.",
)
@click.option(
    "--team", help="Its id, or its name (made if new). Alone: a key for all its projects."
)
@click.option("--project", help="Its id, or its name in the team (made if new).")
@click.option("--expires-in-days", type=click.IntRange(1, 3650), help="[default: never]")
def create(
    name: str, scope: str, team: str | None, project: str | None, expires_in_days: int | None
) -> None:
    """Make a key and print it, once, as JSON.

    Without --team and --project the key belongs to the default team and project.
    """
    load_django()
    from django.utils import timezone

    from observations import keys

    wanted = scopes.parse(scope)
    owner, about = keys.tenant(team, project)
    end = timezone.now() + timedelta(days=expires_in_days) if expires_in_days else None
    minted = keys.create(
        name, wanted, team=owner, project=about, expires_at=end, origin=BY_OPERATOR
    )
    _show(
        {
            "id": minted.key.id,
            "key": minted.raw,
            "name": minted.key.name,
            "teamId": minted.key.team_id,
            "projectId": minted.key.project_id,
            "scopes": minted.key.scopes,
            "expiresAt": _iso(end),
        }
    )


@api_key.command("list")
@click.option("--team", "team_id", help="Only the keys of the team with this id.")
@click.option("--limit", type=click.IntRange(1, 500), default=100, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0, show_default=True)
@click.option("--active", is_flag=True, help="Only keys that work.")
def list_keys(team_id: str | None, limit: int, offset: int, active: bool) -> None:
    """List keys as JSON, newest first; never the keys themselves."""
    load_django()
    from django.utils import timezone

    from observations import keys

    now = timezone.now()
    rows = keys.listed(team_id=team_id, active=active)[offset : offset + limit]
    listed = [_entry(row, keys.status(row, now)) for row in rows]
    page = {"teamId": team_id, "limit": limit, "offset": offset, "count": len(listed)}
    _show({**page, "keys": listed})


@api_key.command
@click.argument("key_id", metavar="ID")
def revoke(key_id: str) -> None:
    """Make a key useless, from the next request on."""
    load_django()
    from observations import keys

    keys.revoke(key_id, origin=BY_OPERATOR)
    _show({"id": key_id, "status": "revoked"})


def _entry(row: "ApiKey", status: str) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "teamId": row.team_id,
        "projectId": row.project_id,
        "scopes": row.scopes,
        "status": status,
        # Not tracked: it would be a write at every request.
        "lastUsedAt": None,
        "expiresAt": _iso(row.expires_at),
        "createdAt": _iso(row.created_at),
    }


def _iso(moment: "datetime | None") -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")


def _show(data: dict[str, Any]) -> None:
    click.echo(json.dumps(data, indent=2))
