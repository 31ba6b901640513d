"""The admin of memory: what a team browses. One module a noun."""

from observations.admin import (
    audit,
    events,
    jobs,
    keys,
    lanes,
    observations,
    people,
    sessions,
    shares,
    tenants,
    usage,
)

__all__ = [
    "audit", "events", "jobs", "keys", "lanes", "observations", "people", "sessions", "shares",
    "tenants", "usage",
]  # fmt: skip
