"""What is not worked for a while, and why: what a provider asks for, and what an operator does.

A refused key or a quota that is used up would fail every job alike, so it stops them all: while
that pause is in force nothing is claimed and nothing nudged; the jobs wait as they are, with their
attempts. When its time is over one job is let through to try. If that is refused as well, the next
pause is twice as long; otherwise work goes on.

An operator holds a team, a queue or the provider until they are resumed. Claims leave held jobs
alone, so a held head blocks its own lane and no other; what is in hand is finished. A team whose
quota is spent is held in the same way, until it has one again: not for an operator to resume. The
rows are the truth, for all workers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any, Literal, cast

import orjson
from django.conf import settings
from django.db import transaction

from queueing import kinds, outbox, retry, witness
from queueing.direct import moment
from queueing.errors import UnknownSubject
from queueing.outbox import Head
from queueing.statements import fetch, seconds

# So many heads are nudged as soon as their pause is over, the others by reconcile.
AT_ONCE = 500

Origin = Mapping[str, Any]
Sort = Literal["team", "queue", "provider", "quota"]
OPERATOR: Origin = {"source": "operator"}


class Gate(Enum):
    """Whether work may begin."""

    OPEN = auto()
    SHUT = auto()
    PROBE = auto()  # for one


@dataclass(frozen=True, slots=True)
class Paused:
    """A provider's own pause: why, how often it was refused, and for how many more seconds."""

    reason: str
    classification: str
    failures: int
    left: float


@dataclass(frozen=True, slots=True)
class Subject:
    """What can be held. `name` is a team's id or a queue's name; the provider has none.

    Its text is `team:<id>`, `queue:<name>` or `provider`, and of a team's quota `quota:<id>`.
    """

    kind: Sort
    name: str = ""

    @staticmethod
    def parse(text: str) -> "Subject":
        """The subject that `text` names. Raises UnknownSubject for one that there cannot be."""
        match text.partition(":"):
            case "team", _, name if name:
                return Subject("team", name)
            case "queue", _, name if name in kinds.BY_NAME:
                return Subject("queue", name)
            case "queue", _, name if name:
                known = ", ".join(kinds.BY_NAME)
                raise UnknownSubject(f"There is no queue {name}: name one of {known}.")
            case "provider", "", _:
                return Subject("provider")
            case "quota", _, _:
                raise UnknownSubject(
                    f"{text} is no operator's: the team goes on by itself when it may use more."
                )
        raise UnknownSubject(
            f"{text} is nothing that can be paused: name team:<team>, queue:<queue> or provider."
        )

    @staticmethod
    def stored(text: str) -> "Subject":
        """The subject of a pause that there is."""
        kind, _, name = text.partition(":")
        return Subject(cast(Sort, kind), name)  # only subjects are written

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind

    def covers(self, kind: str, team_id: str) -> bool:
        """Whether a job of this kind and team is concerned."""
        return self.kind == "provider" or self.name == (kind if self.kind == "queue" else team_id)

    @property
    def team_id(self) -> str | None:
        """The team that is meant, if it is one team."""
        return self.name if self.kind in ("team", "quota") else None


PROVIDER = Subject("provider")


@dataclass(frozen=True, slots=True)
class Hold:
    """A pause that an operator made: of what, why, since when, and who asked for it."""

    subject: Subject
    reason: str
    since: datetime
    by: Origin = field(default_factory=dict)


def gate() -> Gate:
    """Whether work may begin now: always, for a worker of one team, whose provider is another."""
    if settings.ONLY_TEAM:
        return Gate.OPEN
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
        fetch("pause", [str(PROVIDER), reason, classification, seconds(wait), failures + 1])


def lift() -> None:
    """Let work go on. Nudges that came to a shut gate are lost: reconcile gives them again."""
    with transaction.atomic():
        fetch("lift", [])
        fetch("all_unwoken", [])


def look_again() -> None:
    """Let one job try now, whatever is left of the pause: something may have been put right.

    A worker of one team knows nothing of that.
    """
    if settings.ONLY_TEAM:
        return
    with transaction.atomic():
        fetch("look_again", [])


def current() -> Paused | None:
    """The provider's own pause that is in force or waits to be tried, if any."""
    for reason, classification, failures, until, now in fetch("pause_now", []):
        left = max(0.0, (moment(until) - moment(now)).total_seconds())
        return Paused(reason, classification, failures, left)
    return None


def hold(subject: Subject, reason: str, *, by: Origin = OPERATOR) -> None:
    """Let nothing of `subject` begin until it is resumed; `reason` is told to whoever asks why.

    Jobs in hand are finished, and their lanes go no further. No attempt is lost. What is held
    already is held for the reason that was given last.
    """
    with transaction.atomic():
        fetch("hold", [str(subject), reason, orjson.dumps(dict(by)).decode()])
        witness.tell_of_pause(witness.PAUSED, subject, by)


def resume(subject: Subject, *, by: Origin = OPERATOR) -> bool:
    """Let `subject` go on at once; False if no operator held it.

    A provider's own pause is left as it is, and so is whatever else an operator holds.
    """
    with transaction.atomic():
        rows = _resumed(subject)
        if rows is None:
            return False
        witness.tell_of_pause(witness.RESUMED, subject, by)
    outbox.nudge([Head(job_id, kind) for _, job_id, kind in rows])
    return True


def _resumed(subject: Subject) -> list[tuple[Any, ...]] | None:
    """The heads that can go on and are to be nudged; None if nothing held the subject."""
    if not fetch("resume", [str(subject)]):
        return None
    fetch("unwoken_of", [str(subject)])
    rows = fetch("unwoken_ready", [AT_ONCE])
    if rows:
        fetch("woken", [row[0] for row in rows], items=len(rows))
    return rows


def hold_quota(team_id: str, reason: str) -> bool:
    """Let nothing of a team begin that has spent its quota; False if that is so already.

    Must be called inside a transaction.
    """
    subject = Subject("quota", team_id)
    return bool(fetch("hold_quota", [str(subject), reason]))


def resume_quota(team_id: str) -> bool:
    """Let a team go on that has a quota again; False if nothing held it."""
    with transaction.atomic():
        rows = _resumed(Subject("quota", team_id))
    outbox.nudge([Head(job_id, kind) for _, job_id, kind in rows or ()])
    return rows is not None


def held() -> list[Hold]:
    """What operators and quotas hold now, in the order of the subjects' texts."""
    return [
        Hold(Subject.stored(text), reason, moment(since), _origin(by))
        for text, reason, since, by in fetch("holds", [])
    ]


def _origin(stored: str | Origin) -> Origin:
    made: Origin = orjson.loads(stored) if isinstance(stored, str) else stored
    return made
