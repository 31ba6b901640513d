"""Jobs: list, look at, wait for, retry, cancel."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Router

from claudemem.api import audited, entities, pages, queries, reach, waiting, wire
from claudemem.api.answers import Answer
from claudemem.api.calls import Call, Needs, flags, origin
from claudemem.api.documents import says
from observations import scopes
from observations.errors import Forbidden, NotFound
from queueing import operations, states
from queueing.errors import JobConflict
from queueing.models import GenerationJob

router = Router(tags=["jobs"])

_FARTHEST = 10**9
_NUMBER = re.compile(r"\s*([+-]?\d{1,18})", re.ASCII)


@router.get(
    "/jobs",
    auth=Needs(scopes.READ_JOBS),
    openapi_extra=says(query=queries.Jobs, answers={200: wire.jobs.RequestedJobsPage}),
)
def show_all(request: Call) -> Answer[wire.jobs.RequestedJobsPage]:
    """The caller's jobs, newest first. A filter that is not understood is ignored."""
    entry = _entry(request)
    rows = reach.jobs(request.auth).filter(**_filters(request))
    page = _listed(request, "jobs_list", rows, entry)
    return Answer({**page, "requestId": request.request_id})


@router.get(
    "/teams/{team_id}/jobs",
    auth=Needs(scopes.READ_JOBS),
    openapi_extra=says(query=queries.JobsOfState, answers={200: wire.jobs.JobsPage}),
)
def show_of_team(request: Call, team_id: str) -> Answer[wire.jobs.JobsPage]:
    """The jobs of the caller's team; of a project alone, where the key is bound to one."""
    if team_id != request.auth.team_id:
        raise NotFound("Team not found")
    return Answer(_listed(request, "team_jobs", reach.jobs(request.auth).filter(**_state(request))))


@router.get(
    "/projects/{project_id}/jobs",
    auth=Needs(scopes.READ_JOBS),
    openapi_extra=says(query=queries.JobsOfState, answers={200: wire.jobs.JobsPage}),
)
def show_of_project(request: Call, project_id: str) -> Answer[wire.jobs.JobsPage]:
    """The jobs of a project within the caller's reach."""
    if not reach.sees_project(request.auth, project_id):
        raise NotFound("Project not found")
    rows = reach.jobs(request.auth).filter(project_id=project_id, **_state(request))
    return Answer(_listed(request, "project_jobs", rows, about=project_id))


@router.get(
    "/jobs/{job_id}",
    auth=Needs(scopes.READ_JOBS),
    openapi_extra=says(query=queries.JobFlags, answers={200: wire.jobs.OneJob}),
)
def show(request: Call, job_id: str) -> Answer[wire.jobs.OneJob]:
    """One job; with `wait=true` once it is settled, or when that takes too long."""
    waits = flags(request).wait
    return Answer(_told(reach.job(request.auth, job_id), waits))


@router.get(
    "/jobs/{job_id}/events",
    auth=Needs(scopes.READ_JOBS),
    openapi_extra=says(query=queries.Window, answers={200: wire.jobs.JobHistory}),
)
def history(request: Call, job_id: str) -> Answer[wire.jobs.JobHistory]:
    """What became of a job, transition by transition, oldest first."""
    rows = reach.job(request.auth, job_id).history.order_by("id")
    in_full = scopes.allows(request.auth.scopes, scopes.READ_PAYLOADS)
    limit, offset = _window(request)
    lines = enumerate(rows[offset : offset + limit], offset + 1)
    return Answer(
        {
            "events": [entities.job_event(row, place, in_full) for place, row in lines],
            "total": rows.count(),
            "limit": limit,
            "offset": offset,
            "requestId": request.request_id,
        }
    )


@router.post(
    "/jobs/{job_id}/retry",
    auth=Needs(scopes.WRITE_MEMORY),
    openapi_extra=says(
        query=queries.JobFlags, answers={200: wire.jobs.JobRetried}, refusals=(JobConflict,)
    ),
)
def retry(request: Call, job_id: str) -> Answer[wire.jobs.JobRetried]:
    """Queue a failed, cancelled or stalled job again; one that waits already is only nudged."""
    waits = flags(request).wait
    by = origin(request, "operator_retry")
    retried = operations.retry(reach.job(request.auth, job_id).id, by)
    return Answer(
        {
            **_told(retried.job, waits),
            "retriedCount": retried.job.retried_count,
            "alreadyQueued": retried.already_queued,
            "requestId": request.request_id,
        }
    )


@router.post(
    "/jobs/{job_id}/cancel",
    auth=Needs(scopes.WRITE_MEMORY),
    openapi_extra=says(answers={200: wire.jobs.JobCancelled}, refusals=(JobConflict,)),
)
def cancel(request: Call, job_id: str) -> Answer[wire.jobs.JobCancelled]:
    """Cancel a job that is not completed."""
    by = origin(request, "operator_cancel")
    cancelled = operations.cancel(reach.job(request.auth, job_id).id, by)
    return Answer(
        {
            "generationJob": entities.job_status(cancelled.job),
            "alreadyCancelled": cancelled.already_cancelled,
            "requestId": request.request_id,
        }
    )


def _told(job: GenerationJob, waits: bool) -> wire.jobs.OneJob:
    if not waits:
        return {"generationJob": entities.job_status(job)}
    waited = waiting.wait({job.id})
    told: wire.jobs.OneJob = {"generationJob": entities.job_status(waited.jobs.get(job.id, job))}
    if job.id in waited.late:
        told["waitTimedOut"] = True
    return told


def _listed(
    request: Call,
    mode: str,
    rows: QuerySet[GenerationJob],
    entry: Callable[[GenerationJob], wire.jobs.JobEntry] = entities.job_entry,
    about: str | None = None,
) -> wire.jobs.JobsPage:
    """A page of these jobs, newest first, once that it is shown is entered in the audit."""
    limit, offset = _window(request)
    jobs = [entry(row) for row in rows.order_by("-id")[offset : offset + limit]]
    in_full = {"payload": True} if entry is entities.job_entry_with_payload else {}
    audited.listed(request, mode, len(jobs), about, limit=limit, offset=offset, **in_full)
    return {"jobs": jobs, "total": rows.count(), "limit": limit, "offset": offset}


def _window(request: HttpRequest) -> tuple[int, int]:
    """How many to show, and how many to leave out before them."""
    limit = min(max(_number(request, "limit", pages.USUAL), 1), pages.MOST)
    return limit, min(max(_number(request, "offset", 0), 0), _FARTHEST)


def _entry(request: Call) -> Callable[[GenerationJob], wire.jobs.JobEntry]:
    if "payload" not in re.split(r"[\s,]+", request.GET.get("include", "")):
        return entities.job_entry
    if not scopes.allows(request.auth.scopes, scopes.READ_PAYLOADS):
        raise Forbidden("`include=payload` requires admin scope")
    return entities.job_entry_with_payload


def _filters(request: HttpRequest) -> dict[str, Any]:
    filters: dict[str, Any] = _state(request)
    if (source_type := request.GET.get("source_type")) in queries.SOURCE_TYPES:
        filters["source_type"] = source_type
    if since := _date(request.GET.get("since", "")):
        filters["created_at__gte"] = since
    return filters


def _state(request: HttpRequest) -> dict[str, str]:
    state = request.GET.get("status", "")
    return {"state": state} if state in states.ALL else {}


def _number(request: HttpRequest, name: str, usual: int) -> int:
    found = _NUMBER.match(request.GET.get(name, ""))
    return int(found[1]) if found else usual


def _date(text: str) -> datetime | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return None
