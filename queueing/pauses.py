"""What would fail every job alike stops them all: a refused key, a quota that is used up.

While a pause is in force nothing is claimed and nothing nudged; the jobs wait as they are, with
their attempts. When its time is over one job is let through to try. If that is refused as well,
the next pause is twice as long; otherwise work goes on. The row is the truth, for all workers.
"""

from dataclasses import dataclass
from enum import Enum, auto

from django.conf import settings
from django.db import transaction

from queueing import retry
from queueing.direct import moment
from queueing.statements import fetch, seconds

# There is one provider, so there is one thing to be paused.
SUBJECT = "provider"


class Gate(Enum):
    """Whether work may begin."""

    OPEN = auto()
    SHUT = auto()
    PROBE = auto()  # for one


@dataclass(frozen=True, slots=True)
class Paused:
    """A pause: why, since when refused so often, and for how many more seconds."""

    reason: str
    classification: str
    failures: int
    left: float


def gate() -> Gate:
    """Whether work may begin now."""
    for (shut,) in fetch("paused", []):
        return Gate.SHUT if shut else Gate.PROBE
    return Gate.OPEN


def probe() -> bool:
    """Whether the caller is the one that may try; until it has, all others find the gate shut."""
    with transaction.atomic():  # SQLite's writers take their turn by it
        return bool(fetch("probe", [seconds(settings.PAUSE_SECONDS)]))


def pause(reason: str, classification: str, *, probing: bool) -> None:
    """Stop everything, twice as long as the last time if `probing` found that it must be.

    Of many calls that fail at once the first makes the pause, the others change nothing.
    """
    with transaction.atomic():
        ((failures, shut),) = fetch("lock_pause", []) or [(0, False)]
        if shut and not probing:
            return
        wait = retry.pause_seconds(failures + 1, settings.PAUSE_SECONDS)
        fetch("pause", [SUBJECT, reason, classification, seconds(wait), failures + 1])


def lift() -> None:
    """Let work go on. Nudges that came to a shut gate are lost: reconcile gives them again."""
    with transaction.atomic():
        fetch("lift", [])
        fetch("all_unwoken", [])


def look_again() -> None:
    """Let one job try now, whatever is left of the pause: something may have been put right."""
    with transaction.atomic():
        fetch("look_again", [])


def current() -> Paused | None:
    """The pause that is in force or waits to be tried, if any."""
    for reason, classification, failures, until, now in fetch("pause_now", []):
        left = max(0.0, (moment(until) - moment(now)).total_seconds())
        return Paused(reason, classification, failures, left)
    return None
