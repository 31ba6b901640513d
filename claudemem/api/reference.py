"""What the API says of itself, to programs and to people."""

# ruff: noqa: ARG001
import json
from functools import cache
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import mark_safe
from ninja import NinjaAPI, Router

from claudemem import headers
from claudemem.api import beside, documents, openapi
from claudemem.api.answers import Answer
from claudemem.api.documents import Media, says
from claudemem.api.schemas import Json
from claudemem.health import version

router = Router(tags=["status"], auth=None)

# Swagger UI writes styles into its elements, and draws its symbols from addresses that are data.
POLICY: Final = headers.policy(
    script_src="'self'",
    style_src="'self'",
    style_src_attr="'unsafe-inline'",
    img_src="'self' data:",
    connect_src="'self'",
)
_SETTINGS: Final = {
    "url": "/v1/openapi.json",
    "layout": "BaseLayout",
    "deepLinking": True,
    "displayRequestDuration": True,
    "docExpansion": "list",
    "defaultModelsExpandDepth": 0,
    "persistAuthorization": False,
    "validatorUrl": None,
}
_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>claudemem API</title>
<link rel="icon" type="image/svg+xml" href="{icon}">
<link rel="stylesheet" href="{style}">
</head>
<body>
<script type="application/json" id="swagger-settings">{settings}</script>
<div id="swagger-ui"></div>
<script src="{bundle}"></script>
<script src="{start}"></script>
</body>
</html>
"""


@router.get("/v1/openapi.json", openapi_extra=says(answers={200: Json}))
def document(request: HttpRequest) -> Answer[Json]:
    """This document."""
    return Answer(made())


@router.get("/v1/docs", openapi_extra=says(answers={200: Media("text/html", "<!DOCTYPE html>")}))
def browse(request: HttpRequest) -> HttpResponse:
    """This document as a page for browsers, on which each route can be tried."""
    page = format_html(
        _PAGE,
        icon=static("queueing/icon.svg"),
        style=static("ninja/swagger-ui.css"),
        bundle=static("ninja/swagger-ui-bundle.js"),
        start=static("ninja/swagger-ui-init.js"),
        settings=mark_safe(json.dumps(_SETTINGS)),  # noqa: S308 - ours, and no text of anybody
    )
    return HttpResponse(page, headers={headers.POLICY: POLICY})


@cache
def made() -> Json:
    """The document of all routes."""
    from claudemem.api.routes import api

    return of(api)


def of(api: NinjaAPI) -> Json:
    """The document of the routes of `api`, and of those beside it."""
    return openapi.document([*documents.routes(api), *beside.ROUTES], version=version())
