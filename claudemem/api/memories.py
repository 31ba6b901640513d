"""`/v1/memories`: the older name of observations, told with the older keys."""

from django.http import HttpResponse
from ninja import Router

from claudemem.api import entities, observing, wire
from claudemem.api.answers import Answer
from claudemem.api.calls import Call, Needs
from claudemem.api.documents import says
from claudemem.api.observing import (
    ADD,
    CHANGE,
    CHANGED,
    EXAMPLE,
    TAGGED,
    UNCHANGED,
    ListQuery,
    Noun,
)
from observations import scopes
from observations.errors import NotFound, Outdated

router = Router(tags=["memories"])

MEMORY = Noun("memory", "memories", entities.observation, "http_{}_v1_memories")


@router.post(
    "/memories",
    auth=Needs(scopes.WRITE_MEMORY),
    openapi_extra=says(
        takes=ADD, example=EXAMPLE, answers={201: wire.observations.OneMemory}, headers=TAGGED
    ),
)
def add(request: Call) -> Answer[wire.observations.OneMemory]:
    """Store a memory as it is told; nothing is generated."""
    return observing.add(request, MEMORY)


@router.get(
    "/memories",
    auth=Needs(scopes.READ_MEMORY),
    openapi_extra=says(query=ListQuery, answers={200: wire.observations.Memories}),
)
def show_all(request: Call) -> Answer[wire.observations.Memories]:
    """The memories of a project, newest first; with `q` those that answer it best."""
    return observing.show_all(request, MEMORY)


@router.get(
    "/memories/{memory_id}",
    auth=Needs(scopes.READ_MEMORY),
    openapi_extra=says(answers={200: wire.observations.OneMemory, 304: UNCHANGED}, headers=TAGGED),
)
def show(request: Call, memory_id: str) -> HttpResponse:
    """One memory, by its id or its number."""
    return observing.show(request, MEMORY, memory_id)


@router.patch(
    "/memories/{memory_id}",
    auth=Needs(scopes.WRITE_MEMORY),
    openapi_extra=says(
        takes=CHANGE,
        example=CHANGED,
        answers={200: wire.observations.OneMemory},
        refusals=(Outdated,),
        headers=TAGGED,
    ),
)
def change(request: Call, memory_id: str) -> Answer[wire.observations.OneMemory]:
    """Change a memory; with `If-Match` only as it was when it was read."""
    return observing.change(request, MEMORY, memory_id)


@router.delete(
    "/memories/{memory_id}",
    auth=Needs(scopes.WRITE_MEMORY),
    openapi_extra=says(answers={200: wire.observations.MemoryDeleted, 404: wire.problems.NotThere}),
)
def delete(
    request: Call, memory_id: str
) -> Answer[wire.observations.MemoryDeleted | wire.problems.NotThere]:
    """Delete a memory and its links; 404 where there is none in the caller's reach."""
    try:
        return observing.delete(request, MEMORY, memory_id)
    except NotFound:
        return Answer({"error": "not_found"}, status=404)
