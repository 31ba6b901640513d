"""What a server can be told from outside of its terminal: to restart, to stop, to show itself.

Under a supervisor it is the supervisor that is told: a web that ended by itself would be started
again, and one that is to restart must not end before its successor answers.
"""

import os
import signal
import time
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from claudemem import condition, health, leash, monitor
from claudemem.interrupts import ROLL
from observations.errors import Conflict
from queueing.pids import Mark, mark

# What a program of ours is asked for in its command line, and so what it is.
_ROLES = ("web", "worker", "beat", "flower")


def restart() -> None:
    """Have every process replaced, one by one, as `claudemem restart --rolling` does.

    Raises Conflict where nobody would start this one again.
    """
    supervisor = leash.supervisor()
    if supervisor is None or not supervisor.signal(ROLL):
        raise Conflict(
            "no supervisor of ours runs this server, so nothing would start it again: restart it "
            "where it was started"
        )


def stop() -> None:
    """Have everything stopped softly, or this process alone where nobody supervises it."""
    supervisor = leash.supervisor() or mark(os.getpid())
    supervisor.signal(signal.SIGTERM)


def doctor() -> dict[str, Any]:
    """The processes of this server, and how its parts are."""
    supervisor = leash.supervisor()
    processes = _processes(supervisor) if supervisor else []
    known, store = condition.known(), monitor.store()
    parts = health.statuses(known, health.queue(known, store))
    return {
        "supervisor": {
            "running": supervisor is not None and supervisor.alive,
            "pid": supervisor.pid if supervisor else None,
            "uptime": _told(time.monotonic() - monitor.STARTED),
        },
        "processes": [each.wire() for each in processes],
        "health": {
            "deadProcessPids": [each.pid for each in processes if each.dead],
            # No variable looks like a setting and is none.
            "envClean": not settings.UNKNOWN_SETTINGS,
            "dependencies": {
                "degraded": any(part["status"] != "ok" for part in parts),
                "statuses": parts,
            },
        },
    }


@dataclass(frozen=True, slots=True)
class Process:
    """A child of the supervisor: what it is, when it started, whether it has ended."""

    pid: int
    role: str
    started: float
    dead: bool

    def wire(self) -> dict[str, Any]:
        """As the answer has it."""
        return {
            "id": self.role,
            "pid": self.pid,
            "type": self.role,
            "status": "dead" if self.dead else "alive",
            "startedAtEpoch": int(self.started * 1000),
        }


def _processes(supervisor: Mark) -> list[Process]:
    import psutil  # type: ignore[import-untyped]  # hardly ever needed

    found = []
    try:
        for child in psutil.Process(supervisor.pid).children():
            with child.oneshot():
                dead = child.status() == psutil.STATUS_ZOMBIE
                role = _role([] if dead else child.cmdline())
                found.append(Process(child.pid, role, child.create_time(), dead))
    except psutil.Error:
        return found  # one has just ended: the others are told
    return found


def _role(command: list[str]) -> str:
    return next((word for word in command if word in _ROLES), "other")


def _told(seconds: float) -> str:
    minutes, hours = int(seconds // 60) % 60, int(seconds // 3600)
    return f"{hours}h {minutes}m" if hours else f"{minutes}m"
