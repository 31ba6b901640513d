"""The REST API: its routers, its default of refusing, and how it tells errors."""

from ninja import NinjaAPI

from claudemem.api import (
    audit,
    errors,
    events,
    hooks,
    jobs,
    keys,
    memories,
    observations,
    projects,
    reference,
    search,
    sessions,
    status,
    stream,
    usage,
)
from claudemem.api.calls import Needs
from claudemem.api.plugin import compat, contexts, guide, operators, worker
from claudemem.health import version
from observations import scopes

# A route that says nothing of keys is open to nobody but the holders of `*`.
api = NinjaAPI(
    title="claudemem",
    version=version(),
    urls_namespace="api",
    docs_url=None,
    openapi_url=None,
    auth=Needs(frozenset({scopes.EVERYTHING})),
)
errors.install(api)
NOUNS = (
    *(hooks, events, sessions, search, observations, memories),
    *(jobs, projects, keys, usage, audit, stream),
)
for noun in NOUNS:
    api.add_router("/v1", noun.router)
api.add_router("/api/sessions", compat.router)
for old in (contexts, worker):
    api.add_router("/api", old.router)
api.add_router("/api/admin", operators.router)
for open_to_all in (status, guide, reference):
    api.add_router("", open_to_all.router)
