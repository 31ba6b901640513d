"""Who may call what claude-mem's worker answered: a key, or a program of this machine without."""

from dataclasses import dataclass
from typing import Annotated

from django.conf import settings
from django.http import HttpRequest
from pydantic import Field

from claudemem.api import admission, peers
from claudemem.api.calls import Call, Caller, Needs, team
from claudemem.api.errors import BadRequest
from observations import scopes, tenants
from observations.briefing import Place, place
from observations.errors import InvalidInput, NotFound
from observations.keys import Principal

# What a query says of projects.
Names = Annotated[str, Field(description="Names with commas between; the last is the own one")]
# So many projects or paths may be asked about at once: each is a condition of its own.
MOST_NAMED = 100
# Whoever is bound to no project has to name one.
NAMELESS = (BadRequest, NotFound)
_OF_WORKER = frozenset({scopes.MEMORIES_READ, scopes.MEMORIES_WRITE})


class Here(Needs):
    """As `Needs`; and where a project is configured for it, programs of this machine need no key.

    They act in that project alone, within the limits of its team. No page of a browser may come
    that way, unless it is one of this server. Raises what `Needs` does, and NotFound where there is
    no such project.
    """

    keyless = True

    def __call__(self, request: HttpRequest) -> Principal:
        caller = Caller.of_environ(request.META)
        keyless = settings.LOCAL_PROJECT and caller.raw is None
        if keyless and peers.local(caller) and not peers.foreign(caller):
            principal = _of_worker(settings.LOCAL_PROJECT)
            admitted = admission.admit(principal, writes=scopes.writes(self.need))
            request.admitted = admitted  # type: ignore[attr-defined]  # it is a Call from here on
            return principal
        return super().__call__(request)


def _of_worker(named: str) -> Principal:
    project = tenants.tenant(None, named).project
    assert project is not None
    return Principal(None, project.team_id, project.id, _OF_WORKER)


READ = Here(scopes.READ_MEMORY)


def own_project(request: Call, route: str) -> str:
    """The project that the caller is bound to. Raises BadRequest for one that is bound to none."""
    if request.auth.project_id is None:
        raise BadRequest(f"Legacy {route} requires a project-scoped API key")
    return request.auth.project_id


@dataclass(frozen=True, slots=True)
class Asked:
    """Where a caller wants to read: a place, and the name that its page gives it."""

    place: Place
    title: str


def asked(request: Call, under: list[str] | None = None) -> Asked:
    """What the caller finds under these names; None: under those of its query, else all there is.

    Raises BadRequest where there are none, InvalidInput for a query that no database takes.
    """
    for name, values in request.GET.lists():
        if any("\0" in value for value in (name, *values)):
            raise InvalidInput("must not contain NUL", (name.replace("\0", ""),))
    if under is None:
        under = names(request) or all_of(request)
    if not under:
        raise BadRequest("Name at least one project: projects=<name>,<name>")
    return Asked(place(team(request), request.auth.project_id, under), under[-1])


def names(request: HttpRequest) -> list[str]:
    """The names in `projects` or `project`, each once, in their order. Raises BadRequest."""
    given = request.GET.get("projects", "") or request.GET.get("project", "")
    named = list(dict.fromkeys(name.strip() for name in given.split(",") if name.strip()))
    return few(named, "projects")


def few(given: list[str], what: str) -> list[str]:
    """What was given, if it is not more than a query can be made of. Raises BadRequest."""
    if len(given) > MOST_NAMED:
        raise BadRequest(f"Name at most {MOST_NAMED} {what}")
    return given


def all_of(request: Call) -> list[str]:
    """The name of all that the caller is bound to; none of a caller that is bound to nothing."""
    return [request.auth.project_id] if request.auth.project_id else []
