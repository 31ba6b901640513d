"""`claudemem jobs …`: what became of the work."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from claudemem.commands import BY_OPERATOR, jobs_inspect, jobs_pause, jobs_status
from claudemem.commands.plain import plain
from claudemem.commands.scoping import always_json, jobs_of, scoped, told
from queueing import states

if TYPE_CHECKING:
    from observations.tenants import Tenant
    from queueing.models import GenerationJob

# Databases count no farther than some nineteen digits; no table has so many rows.
FARTHEST = 10**12


@click.group
def jobs() -> None:
    """Look at jobs, retry and cancel them, pause and resume work."""


jobs.add_command(jobs_status.status)


@jobs.command("list")
@scoped
@click.option("--status", type=click.Choice(states.ALL), help="Only jobs in this state.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@click.option("--offset", type=click.IntRange(0, FARTHEST), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_jobs(tenant: "Tenant", status: str | None, limit: int, offset: int, as_json: bool) -> None:
    """List jobs, newest first."""
    rows = jobs_of(tenant).order_by("-id")  # ids are in the order of time
    if status:
        rows = rows.filter(state=status)
    entries = [_entry(row) for row in rows[offset : offset + limit]]
    if as_json:
        page = {"scope": told(tenant), "status": status or "any", "count": len(entries)}
        _show({**page, "total": rows.count(), "jobs": entries})
        return
    for entry in entries:
        click.echo(_line(entry))
    click.echo(f"{len(entries)} of {rows.count()} jobs")


@jobs.command
@scoped
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def failed(tenant: "Tenant", limit: int, as_json: bool) -> None:
    """List the jobs that failed for good, the last one first, and why."""
    rows = jobs_of(tenant).filter(state=states.FAILED).order_by("-failed_at", "-id")[:limit]
    entries = [_failure(row) for row in rows]
    if as_json:
        page = {"scope": told(tenant), "limit": limit, "count": len(entries)}
        _show({**page, "failed": entries})
        return
    for entry in entries:
        why = plain(entry["lastError"] or "nothing is known of why")
        click.echo(f"{entry['failedAt']}  {entry['id']}  attempts {entry['attempts']}  {why}")
    again = ": `claudemem jobs retry ID` tries one again" if entries else ""
    click.echo(f"{len(entries)} failed jobs{again}")


jobs.add_command(jobs_inspect.inspect)


@jobs.command(short_help="Queue a failed or cancelled job again.")
@scoped
@always_json
@click.argument("job_id", metavar="ID")
def retry(tenant: "Tenant", job_id: str) -> None:
    """Queue a failed or cancelled job again; show what became of it as JSON."""
    from queueing import operations

    with _known(tenant, job_id):
        done = operations.retry(job_id, BY_OPERATOR)
    _done("retry", done.job, "noop_already_queued" if done.already_queued else "requeued")


@jobs.command(short_help="Cancel a job that is not completed.")
@scoped
@always_json
@click.argument("job_id", metavar="ID")
def cancel(tenant: "Tenant", job_id: str) -> None:
    """Cancel a job that is not completed; show what became of it as JSON."""
    from queueing import operations

    with _known(tenant, job_id):
        done = operations.cancel(job_id, BY_OPERATOR)
    _done("cancel", done.job, "noop_already_cancelled" if done.already_cancelled else "cancelled")


@jobs.command(short_help="Cancel all jobs of a session that wait or are worked.")
@scoped
@always_json
@click.option("--session", "session_id", required=True, metavar="ID", help="The session's id.")
def clear(tenant: "Tenant", session_id: str) -> None:
    """Cancel all jobs of a session that wait or are worked; show how many as JSON."""
    from observations.models import Session
    from queueing import operations

    session = Session.objects.filter(pk=session_id, **tenant.columns).first()
    if session is None:
        raise click.ClickException(
            f"there is no session {session_id}{tenant.place}: the admin has their ids, in the "
            "list of sessions"
        )
    cancelled = operations.clear(session.lane_key, session.id, BY_OPERATOR)
    _show({"sessionId": session.id, "action": "clear", "cancelled": cancelled})


for _command in (jobs_pause.pause, jobs_pause.resume, jobs_pause.drain):
    jobs.add_command(_command)


@contextmanager
def _known(tenant: "Tenant", job_id: str) -> Iterator[None]:
    """Say where ids are told if there is no such job within the scope."""
    from queueing.errors import JobNotFound

    try:
        if not jobs_of(tenant).filter(pk=job_id).exists():
            raise JobNotFound
        yield
    except JobNotFound:
        raise click.ClickException(
            f"there is no job {job_id}{tenant.place}: `claudemem jobs list` tells their ids"
        ) from None


def _done(action: str, job: "GenerationJob", outcome: str) -> None:
    _show(
        {
            "id": job.id,
            "action": action,
            "outcome": outcome,
            "retriedCount": job.retried_count,
            "status": job.state,
            "attempts": job.attempts,
        }
    )


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


def _failure(row: "GenerationJob") -> dict[str, Any]:
    at = row.failed_at
    return {
        "id": row.id,
        "sourceType": row.source_type,
        "sourceId": row.source_id,
        "teamId": row.team_id,
        "projectId": row.project_id,
        "attempts": row.attempts,
        "failedAt": at.isoformat(timespec="milliseconds") if at else None,
        "lastError": (row.last_error or {}).get("reason"),
    }


def _line(entry: dict[str, Any]) -> str:
    error = f"  {plain(entry['lastError'])}" if entry["lastError"] else ""
    return (
        f"{entry['createdAt']}  {entry['id']}  {entry['kind']:<11}  {entry['status']:<10}"
        f"  attempts {entry['attempts']}{error}"
    )


def _show(data: dict[str, Any]) -> None:
    click.echo(json.dumps(data, indent=2))
