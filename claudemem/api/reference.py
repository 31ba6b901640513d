"""What the API says of itself, to programs and to people."""

from functools import cache

from django.http import HttpRequest
from ninja import NinjaAPI, Router

from claudemem.api import beside, documents, openapi
from claudemem.api.answers import Answer
from claudemem.api.documents import says
from claudemem.api.schemas import Json
from claudemem.health import version

router = Router(tags=["status"], auth=None)


@router.get("/v1/openapi.json", openapi_extra=says(answers={200: dict}))
def document(request: HttpRequest) -> Answer[Json]:  # noqa: ARG001
    """This document."""
    return Answer(made())


@cache
def made() -> Json:
    """The document of all routes."""
    from claudemem.api.routes import api

    return of(api)


def of(api: NinjaAPI) -> Json:
    """The document of the routes of `api`, and of those beside it."""
    return openapi.document([*documents.routes(api), *beside.ROUTES], version=version())
