"""Jobs: list, look at, retry, cancel."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router

from claudemem.api import audited, entities, reach
from claudemem.api.answers import Answer
from claudemem.api.calls import Call, Needs, origin
from observations import scopes
from observations.errors import Forbidden
from queueing import operations, states

router = Router(tags=["jobs"])

SOURCE_TYPES = ("agent_event", "session_summary", "observation_reindex")
MOST, USUAL = 200, 50
_FARTHEST = 10**9
_NUMBER = re.compile(r"\s*([+-]?\d{1,18})", re.ASCII)


@router.get("/jobs", auth=Needs(scopes.READ_JOBS))
def show_all(request: Call) -> Answer:
    """The caller's jobs, newest first. A filter that is not understood is ignored."""
    entry = _entry(request)
    rows = reach.jobs(request.auth).filter(**_filters(request))
    limit = min(max(_number(request, "limit", USUAL), 1), MOST)
    offset = min(max(_number(request, "offset", 0), 0), _FARTHEST)
    jobs = [entry(row) for row in rows.order_by("-id")[offset : offset + limit]]
    with_payload = {"payload": True} if entry is entities.job_entry_with_payload else {}
    audited.listed(request, "jobs_list", len(jobs), limit=limit, offset=offset, **with_payload)
    page = {"jobs": jobs, "total": rows.count(), "limit": limit, "offset": offset}
    return Answer({**page, "requestId": request.request_id})


@router.get("/jobs/{job_id}", auth=Needs(scopes.READ_JOBS))
def show(request: Call, job_id: str) -> Answer:
    """One job."""
    return Answer({"generationJob": entities.job_status(reach.job(request.auth, job_id))})


@router.post("/jobs/{job_id}/retry", auth=Needs(scopes.WRITE_MEMORY))
def retry(request: Call, job_id: str) -> Answer:
    """Queue a failed or cancelled job again; one that waits already is left as it is."""
    by = origin(request, "operator_retry")
    retried = operations.retry(reach.job(request.auth, job_id).id, by)
    return Answer(
        {
            "generationJob": entities.job_status(retried.job),
            "retriedCount": retried.job.retried_count,
            "alreadyQueued": retried.already_queued,
            "requestId": request.request_id,
        }
    )


@router.post("/jobs/{job_id}/cancel", auth=Needs(scopes.WRITE_MEMORY))
def cancel(request: Call, job_id: str) -> Answer:
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


def _entry(request: Call) -> Any:
    if "payload" not in re.split(r"[\s,]+", request.GET.get("include", "")):
        return entities.job_entry
    if not scopes.allows(request.auth.scopes, scopes.READ_PAYLOADS):
        raise Forbidden("`include=payload` requires admin scope")
    return entities.job_entry_with_payload


def _filters(request: HttpRequest) -> dict[str, Any]:
    filters: dict[str, Any] = {}
    if (state := request.GET.get("status")) in states.ALL:
        filters["state"] = state
    if (source_type := request.GET.get("source_type")) in SOURCE_TYPES:
        filters["source_type"] = source_type
    if since := _date(request.GET.get("since", "")):
        filters["created_at__gte"] = since
    return filters


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
