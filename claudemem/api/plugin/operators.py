"""Operators of the server, on its own machine: restart, shut down, look at its processes.

Whoever can reach the machine is not yet an operator: the server takes such orders only where its
own settings say so.
"""

from typing import cast

from django.conf import settings
from django.http import HttpRequest
from ninja import Router

from claudemem import operating
from claudemem.api.answers import Answer
from claudemem.api.calls import Loopback
from claudemem.api.documents import says
from claudemem.api.wire import plugin as wire
from observations.errors import Conflict, Forbidden

ONLY_HERE = "Admin endpoints are only accessible from localhost"
SWITCHED_OFF = (
    "this server takes no such orders: run `claudemem restart` or `claudemem stop`, or set "
    "CLAUDE_MEM_SERVER_ADMIN=1 where it is started"
)

router = Router(tags=["operators"])


class Operates(Loopback):
    """Lets programs of this machine pass, where the server takes orders. Raises Forbidden."""

    def __call__(self, request: HttpRequest) -> object:
        caller = super().__call__(request)
        if not settings.SERVER_ADMIN:
            raise Forbidden(SWITCHED_OFF)
        return caller


@router.post(
    "/restart",
    auth=Operates(ONLY_HERE),
    openapi_extra=says(answers={200: wire.Restarting}, refusals=(Forbidden, Conflict)),
)
def restart(request: HttpRequest) -> Answer[wire.Restarting]:  # noqa: ARG001
    """Replace every process, one by one, and answer what is asked meanwhile; 409 where alone."""
    operating.restart()
    return Answer({"status": "restarting"})


@router.post(
    "/shutdown",
    auth=Operates(ONLY_HERE),
    openapi_extra=says(answers={200: wire.ShuttingDown}, refusals=(Forbidden,)),
)
def shutdown(request: HttpRequest) -> Answer[wire.ShuttingDown]:  # noqa: ARG001
    """Stop everything softly; what is in hand is finished or given back."""
    operating.stop()
    return Answer({"status": "shutting_down"})


@router.get(
    "/doctor",
    auth=Loopback(ONLY_HERE),
    openapi_extra=says(answers={200: wire.Doctor}, refusals=(Forbidden,)),
)
def doctor(request: HttpRequest) -> Answer[wire.Doctor]:  # noqa: ARG001
    """The processes of this server, and how its parts are."""
    return Answer(cast(wire.Doctor, operating.doctor()))
