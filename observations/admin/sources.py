"""What an observation was made of, as its page shows it."""

from dataclasses import dataclass

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from observations.admin.gist import excerpt, gist, tool
from observations.models import Event, Observation, ObservationSource

# An observation rarely has more than a few; a page shows no more than so many.
MOST_SOURCES = 100


@dataclass(frozen=True, slots=True)
class Shown:
    """A source. `event` is None for what is no event, and for an event that is gone.

    `whole`: it is the session that the observation belongs to.
    """

    event: Event | None
    kind: str
    title: str
    tool: str = ""
    excerpt: str = ""
    whole: bool = False


def table(row: Observation) -> SafeString:
    """The sources of an observation, in the order in which they were found: one query."""
    links = list(row.sources.select_related("event").order_by("id")[: MOST_SOURCES + 1])
    context = {
        "sources": [_shown(one, row.session_id) for one in links[:MOST_SOURCES]],
        "more": len(links) > MOST_SOURCES,
        "session": row.session_id,
    }
    # Rendered by a template that escapes what it is given.
    return mark_safe(render_to_string("observations/sources.html", context))  # noqa: S308


def _shown(source: ObservationSource, session_id: str | None) -> Shown:
    event, kind = source.event, source.source_type
    if event is None:
        whole = source.source_id == session_id
        title = "What the session has said" if whole else f"{kind} {source.source_id}"
        return Shown(None, kind, title, whole=whole)
    title = gist(event.payload) or event.event_type
    return Shown(event, kind, title, tool(event.payload), excerpt(event.payload))
