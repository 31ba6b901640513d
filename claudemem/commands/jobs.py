"""`claudemem jobs …`: what became of the work."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from claudemem.commands import BY_OPERATOR, load_django
from queueing import states

if TYPE_CHECKING:
    from queueing.models import GenerationJob


@click.group
def jobs() -> None:
    """Look at jobs, retry and cancel them, clear a session's queue."""


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


@jobs.command(short_help="Queue a failed or cancelled job again.")
@click.argument("job_id", metavar="ID")
def retry(job_id: str) -> None:
    """Queue a failed or cancelled job again; show what became of it as JSON."""
    operations = _operations()
    with _known(job_id):
        done = operations.retry(job_id, BY_OPERATOR)
    _show("retry", done.job, "noop_already_queued" if done.already_queued else "requeued")


@jobs.command(short_help="Cancel a job that is not completed.")
@click.argument("job_id", metavar="ID")
def cancel(job_id: str) -> None:
    """Cancel a job that is not completed; show what became of it as JSON."""
    operations = _operations()
    with _known(job_id):
        done = operations.cancel(job_id, BY_OPERATOR)
    _show("cancel", done.job, "noop_already_cancelled" if done.already_cancelled else "cancelled")


@jobs.command(short_help="Cancel all jobs of a session that wait or are worked.")
@click.option("--session", "session_id", required=True, metavar="ID", help="The session's id.")
def clear(session_id: str) -> None:
    """Cancel all jobs of a session that wait or are worked; show how many as JSON."""
    operations = _operations()
    from observations.models import Session

    session = Session.objects.filter(pk=session_id).first()
    if session is None:
        raise click.ClickException(
            f"there is no session {session_id}: the admin has their ids, in the list of sessions"
        )
    cancelled = operations.clear(session.lane_key, session.id, BY_OPERATOR)
    told = {"sessionId": session.id, "action": "clear", "cancelled": cancelled}
    click.echo(json.dumps(told, indent=2))


@contextmanager
def _known(job_id: str) -> Iterator[None]:
    """Say where ids are told if there is no such job."""
    from queueing.errors import JobNotFound

    try:
        yield
    except JobNotFound:
        raise click.ClickException(
            f"there is no job {job_id}: `claudemem jobs list` tells their ids"
        ) from None


def _operations() -> ModuleType:
    load_django(existing=True)
    # Celery's app must exist before anything publishes.
    from claudemem import celery  # noqa: F401
    from queueing import operations

    return operations


def _show(action: str, job: "GenerationJob", outcome: str) -> None:
    told = {
        "id": job.id,
        "action": action,
        "outcome": outcome,
        "retriedCount": job.retried_count,
        "status": job.state,
        "attempts": job.attempts,
    }
    click.echo(json.dumps(told, indent=2))


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
