"""Is it alive, can it accept, what is it made of. No key is needed for these."""

# ruff: noqa: ARG001
from django.http import HttpRequest
from ninja import Router

from claudemem import health
from claudemem.api.answers import Answer

router = Router(tags=["status"], auth=None)


@router.get("/healthz")
def alive(request: HttpRequest) -> Answer:
    """This process answers; nothing else is asked."""
    return Answer({"status": "ok", "runtime": health.RUNTIME})


@router.get("/api/readiness")
def ready(request: HttpRequest) -> Answer:
    """Events can be accepted: the database answers and is migrated. 503 where not."""
    if health.database().initialized:
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


@router.get("/v1/info")
def info(request: HttpRequest) -> Answer:
    """What this server is, and how its parts are."""
    return Answer(health.info())
