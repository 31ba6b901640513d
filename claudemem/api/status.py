"""Is it alive, can it accept, what is it made of. No key is needed for these."""

# ruff: noqa: ARG001
from django.http import HttpRequest
from ninja import Router

from claudemem import condition, health, leaving, monitor
from claudemem.api import calls, reach
from claudemem.api.answers import Answer
from observations import scopes
from queueing import depths, kinds, states

router = Router(tags=["status"], auth=None)

_STOPPING = "this server was told to stop: ask another one"


@router.get("/healthz")
def alive(request: HttpRequest) -> Answer:
    """This process answers; nothing else is asked."""
    return Answer({"status": "ok", "runtime": health.RUNTIME})


@router.get("/readyz")
def accepting(request: HttpRequest) -> Answer:
    """Events can be accepted: the database answers, is migrated and takes writes; else 503.

    So it is where this server was told to stop: others must be asked then.

    Neither the provider nor the queue store is asked: without them events are accepted as well.
    """
    obstacle = _STOPPING if leaving.begun.is_set() else condition.obstacle()
    if not obstacle:
        return Answer({"status": "ready"})
    return Answer({"status": "not ready", "message": obstacle}, status=503)


@router.get("/api/readiness")
def ready(request: HttpRequest) -> Answer:
    """Events can be accepted: the database answers and is migrated. 503 where not."""
    if condition.known().initialized:
        return Answer({"status": "ready", "mcpReady": True})
    message = "Worker is still initializing, please retry"
    return Answer({"status": "initializing", "message": message}, status=503)


@router.get("/api/health")
def summary(request: HttpRequest) -> Answer:
    """How everything is; 503 where something is not as it must be."""
    told = health.summary()
    return Answer(told, status=200 if told["status"] == "ok" else 503)


@router.get("/api/version")
def version(request: HttpRequest) -> Answer:
    """The version of this program."""
    return Answer({"version": health.version()})


@router.get("/api/processing-status")
def processing(request: HttpRequest) -> Answer:
    """How many jobs wait or are worked. With a key, those in its reach; without one, all."""
    asks = calls.caller(request, scopes.READ_JOBS)
    counted = monitor.open_jobs() if asks is None else reach.open_jobs(asks)
    depth = counted.total()
    by_kind = {name: _of_kind(counted, name) for name in kinds.BY_NAME}
    return Answer({"isProcessing": depth > 0, "queueDepth": depth, "kinds": by_kind})


def _of_kind(counted: depths.Counts, kind: str) -> dict[str, int]:
    return {state: counted[kind, state] for state in states.OPEN}


@router.get("/v1/info")
def info(request: HttpRequest) -> Answer:
    """What this server is, and how its parts are."""
    return Answer(health.info())


@router.get("/v1/health")
def monitored(request: HttpRequest) -> Answer:
    """Everything against its limits. 200 whatever the verdict: that is in the body."""
    return Answer(monitor.report())
