"""`claudemem jobs …`: what became of the work."""

import json
from typing import TYPE_CHECKING, Any

import click

from claudemem.commands import load_django
from queueing import states

if TYPE_CHECKING:
    from queueing.models import GenerationJob


@click.group
def jobs() -> None:
    """Look at jobs."""


@jobs.command("list")
@click.option("--status", type=click.Choice(states.ALL), help="Only jobs in this state.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_jobs(status: str | None, limit: int, offset: int, as_json: bool) -> None:
    """List the jobs of all teams, newest first."""
    load_django(existing=True)
    from queueing.models import GenerationJob

    rows = GenerationJob.objects.order_by("-created_at", "-id")
    if status:
        rows = rows.filter(state=status)
    entries = [_entry(row) for row in rows[offset : offset + limit]]
    if as_json:
        page = {"status": status or "any", "count": len(entries), "total": rows.count()}
        click.echo(json.dumps({**page, "jobs": entries}, indent=2))
        return
    for entry in entries:
        click.echo(_line(entry))
    click.echo(f"{len(entries)} of {rows.count()} jobs")


def _entry(row: "GenerationJob") -> dict[str, Any]:
    return {
        "id": row.id,
        "projectId": row.project_id,
        "teamId": row.team_id,
        "sourceType": row.source_type,
        "kind": row.kind,
        "status": row.state,
        "attempts": row.attempts,
        "createdAt": row.created_at.isoformat(timespec="milliseconds"),
        "lastError": (row.last_error or {}).get("reason"),
    }


def _line(entry: dict[str, Any]) -> str:
    error = f"  {entry['lastError']}" if entry["lastError"] else ""
    return (
        f"{entry['createdAt']}  {entry['id']}  {entry['kind']:<11}  {entry['status']:<10}"
        f"  attempts {entry['attempts']}{error}"
    )
