"""Failures of commands: which are alike, and what was done until the same worked again."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from observations.models import Event, Observation, ObservationSource

# So many events after a failure it is looked for where the same worked again.
_FAR: Final = 400
# Of what was made of the events between, so much at most, the newest.
_MOST: Final = 40
_FAILED: Final = "PostToolUseFailure"
_ERRORS: Final = """
    error exception failed failure fatal cannot denied missing undefined unknown invalid
"""
_NAMING: Final = frozenset(_ERRORS.split())


def gist(text: str) -> str:
    """What of an error and its command tells it from others: the lines that name it, and the last.

    The command stands behind the error.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    naming = [line for line in lines if not _NAMING.isdisjoint(_words(line))]
    return "\n".join(dict.fromkeys((*naming[-3:], *lines[-1:])))


def failures(numbers: Sequence[int]) -> Mapping[int, Event]:
    """Of these observations those that were made of a failure, each with its event."""
    links = ObservationSource.objects.filter(
        observation_id__in=numbers, event__event_type=_FAILED
    ).select_related("event")
    return {link.observation_id: link.event for link in links if link.event}


def mended(failed: Event) -> int | None:
    """The event of the same session in which the same command worked again, by its number."""
    asked = command(failed.payload)
    if failed.number is None or not asked:
        return None
    later = Event.objects.filter(
        session_id=failed.session_id,
        number__gt=failed.number,
        number__lte=failed.number + _FAR,
        event_type="PostToolUse",
    ).order_by("number")
    given = later.values_list("number", "payload__tool_input")
    return next((number for number, what in given if command({"tool_input": what}) == asked), None)


def between(failed: Event, mended_at: int) -> list[Observation]:
    """What was made of the events from a failure to where it worked again, newest first."""
    rows = Observation.objects.filter(
        sources__event__session_id=failed.session_id,
        sources__event__number__gt=failed.number,
        sources__event__number__lte=mended_at,
    )
    return list(rows.exclude(kind="summary").distinct().order_by("-occurred_at", "-number")[:_MOST])


def command(payload: object) -> str:
    """The command of a tool's use, each run of blanks one; "" if it has none."""
    given = payload.get("tool_input") if isinstance(payload, dict) else None
    said = given.get("command") if isinstance(given, dict) else None
    return " ".join(said.split()) if isinstance(said, str) else ""


def _words(line: str) -> Iterable[str]:
    for word in line.replace(":", " ").replace(".", " ").split():
        yield word.lower()
        yield from (end.lower() for end in ("Error", "Exception") if word.endswith(end))
