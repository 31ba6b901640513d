"""Projects: list, make, look at, and forget all that one remembers."""

from datetime import datetime
from typing import TypeAlias

from ninja import Router
from pydantic import Field, TypeAdapter

from claudemem.api import asking, bodies, entities, pages, reach, wire
from claudemem.api.answers import Answer, epoch
from claudemem.api.asking import Filter
from claudemem.api.calls import Call, Needs, origin, team
from claudemem.api.documents import says
from claudemem.api.pages import PageQuery
from claudemem.api.shapes import Body, Metadata, Name
from observations import emptying, listings, projects, scopes
from observations.emptying import Emptied
from observations.errors import Conflict, Forbidden, NotFound
from observations.listings import PROJECTS
from observations.portions import Counts
from observations.projects import NewProject
from queueing import retention

# So long an emptying is waited for: clients and proxies give up later.
_PATIENCE_SECONDS = 15.0
# So often it is worth looking how far one is.
_LOOK_SECONDS = 5
_GOES_ON = (
    "Deletion goes on without you: GET this address to see how far it is, and when it is done; "
    "what came after askedAtEpoch stays"
)
_WHO_STOPS = "an operator stopped it at the command line (claudemem projects empty)"
_STOPPED = (
    "What was not deleted yet stays, and events whose jobs are gone are not worked any more: "
    "DELETE this address to delete what is there now"
)
_Emptied: TypeAlias = wire.projects.ProjectEmptied | wire.projects.ProjectBeingEmptied

router = Router(tags=["projects"])


class ProjectBody(Body):
    """A project that is to be made in the caller's team."""

    name: Name
    root_path: Name | None = None
    metadata: Metadata = Field(default_factory=dict)


class ProjectsQuery(PageQuery):
    """Which projects are listed: all, or the one of a name."""

    name: Filter | None = None


MAKE = TypeAdapter(ProjectBody)
EXAMPLE = {"name": "shop", "rootPath": "/home/ada/shop"}


@router.get(
    "/projects",
    auth=Needs(scopes.READ_MEMORY),
    openapi_extra=says(query=ProjectsQuery, answers={200: wire.projects.Projects}),
)
def show_all(request: Call) -> Answer[wire.projects.Projects]:
    """The projects of the caller's team, or the one that its key is bound to; by name.

    Those that were merged into others are not listed.
    """
    asked = asking.read(request, ProjectsQuery)
    bound_to = pages.about("projects", [team(request), request.auth.project_id], asked)
    window = pages.window(asked, bound_to, PROJECTS.sorts)
    rows = reach.projects(request.auth).prefetch_related("aliases")
    found = listings.page(rows.filter(name=asked.name) if asked.name else rows, PROJECTS, window)
    told = [entities.project(row) for row in found.rows]
    return Answer({"projects": told, "nextCursor": pages.cursor(found.goes_on, bound_to)})


@router.post(
    "/projects",
    auth=Needs(scopes.WRITE_PROJECTS),
    openapi_extra=says(
        takes=MAKE, example=EXAMPLE, answers={201: wire.projects.OneProject}, refusals=(Conflict,)
    ),
)
def make(request: Call) -> Answer[wire.projects.OneProject]:
    """Make a project. Not with a key that is bound to one: it would not reach the other."""
    body = bodies.read(request, MAKE)
    if request.auth.project_id is not None:
        raise Forbidden("Project-scoped API keys cannot create projects")
    asked = origin(request, "http_post_v1_projects")
    project = projects.create(team(request), NewProject(**dict(body)), origin=asked)
    return Answer({"project": entities.project(project)}, status=201)


@router.get(
    "/projects/{project_id}",
    auth=Needs(scopes.READ_MEMORY),
    openapi_extra=says(answers={200: wire.projects.OneProject}),
)
def show(request: Call, project_id: str) -> Answer[wire.projects.OneProject]:
    """One project."""
    project = reach.with_merged(request.auth).filter(pk=project_id).first()
    if project is None:
        raise NotFound("Project not found")
    return Answer({"project": entities.project(project)})


@router.get(
    "/projects/{project_id}/memory",
    auth=Needs(scopes.READ_MEMORY),
    openapi_extra=says(
        answers={200: wire.projects.Emptying},
        headers={"Retry-After": "While one is under way, in how many seconds to look again"},
    ),
)
def show_emptying(request: Call, project_id: str) -> Answer[wire.projects.Emptying]:
    """Whether all that a project remembers is just being deleted, and how far that is.

    That one was given up is told until the next is asked for.
    """
    project = reach.with_merged(request.auth).filter(pk=project_id).first()
    if project is None:
        raise NotFound("Project not found")
    now = emptying.last(project.merged_into_id or project.pk)
    if now is None:
        return Answer({"projectId": project_id, "emptying": None})
    if now.given_up_at:
        return Answer({"projectId": project_id, "emptying": _stopped(now, now.given_up_at)})
    left: wire.projects.UnderWay = {
        "state": "under_way", "askedAtEpoch": epoch(now.asked_at), "counts": _gone(now.counts)
    }  # fmt: skip
    return Answer({"projectId": project_id, "emptying": left}, headers=_again())


def _stopped(last: Emptied, at: datetime) -> wire.projects.GivenUp:
    return {
        "state": "given_up",
        "askedAtEpoch": epoch(last.asked_at),
        "givenUpAtEpoch": epoch(at),
        "counts": _gone(last.counts),
        "reason": _WHO_STOPS,
        "message": _STOPPED,
    }


@router.delete(
    "/projects/{project_id}/memory",
    auth=Needs(scopes.WRITE_MEMORY),
    openapi_extra=says(
        answers={
            200: wire.projects.ProjectEmptied,
            202: wire.projects.ProjectBeingEmptied,
            404: wire.problems.NotThere,
        },
        refusals=(Conflict,),
        headers={
            "Location": "With a 202: where to see how far it is",
            "Retry-After": "With a 202: in how many seconds to look there",
        },
    ),
)
def empty(request: Call, project_id: str) -> Answer[_Emptied | wire.problems.NotThere]:
    """Delete all events, sessions, observations and jobs of a project; the project stays.

    What takes longer than some seconds is answered with 202, and goes on without the caller.
    Whoever asks meanwhile is told of the same deletion, and deletes nothing that came since.
    """
    reach.check_project(request.auth, project_id)
    asked = origin(request, "http_delete_v1_projects_memory")
    patience = retention.budget(_PATIENCE_SECONDS)
    try:
        now = emptying.empty(team(request), project_id, origin=asked, allowed=patience)
    except NotFound:
        return Answer({"error": "not_found"}, status=404)
    at, counts = epoch(now.asked_at), _gone(now.counts)
    if now.done:
        return Answer(
            {"purged": True, "projectId": project_id, "counts": counts, "askedAtEpoch": at}
        )
    left: _Emptied = {
        "purged": False, "projectId": project_id, "counts": counts, "askedAtEpoch": at,
        "message": _GOES_ON,
    }  # fmt: skip
    return Answer(left, status=202, headers={"Location": request.path, **_again()})


def _gone(counts: Counts) -> wire.projects.Gone:
    return {
        "observations": counts.observations,
        "agentEvents": counts.events,
        "sessions": counts.sessions,
        "jobs": counts.jobs,
    }


def _again() -> dict[str, str]:
    return {"Retry-After": str(_LOOK_SECONDS)}
