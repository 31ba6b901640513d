"""What answers look like, by noun: the keys of each, and what they hold.

The document is made of these, and mypy holds what is answered to them.
"""

from claudemem.api.wire import (
    audit,
    events,
    fields,
    jobs,
    keys,
    mcp,
    observations,
    plugin,
    problems,
    projects,
    sessions,
    usage,
    vitals,
)

__all__ = [
    "audit",
    "events",
    "fields",
    "jobs",
    "keys",
    "mcp",
    "observations",
    "plugin",
    "problems",
    "projects",
    "sessions",
    "usage",
    "vitals",
]
