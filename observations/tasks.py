"""The Celery tasks that work jobs, one a kind so that Flower tells them apart, and upkeep."""

import logging
from typing import Any

from celery import shared_task
from celery.signals import worker_ready
from django.db import InterfaceError, OperationalError, close_old_connections

from observations import emptying, generate, merging, retention, sessions, usage
from observations.generate import ObserveEvents, SummariseSession
from observations.providers import OFFLINE, UnknownProvider
from queueing import kinds, runner
from queueing.kinds import Kind
from queueing.retention import budget
from queueing.runner import Handler
from queueing.stopping import begun

log = logging.getLogger(__name__)

_OBSERVE = ObserveEvents()
_HANDLERS: dict[str, Handler] = {
    kinds.EVENT.name: _OBSERVE,
    kinds.EVENT_BATCH.name: _OBSERVE,
    kinds.SUMMARY.name: SummariseSession(),
}


@worker_ready.connect
def _say_who_observes(**_: Any) -> None:
    try:
        chosen = generate.provider()
    except UnknownProvider as error:
        log.error("nothing can be observed: %s", error)
        return
    if chosen.name == OFFLINE:
        log.info("observations are made offline, by rules: no CLAUDE_MEM_SERVER_PROVIDER is set")
    else:
        log.info("observations are made by %s (%s)", chosen.model, chosen.name)


@shared_task(name=kinds.EVENT.task, bind=True)
def generate_event(self: Any, job_id: str) -> int:
    """Work a live event's job and those behind it."""
    return _run(self, kinds.EVENT, job_id)


@shared_task(name=kinds.EVENT_BATCH.task, bind=True)
def generate_event_batch(self: Any, job_id: str) -> int:
    """Work a bulk event's job and those behind it."""
    return _run(self, kinds.EVENT_BATCH, job_id)


@shared_task(name=kinds.SUMMARY.task, bind=True)
def generate_summary(self: Any, job_id: str) -> int:
    """Work a session's summary job."""
    return _run(self, kinds.SUMMARY, job_id)


def _run(task: Any, kind: Kind, job_id: str) -> int:
    served = task.app.amqp.queues.consume_from
    beside = {name: handler for name, handler in _HANDLERS.items() if name in served}
    return runner.run(
        job_id, _HANDLERS[kind.name], beside=beside, task=task.request.id, account=generate.account
    )


@shared_task(name="observations.prune", send_events=False)
def prune() -> int:
    """Delete what is kept no longer, if that is due; how much."""
    try:
        close_old_connections()
        pruned = retention.prune_if_due()
        return pruned.all if pruned else 0
    except (OperationalError, InterfaceError) as error:
        log.warning("nothing more was pruned, the database failed: %s", error)
        return 0
    finally:
        close_old_connections()


@shared_task(name="observations.review_quotas", send_events=False)
def review_quotas() -> None:
    """Hold teams that have spent their quota, and let those go on that have one again."""
    try:
        close_old_connections()
        usage.review()
    except (OperationalError, InterfaceError) as error:
        log.warning("quotas were not looked at, the database failed: %s", error)
    finally:
        close_old_connections()


@shared_task(name="observations.close_idle_sessions", send_events=False)
def close_idle_sessions() -> int:
    """Close sessions that went silent, and have them summarised; finish what merges left."""
    try:
        close_old_connections()
        merging.gather(budget(merging.LOOK_SECONDS, stop=begun.is_set))
        return sessions.close_idle()
    finally:
        close_old_connections()


@shared_task(name="observations.empty_projects", send_events=False)
def empty_projects() -> int:
    """Go on with what projects are to forget; how many are done with."""
    try:
        close_old_connections()
        return emptying.go_on(budget(emptying.PASS_SECONDS, stop=begun.is_set))
    except (OperationalError, InterfaceError) as error:
        log.warning("nothing more was forgotten, the database failed: %s", error)
        return 0
    finally:
        close_old_connections()
