"""The Celery tasks that work jobs, one a kind so that Flower tells them apart, and upkeep."""

from celery import shared_task
from django.db import close_old_connections

from observations import sessions
from observations.generate import ObserveEvents, SummariseSession
from queueing import kinds, runner

_OBSERVE = ObserveEvents()
_SUMMARISE = SummariseSession()


@shared_task(name=kinds.EVENT.task)
def generate_event(job_id: str) -> int:
    """Work a live event's job and those behind it."""
    return runner.run(job_id, _OBSERVE)


@shared_task(name=kinds.EVENT_BATCH.task)
def generate_event_batch(job_id: str) -> int:
    """Work a bulk event's job and those behind it."""
    return runner.run(job_id, _OBSERVE)


@shared_task(name=kinds.SUMMARY.task)
def generate_summary(job_id: str) -> int:
    """Work a session's summary job."""
    return runner.run(job_id, _SUMMARISE)


@shared_task(name="observations.close_idle_sessions")
def close_idle_sessions() -> int:
    """Close sessions that went silent, and have them summarised."""
    close_old_connections()
    return sessions.close_idle()
