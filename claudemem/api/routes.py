"""The REST API: its routers, its default of refusing, and how it tells errors."""

from ninja import NinjaAPI

from claudemem.api import (
    errors,
    events,
    hooks,
    jobs,
    keys,
    memories,
    reference,
    search,
    sessions,
    status,
    stream,
    usage,
)
from claudemem.api.calls import Needs
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
for noun in (hooks, events, sessions, search, memories, jobs, keys, usage, stream):
    api.add_router("/v1", noun.router)
for open_to_all in (status, reference):
    api.add_router("", open_to_all.router)
