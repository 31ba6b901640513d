"""Projects: list, make, look at, and forget all that one remembers."""

from ninja import Router
from pydantic import Field, TypeAdapter

from claudemem.api import asking, bodies, entities, pages, reach, wire
from claudemem.api.answers import Answer
from claudemem.api.asking import Filter
from claudemem.api.calls import Call, Needs, origin, team
from claudemem.api.documents import says
from claudemem.api.pages import PageQuery
from claudemem.api.shapes import Body, Metadata, Name
from observations import emptying, listings, projects, scopes
from observations.errors import Conflict, Forbidden, NotFound
from observations.listings import PROJECTS
from observations.projects import NewProject

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


@router.delete(
    "/projects/{project_id}/memory",
    auth=Needs(scopes.WRITE_MEMORY),
    openapi_extra=says(
        answers={200: wire.projects.ProjectEmptied, 404: wire.problems.NotThere},
        refusals=(Conflict,),
    ),
)
def empty(
    request: Call, project_id: str
) -> Answer[wire.projects.ProjectEmptied | wire.problems.NotThere]:
    """Delete all events, sessions, observations and jobs of a project; the project stays."""
    reach.check_project(request.auth, project_id)
    asked = origin(request, "http_delete_v1_projects_memory")
    try:
        counts = emptying.empty(team(request), project_id, origin=asked)
    except NotFound:
        return Answer({"error": "not_found"}, status=404)
    told: wire.projects.Gone = {
        "observations": counts.observations,
        "agentEvents": counts.events,
        "sessions": counts.sessions,
        "jobs": counts.jobs,
    }
    return Answer({"purged": True, "projectId": project_id, "counts": told})
