"""The scratch team: made for one drill, and gone with everything that was its own.

Its name says which process made it, and where. Whoever finds one whose process is gone knows that
it was left behind, and may remove it.
"""

import os
import re
import secrets
import socket
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from claudemem import storechoice
from observations import entries, keys, purge, scopes
from observations.keys import Minted
from observations.models import Project, Team
from queueing import pauses, pids
from queueing.pauses import Subject
from queueing.pids import Mark

_NAME = re.compile(r"drill-[0-9a-f]{12} of process (\d+) \((\S+)\) on (\S+)")
# No drill lasts so long: one on a host that cannot be looked at is over by then.
LONGEST = timedelta(minutes=15)
_SCOPES = (scopes.MEMORIES_READ, scopes.MEMORIES_WRITE)
BY_DRILL: entries.Origin = {"source": "cli_operator", "actor_id": "system:drill"}


@dataclass(frozen=True, slots=True)
class Scratch:
    """A scratch team, and whether the drill that made it still runs, as far as can be known."""

    team_id: str
    name: str
    running: bool = True

    @property
    def label(self) -> str:
        """Its name without who made it."""
        return self.name.partition(" ")[0]


def make() -> Scratch:
    """Make a scratch team that the installation's own workers leave alone."""
    team = Team.objects.create(name=f"drill-{secrets.token_hex(6)} of {_maker()}")
    pauses.hold(Subject("team", team.id), "a drill works this team's jobs itself", by=BY_DRILL)
    return Scratch(team.id, team.name)


def own() -> list[Scratch]:
    """Those that this process made, also one whose making was interrupted."""
    made = Team.objects.filter(name__startswith="drill-", name__endswith=f" of {_maker()}")
    return [Scratch(team.id, team.name) for team in made]


def _maker() -> str:
    me = pids.mark(os.getpid())
    return f"process {me.pid} ({me.token}) on {socket.gethostname()}"


def found() -> list[Scratch]:
    """The scratch teams that there are, the oldest first."""
    named = Team.objects.filter(name__startswith="drill-").order_by("created_at")
    return [
        Scratch(team.id, team.name, _runs(made, team))
        for team in named
        if (made := _NAME.fullmatch(team.name))
    ]


def _runs(made: re.Match[str], team: Team) -> bool:
    pid, token, host = made.groups()
    if host == socket.gethostname():
        return Mark(int(pid), token).alive
    return team.created_at > timezone.now() - LONGEST


def project(scratch: Scratch, name: str) -> Project:
    """A project of the team."""
    return Project.objects.create(team_id=scratch.team_id, name=name)


def key(about: Project) -> Minted:
    """A key for the project."""
    return keys.create(about.name, _SCOPES, team=about.team, project=about, origin=BY_DRILL)


def remove(scratch: Scratch) -> None:
    """Remove it with all that is its own, in the database and in the queue store.

    None of its workers may live. What is interrupted is finished by calling it again. Raises
    QueueStoreAway, with the team still there, where its messages cannot be removed.
    """
    if settings.QUEUE_ENGINE == storechoice.CELERY:
        sweep(scratch)
    purge.purge(scratch.team_id)


def sweep(scratch: Scratch) -> int:
    """Delete all that lies in the scratch team's own queues; how many messages waited in them.

    Raises QueueStoreAway.
    """
    from queueing import messages

    return messages.sweep(scratch.team_id)


def waiting(scratch: Scratch) -> int:
    """How many messages wait in the scratch team's own queues. Raises QueueStoreAway."""
    from queueing import messages

    return messages.waiting(scratch.team_id)
