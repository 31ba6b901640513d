"""This package's own Celery tasks: upkeep, from beat and at every worker's start."""

import logging
from typing import Any

from celery import shared_task
from celery.signals import worker_ready, worker_shutting_down
from django.db import InterfaceError, OperationalError, close_old_connections

from queueing import canaries, kinds, pauses, stopping
from queueing.reconcile import reconcile_quietly
from queueing.runner import WORKER

log = logging.getLogger(__name__)


# No task events: one a second would bury what jobs have to tell.
@shared_task(name="queueing.reconcile", send_events=False)
def reconcile() -> int:
    """Publish what is due, rescue what is stalled."""
    try:
        close_old_connections()
        return reconcile_quietly()
    finally:
        close_old_connections()


@shared_task(name=kinds.CANARY, send_events=False)
def canary(name: str) -> None:
    """Say that a canary came through its queue. One that cannot be noted is sent again soon."""
    queue, _, number = name.partition(" ")
    try:
        close_old_connections()
        canaries.see(queue, int(number), WORKER)
    except (OperationalError, InterfaceError) as error:
        log.warning("the database failed as the canary of %s was noted: %s", queue, error)
    finally:
        close_old_connections()


@worker_ready.connect
def _reconcile_at_start(**_: Any) -> None:
    try:
        # A worker that starts anew may have been given the right key.
        pauses.look_again()
        reconcile_quietly()
    except (OperationalError, InterfaceError) as error:
        log.warning("the database failed at the worker's start: %s", error)
    finally:
        close_old_connections()


@worker_shutting_down.connect
def _finish_what_is_in_hand(**_: Any) -> None:
    stopping.begun.set()
