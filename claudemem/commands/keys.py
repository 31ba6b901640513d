"""`claudemem api-key …`, and `keys …`: make, list, revoke and change API keys."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from claudemem.commands import BY_OPERATOR, load_django
from claudemem.commands.keys_rotate import iso, rotate, show
from observations import scopes

if TYPE_CHECKING:
    from observations.models import ApiKey


@click.group
def api_key() -> None:
    """Make, list, revoke and rotate API keys."""


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
    show(
        {
            "id": minted.key.id,
            "key": minted.raw,
            "name": minted.key.name,
            "teamId": minted.key.team_id,
            "projectId": minted.key.project_id,
            "scopes": minted.key.scopes,
            "expiresAt": iso(end),
        }
    )


@api_key.command("list", short_help="List keys as JSON, newest first.")
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
    show({**page, "keys": listed})


@api_key.command(short_help="Make a key useless.")
@click.argument("key_id", metavar="ID")
def revoke(key_id: str) -> None:
    """Make a key useless, from the next request on."""
    load_django()
    from observations import keys

    keys.revoke(key_id, origin=BY_OPERATOR)
    show({"id": key_id, "status": "revoked"})


@api_key.command(short_help="Give a key other scopes.")
@click.argument("key_id", metavar="ID")
@click.option(
    "--scope",
    "--scopes",
    "scope",
    default=f"{scopes.MEMORIES_READ},{scopes.MEMORIES_WRITE}",
    show_default=True,
    help=f"Comma-separated, of: {', '.join(scopes.KNOWN)}.",
)
def migrate_scopes(key_id: str, scope: str) -> None:
    """Give a key these scopes in place of those that it has, from the next request on."""
    load_django()
    from observations import keys

    key = keys.migrate_scopes(key_id, scopes.parse(scope), origin=BY_OPERATOR)
    show({"id": key.id, "scopes": key.scopes, "status": "scopes-migrated"})


api_key.add_command(rotate)


@click.group("keys", hidden=True, invoke_without_command=True)
@click.pass_context
def keys_group(context: click.Context) -> None:
    """The same as `api-key`; alone, list the keys that work."""
    if context.invoked_subcommand is None:
        context.invoke(list_keys, team_id=None, limit=100, offset=0, active=True)


for _each in api_key.commands.values():
    keys_group.add_command(_each)


def _entry(row: "ApiKey", status: str) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "teamId": row.team_id,
        "projectId": row.project_id,
        "scopes": row.scopes,
        "status": status,
        "lastUsedAt": iso(row.last_used_at),
        "expiresAt": iso(row.expires_at),
        "createdAt": iso(row.created_at),
    }
