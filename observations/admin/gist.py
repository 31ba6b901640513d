"""Rows in a line: what a reader of a list needs to recognise them."""

from collections.abc import Mapping

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from observations.models import Event, Session
from queueing.browsing import link, shortened

LONGEST = 140
LONGEST_EXCERPT = 600
_LONGEST_NAME = 20

# The one value that tells most, in the order in which it is looked for.
_OF_TOOL = ("command", "file_path", "pattern", "query", "url", "path", "description", "prompt")
_OF_ANSWER = ("stdout", "content", "output", "result", "error", "stderr", "text")
_OF_EVENT = ("prompt", "error", "last_assistant_message", "message", "reason", "source", "trigger")


def gist(payload: object) -> str:
    """What the payload is about, on one line of at most LONGEST characters; "" if unknown."""
    if not isinstance(payload, Mapping):
        return _line(payload) if isinstance(payload, str) else ""
    tool = payload.get("tool_name")
    if not isinstance(tool, str) or not tool:
        return _line(_first(payload, _OF_EVENT))
    return _line(f"{tool}: {_first(payload.get('tool_input'), _OF_TOOL)}".rstrip(": "))


def tool(payload: object) -> str:
    """The tool that an event is about; "" if it is about none."""
    named = payload.get("tool_name") if isinstance(payload, Mapping) else None
    return named if isinstance(named, str) else ""


def excerpt(payload: object) -> str:
    """The beginning of what a tool answered or somebody said, LONGEST_EXCERPT characters at most.

    "" where the event has nothing to say beside its gist.
    """
    if not isinstance(payload, Mapping):
        return ""
    answer = payload.get("tool_response")
    said = answer if isinstance(answer, str) else _first(answer, _OF_ANSWER)
    said = said or _first(payload, _OF_EVENT)
    found = shortened(said.strip()[: 2 * LONGEST_EXCERPT], LONGEST_EXCERPT)
    return "" if " ".join(found.split()) == gist(payload) else found


def event_link(event: Event) -> SafeString:
    """The way to an event, by what it is about."""
    return link(Event, event.pk, f"{event.event_type} · {gist(event.payload) or event.pk}")


def session_link(session: Session) -> SafeString:
    """The way to a session, by the ends of its name: most are called by long ids."""
    return link(Session, session.pk, called(session))


def place_link(session: Session, number: int) -> SafeString:
    """The way to an event's place in the timeline of its session."""
    address = reverse("admin:observations_session_change", args=[session.pk])
    return format_html(
        '<a href="{}?at={}#event-{}">{}, event {}</a>',
        address, number, number, called(session), number,
    )  # fmt: skip


def called(session: Session) -> str:
    """A session's name, or its ends if it is long."""
    name = str(session)
    return name if len(name) <= _LONGEST_NAME else f"{name[:8]}…{name[-4:]}"


def _first(values: object, names: tuple[str, ...]) -> str:
    if not isinstance(values, Mapping):
        return ""
    found = (values.get(name) for name in names)
    return next((value for value in found if isinstance(value, str) and value.strip()), "")


def _line(text: str) -> str:
    return shortened(" ".join(text[: 8 * LONGEST].split()), LONGEST)
