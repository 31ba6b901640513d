"""What is due by the clock, as Celery's beat reads it. Pure."""

from typing import Any, Final

# Where so many wait to be taken nobody takes them: more would be kept for nothing.
MOST_WAITING: Final = 60


def of_beat(*, reconcile: float, idle: float, only_team: bool) -> dict[str, dict[str, Any]]:
    """The tasks that are due, by name; `reconcile` and `idle` are settings of theirs, in seconds.

    With `only_team` a worker does one team's jobs: what else is due is done for all teams, by
    others.
    """
    always = {"reconcile": _each(reconcile, "queueing.reconcile")}
    if only_team:
        return always
    return {
        **always,
        "close-idle-sessions": _each(min(60.0, idle / 2), "observations.close_idle_sessions"),
        # A quota that is spent holds its team at once; this lets it go on, with a new month or cap.
        "review-quotas": _each(60.0, "observations.review_quotas"),
        "prune": _each(60.0, "observations.prune"),
        # What whoever asked did not wait for, or a process that died has left.
        "empty-projects": _each(30.0, "observations.empty_projects"),
    }


def _each(seconds: float, task: str) -> dict[str, Any]:
    return {"task": task, "schedule": seconds, "options": {"queue": "upkeep"}}
