"""Operators of the server, on its own machine: restart, shut down, look at its processes.

Who may reach the machine is not yet an operator: whoever is to end the server needs a key with the
scope `admin`, unless the server's own settings say that everybody here may.
"""

from django.conf import settings
from django.http import HttpRequest
from ninja import Router

from claudemem import operating
from claudemem.api.answers import Answer
from claudemem.api.calls import Caller, Loopback, Needs
from observations import scopes
from observations.errors import Forbidden

ONLY_HERE = "Admin endpoints are only accessible from localhost"
OF_ONE_PROJECT = "a key of one project may not end the server of all: use one of its team"

router = Router(tags=["operators"])


class Operates(Loopback):
    """Lets an operator of this machine pass. Raises Forbidden, and what `Needs` does."""

    def __init__(self) -> None:
        super().__init__(ONLY_HERE)
        self._key = Needs(scopes.OPERATE)

    def __call__(self, request: HttpRequest) -> object:
        super().__call__(request)
        if settings.SERVER_ADMIN and Caller.of_environ(request.META).raw is None:
            return True
        principal = self._key(request)
        if principal.project_id is not None:
            raise Forbidden(OF_ONE_PROJECT)
        return principal


@router.post("/restart", auth=Operates())
def restart(request: HttpRequest) -> Answer:  # noqa: ARG001
    """Replace every process, one by one, and answer what is asked meanwhile; 409 where alone."""
    operating.restart()
    return Answer({"status": "restarting"})


@router.post("/shutdown", auth=Operates())
def shutdown(request: HttpRequest) -> Answer:  # noqa: ARG001
    """Stop everything softly; what is in hand is finished or given back."""
    operating.stop()
    return Answer({"status": "shutting_down"})


@router.get("/doctor", auth=Loopback(ONLY_HERE))
def doctor(request: HttpRequest) -> Answer:  # noqa: ARG001
    """The processes of this server, and how its parts are."""
    return Answer(operating.doctor())
