"""Retrying and cancelling from the admin: asked for, confirmed, done, told."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from queueing import operations
from queueing.browsing import by_user
from queueing.errors import JobConflict, JobNotFound
from queueing.models import GenerationJob

# Where an operation that was started on a job's own page leads back to.
RETURN_TO_JOB = "return-to-job"
CONFIRMED = "confirmed"
# So many of the chosen jobs are named when it is asked whether to go on.
MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Operation:
    """What can be done to jobs: the action's name, its verb, what it means, and the deed.

    `do` takes the id of a job and who asks, and says in words what became of it.
    """

    action: str
    verb: str
    means: str
    do: Callable[[str, Mapping[str, str]], str]


def _retry(job_id: str, by: Mapping[str, str]) -> str:
    done = operations.retry(job_id, by)
    return "queued already; nudged again" if done.already_queued else "queued again"


def _cancel(job_id: str, by: Mapping[str, str]) -> str:
    done = operations.cancel(job_id, by)
    return "cancelled already" if done.already_cancelled else "cancelled"


RETRY = Operation(
    "retry_jobs",
    "Retry",
    "Failed and cancelled jobs are queued again at the end of their lanes, with all of their "
    "attempts.",
    _retry,
)
CANCEL = Operation(
    "cancel_jobs",
    "Cancel",
    "It takes effect at once. What a worker makes of a job that it has in hand is dropped, and "
    "the lane goes on with the next one.",
    _cancel,
)


def ask_or_do(
    its_admin: "admin.ModelAdmin[GenerationJob]",
    request: HttpRequest,
    chosen: QuerySet[GenerationJob],
    operation: Operation,
) -> HttpResponse | None:
    """Ask whether to go on with the chosen jobs; once confirmed, do it and say what came of it."""
    if CONFIRMED not in request.POST:
        return _question(its_admin, request, chosen, operation)
    # Oldest first: jobs that are queued again keep the order in which they came.
    ids = list(chosen.order_by("id").values_list("pk", flat=True))
    for (level, text), those in _outcomes(ids, operation, by_user(request)).items():
        its_admin.message_user(request, _told(text, those), level)
    if RETURN_TO_JOB in request.POST and ids:
        return HttpResponseRedirect(_page(ids[0]))
    return None


def _question(
    its_admin: "admin.ModelAdmin[GenerationJob]",
    request: HttpRequest,
    chosen: QuerySet[GenerationJob],
    operation: Operation,
) -> HttpResponse:
    jobs = list(chosen.order_by("id"))
    alone = RETURN_TO_JOB in request.POST and jobs
    context: dict[str, Any] = {
        **its_admin.admin_site.each_context(request),
        "opts": its_admin.opts,
        "title": f"{operation.verb} {_counted(len(jobs))}?",
        "operation": operation,
        "jobs": jobs,
        "named": jobs[:MOST_NAMED],
        "more": max(0, len(jobs) - MOST_NAMED),
        "return_to_job": bool(alone),
        "back": _page(jobs[0].pk) if alone else request.get_full_path(),
    }
    return TemplateResponse(request, "queueing/confirm.html", context)


def _outcomes(
    ids: list[str], operation: Operation, by: Mapping[str, str]
) -> dict[tuple[int, str], list[str]]:
    outcomes: dict[tuple[int, str], list[str]] = defaultdict(list)
    for job_id in ids:
        try:
            outcomes[messages.SUCCESS, operation.do(job_id, by)].append(job_id)
        except (JobConflict, JobNotFound) as refusal:
            outcomes[messages.ERROR, str(refusal)].append(job_id)
    return outcomes


def _told(text: str, ids: list[str]) -> str:
    """An outcome and the jobs that it concerns; the first few by id."""
    named = ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
    return f"{_counted(len(ids))} {named}: {text}"


def _counted(number: int) -> str:
    return f"{number} job{'' if number == 1 else 's'}"


def _page(job_id: str) -> str:
    return reverse("admin:queueing_generationjob_change", args=[job_id])
