"""Rows in a line: what a reader of a list needs to recognise them."""

from collections.abc import Mapping

from django.utils.safestring import SafeString

from observations.models import Event, Session
from queueing.browsing import link, shortened

LONGEST = 140
_LONGEST_NAME = 20

# The one value that tells most, in the order in which it is looked for.
_OF_TOOL = ("command", "file_path", "pattern", "query", "url", "path", "description", "prompt")
_OF_EVENT = ("prompt", "error", "last_assistant_message", "message", "reason", "source", "trigger")


def gist(payload: object) -> str:
    """What the payload is about, on one line of at most LONGEST characters; "" if unknown."""
    if not isinstance(payload, Mapping):
        return _line(payload) if isinstance(payload, str) else ""
    tool = payload.get("tool_name")
    if not isinstance(tool, str) or not tool:
        return _line(_first(payload, _OF_EVENT))
    return _line(f"{tool}: {_first(payload.get('tool_input'), _OF_TOOL)}".rstrip(": "))


def event_link(event: Event) -> SafeString:
    """The way to an event, by what it is about."""
    return link(Event, event.pk, f"{event.event_type} · {gist(event.payload) or event.pk}")


def session_link(session: Session) -> SafeString:
    """The way to a session, by the ends of its name: most are called by long ids."""
    return link(Session, session.pk, called(session))


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
