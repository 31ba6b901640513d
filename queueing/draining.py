"""What is still to be done before nothing of a team, or nothing at all, is in hand."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet

from queueing import identity, pauses, statements, states
from queueing.depths import Held
from queueing.models import GenerationJob
from queueing.pauses import Subject


@dataclass(frozen=True, slots=True)
class Left:
    """What is in hand, how many jobs wait besides, and how many of those nobody holds."""

    in_hand: Sequence[Held]
    waiting: int
    may_run: int

    @property
    def told(self) -> str:
        """All of it in words."""
        hands = [
            f"{identity.shown(each.worker)} has {each.jobs} of {each.kind}" for each in self.in_hand
        ]
        held = self.waiting - self.may_run
        waits = f"{self.waiting} wait" + (f", {held} of them paused" if held else "")
        return "; ".join([*(hands or ["nothing is in hand"]), waits])


def left(subject: Subject) -> Left:
    """What is left of `subject`, counted by an index of what is open."""
    rows = GenerationJob.objects.filter(state__in=states.OPEN).order_by()
    match subject.kind:
        case "team" | "quota":
            rows = rows.filter(team_id=subject.name)
        case "queue":
            rows = rows.filter(kind=subject.name)
    in_force = Q(state=states.PROCESSING, lease_until__gt=statements.now())
    hands = rows.filter(in_force).values_list("kind", "leased_by").annotate(count=Count("pk"))
    waiting, may_run = _waiting(rows.exclude(in_force))
    return Left([Held(*row) for row in hands.order_by("leased_by", "kind")], waiting, may_run)


def _waiting(rows: QuerySet[GenerationJob]) -> tuple[int, int]:
    holds = [hold.subject for hold in pauses.held()]
    counted = rows.values_list("kind", "team_id").annotate(count=Count("pk"))
    waiting = may_run = 0
    for kind, team_id, count in counted:
        waiting += count
        if not any(held.covers(kind, team_id) for held in holds):
            may_run += count
    return waiting, may_run
