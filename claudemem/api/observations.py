"""Observations: add one by hand, list, look at, change and delete."""

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
from observations.errors import Outdated

router = Router(tags=["observations"])

OBSERVATION = Noun(
    "observation", "observations", entities.whole_observation, "http_{}_v1_observations"
)


@router.post(
    "/observations",
    auth=Needs(scopes.WRITE_MEMORY),
    openapi_extra=says(
        takes=ADD, example=EXAMPLE, answers={201: wire.observations.OneObservation}, headers=TAGGED
    ),
)
def add(request: Call) -> Answer[wire.observations.OneObservation]:
    """Store an observation as it is told; nothing is generated."""
    return observing.add(request, OBSERVATION)


@router.get(
    "/observations",
    auth=Needs(scopes.READ_MEMORY),
    openapi_extra=says(query=ListQuery, answers={200: wire.observations.Observations}),
)
def show_all(request: Call) -> Answer[wire.observations.Observations]:
    """The observations of a project, newest first; with `q` those that answer it best."""
    return observing.show_all(request, OBSERVATION)


@router.get(
    "/observations/{observation_id}",
    auth=Needs(scopes.READ_MEMORY),
    openapi_extra=says(
        answers={200: wire.observations.OneObservation, 304: UNCHANGED}, headers=TAGGED
    ),
)
def show(request: Call, observation_id: str) -> HttpResponse:
    """One observation, by its id or its number."""
    return observing.show(request, OBSERVATION, observation_id)


@router.patch(
    "/observations/{observation_id}",
    auth=Needs(scopes.WRITE_MEMORY),
    openapi_extra=says(
        takes=CHANGE,
        example=CHANGED,
        answers={200: wire.observations.OneObservation},
        refusals=(Outdated,),
        headers=TAGGED,
    ),
)
def change(request: Call, observation_id: str) -> Answer[wire.observations.OneObservation]:
    """Change an observation; with `If-Match` only as it was when it was read."""
    return observing.change(request, OBSERVATION, observation_id)


@router.delete(
    "/observations/{observation_id}",
    auth=Needs(scopes.WRITE_MEMORY),
    openapi_extra=says(answers={200: wire.observations.MemoryDeleted}),
)
def delete(request: Call, observation_id: str) -> Answer[wire.observations.MemoryDeleted]:
    """Delete an observation and its links."""
    return observing.delete(request, OBSERVATION, observation_id)
