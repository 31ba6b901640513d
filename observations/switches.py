"""What is switched off in which project, asked of the database every few seconds for all hooks."""

import threading
import time
from typing import Final

from django.db.models import Q

from observations.hook_policies import ALL_ON, Switches
from observations.models import Project

# So long (s) what an admin switched may go unnoticed.
KEEP: Final = 5.0


class _Known:
    """The projects in which something is switched off."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._off: dict[str, Switches] = {}

    def off(self) -> dict[str, Switches]:
        """Them, as they were at most KEEP ago; one asks for all who want to know."""
        if time.monotonic() - self._asked_at < KEEP:
            return self._off
        with self._lock:
            if time.monotonic() - self._asked_at >= KEEP:
                rows = Project.objects.filter(Q(capture=False) | Q(context=False))
                self._off = {
                    pk: Switches(capture, context)
                    for pk, capture, context in rows.values_list("pk", "capture", "context")
                }
                self._asked_at = time.monotonic()
        return self._off

    def forget(self) -> None:
        """Have it asked anew."""
        self._asked_at = float("-inf")


known: Final = _Known()


def are_all_on() -> bool:
    """Whether nothing is switched off anywhere, so that nobody need know which project it is."""
    return not known.off()


def of(project_id: str) -> Switches:
    """What is switched on in a project."""
    return known.off().get(project_id, ALL_ON)
