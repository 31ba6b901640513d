"""Is it alive, can it accept, what is it made of. No key is needed for these."""

# ruff: noqa: ARG001
from typing import cast

from django.http import HttpRequest
from ninja import Router

from claudemem import condition, health, leaving, monitor
from claudemem.api import calls, reach
from claudemem.api.answers import Answer
from claudemem.api.documents import says
from claudemem.api.wire import vitals
from observations import scopes
from queueing import depths, kinds, states

router = Router(tags=["status"], auth=None)

_STOPPING = "this server was told to stop: ask another one"


@router.get("/healthz", openapi_extra=says(answers={200: vitals.Alive}))
def alive(request: HttpRequest) -> Answer[vitals.Alive]:
    """This process answers; nothing else is asked."""
    return Answer({"status": "ok", "runtime": health.RUNTIME})


@router.get(
    "/readyz",
    openapi_extra=says(answers={200: vitals.Accepting, 503: vitals.NotAccepting}),
)
def accepting(request: HttpRequest) -> Answer[vitals.Accepting | vitals.NotAccepting]:
    """Events can be accepted: the database answers, is migrated and takes writes; else 503.

    So it is where this server was told to stop: others must be asked then.

    Neither the provider nor the queue store is asked: without them events are accepted as well.
    """
    obstacle = _STOPPING if leaving.begun.is_set() else condition.obstacle()
    if not obstacle:
        return Answer({"status": "ready"})
    return Answer({"status": "not ready", "message": obstacle}, status=503)


@router.get(
    "/api/readiness",
    openapi_extra=says(answers={200: vitals.Ready, 503: vitals.Initializing}),
)
def ready(request: HttpRequest) -> Answer[vitals.Ready | vitals.Initializing]:
    """Events can be accepted: the database answers and is migrated. 503 where not."""
    if condition.known().initialized:
        return Answer({"status": "ready", "mcpReady": True})
    message = "Worker is still initializing, please retry"
    return Answer({"status": "initializing", "message": message}, status=503)


@router.get("/api/health", openapi_extra=says(answers={200: vitals.Summary, 503: vitals.Summary}))
def summary(request: HttpRequest) -> Answer[vitals.Summary]:
    """How everything is; 503 where something is not as it must be."""
    told = cast(vitals.Summary, health.summary())
    return Answer(told, status=200 if told["status"] == "ok" else 503)


@router.get("/api/version", openapi_extra=says(answers={200: vitals.Version}))
def version(request: HttpRequest) -> Answer[vitals.Version]:
    """The version of this program."""
    return Answer({"version": health.told_version()})


@router.get(
    "/api/processing-status",
    openapi_extra=says(answers={200: vitals.Processing}, with_key=scopes.READ_JOBS),
)
def processing(request: HttpRequest) -> Answer[vitals.Processing]:
    """How many jobs wait or are worked. With a key, those in its reach; without one, all."""
    asks = calls.holder(request, scopes.READ_JOBS)
    counted = monitor.open_jobs() if asks is None else reach.open_jobs(asks)
    depth = counted.total()
    by_kind = {name: _of_kind(counted, name) for name in kinds.BY_NAME}
    return Answer({"isProcessing": depth > 0, "queueDepth": depth, "kinds": by_kind})


def _of_kind(counted: depths.Counts, kind: str) -> vitals.OpenOfKind:
    return {
        "queued": counted[kind, states.QUEUED],
        "processing": counted[kind, states.PROCESSING],
    }


@router.get("/v1/info", openapi_extra=says(answers={200: vitals.Info}))
def info(request: HttpRequest) -> Answer[vitals.Info]:
    """What this server is, and how its parts are."""
    return Answer(cast(vitals.Info, health.info()))


@router.get("/v1/health", openapi_extra=says(answers={200: vitals.Report}))
def monitored(request: HttpRequest) -> Answer[vitals.Report]:
    """Everything against its limits. 200 whatever the verdict: that is in the body."""
    return Answer(cast(vitals.Report, monitor.report()))
