"""`claudemem jobs inspect`: all there is to know of one job, and why it does not go on."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from claudemem.commands.plain import plain
from claudemem.commands.scoping import jobs_of, scoped

if TYPE_CHECKING:
    from observations.tenants import Tenant
    from queueing.models import GenerationJob, GenerationJobEvent
    from queueing.whereabouts import Whereabouts

_NAME = 12
# So many lines of a job's history are told, the last ones.
LINES = 200


@click.command(short_help="Show a job with its history and what it waits for.")
@scoped
@click.argument("job_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def inspect(tenant: "Tenant", job_id: str, as_json: bool) -> None:
    """Show a job: its row, its place in line, who has it, what holds it, and its history."""
    from queueing import whereabouts
    from queueing.errors import JobNotFound

    try:
        found = whereabouts.find(job_id, jobs_of(tenant))
    except JobNotFound:
        raise click.ClickException(
            f"there is no job {job_id}{tenant.place}: `claudemem jobs list` tells their ids"
        ) from None
    last = list(found.job.history.order_by("-id")[:LINES])
    report = _report(found, last[::-1])
    click.echo(json.dumps(report, indent=2) if as_json else _text(report))


def _report(found: "Whereabouts", history: "list[GenerationJobEvent]") -> dict[str, Any]:
    from claudemem import standing
    from queueing import identity

    job = found.job
    lease = {
        "by": identity.shown(job.leased_by),
        "until": _at(job.lease_until),
        "expired": found.is_stalled,
    }
    return {
        **_row(job),
        "waitsFor": found.waits_for,
        "lane": {
            "id": job.lane_id,
            "key": job.lane.key,
            "seq": job.seq,
            "head": job.lane.head,
            "tail": job.lane.tail,
            "ahead": found.ahead,
            "firstAhead": found.first.id if found.first else None,
            "wokenAt": _at(job.lane.woken_at),
        },
        "lease": lease if job.lease_until else None,
        "pauses": [
            {"subject": hold.subject, "name": hold.name, "reason": hold.reason,
             "since": hold.since, "by": hold.by}
            for hold in standing.held(found.holds)
        ],
        "history": [
            {"at": _at(line.created_at), "event": line.event, "status": line.state_after,
             "attempt": line.attempt, "details": line.details}
            for line in history
        ],
    }  # fmt: skip


def _row(job: "GenerationJob") -> dict[str, Any]:
    return {
        "id": job.id,
        "status": job.state,
        "kind": job.kind,
        "bullmqJobId": job.queue_job_id,
        "teamId": job.team_id,
        "projectId": job.project_id,
        "serverSessionId": job.session_id,
        "sourceType": job.source_type,
        "sourceId": job.source_id,
        "attempts": job.attempts,
        "maxAttempts": job.max_attempts,
        "retriedCount": job.retried_count,
        "token": job.token,
        "size": job.size,
        "covers": job.covers,
        "origin": job.origin,
        "lastError": job.last_error,
        "createdAt": _at(job.created_at),
        "updatedAt": _at(job.updated_at),
        "dueAt": _at(job.due_at),
        "completedAt": _at(job.completed_at),
        "failedAt": _at(job.failed_at),
        "cancelledAt": _at(job.cancelled_at),
    }


def _text(report: dict[str, Any]) -> str:
    lane, lease, error = report["lane"], report["lease"], report["lastError"] or {}
    known = {
        "job": f"{report['id']}  {report['kind']}",
        "state": f"{report['status']}, {report['attempts']} of {report['maxAttempts']} attempts",
        "waits for": report["waitsFor"],
        "last error": error.get("reason"),
        "about": f"{report['sourceType']} {report['sourceId']}",
        "team": report["teamId"],
        "project": report["projectId"],
        "session": report["serverSessionId"],
        "lane": f"{lane['key']}  {_place(report)}".rstrip(),
        "lease": lease and f"{lease['by']} until {lease['until']}",
        "created": report["createdAt"],
        "due": report["dueAt"],
    }  # fmt: skip
    lines = [f"{name:<{_NAME}} {plain(value)}" for name, value in known.items() if value]
    lines += [f"{'paused':<{_NAME}} {_paused(hold)}" for hold in report["pauses"]]
    return "\n".join([*lines, "", *(_line(line) for line in report["history"])])


def _place(report: dict[str, Any]) -> str:
    """Where a job stands in its lane; nothing of one that waits for nothing any more."""
    if report["status"] not in ("queued", "processing"):
        return ""
    lane = report["lane"]
    return f"place {lane['seq']} of {lane['tail']}, {lane['ahead']} before it"


def _paused(hold: dict[str, Any]) -> str:
    why = f": {plain(hold['reason'])}" if hold["reason"] else ""
    return f"{plain(hold['name'])}, since {hold['since']} by {hold['by']}{why}"


def _note(name: str, value: object) -> object:
    """A note of the history as people read it: a worker by its host and number."""
    from queueing import identity

    return identity.shown(str(value)) if name == "worker" else value


def _line(line: dict[str, Any]) -> str:
    what = line["event"]
    if what != line["status"]:
        what = f"{what} → {line['status']}"
    notes = ", ".join(
        f"{name} {plain(_note(name, value))}" for name, value in line["details"].items()
    )
    return f"{line['at']}  {what:<26}  attempt {line['attempt']}  {notes}".rstrip()


def _at(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds") if moment else None
