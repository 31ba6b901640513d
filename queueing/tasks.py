"""This package's own Celery tasks: upkeep, from beat and at every worker's start."""

import logging
import threading
import time
from typing import Any

from celery import shared_task
from celery.signals import worker_ready, worker_shutting_down
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections

from queueing import canaries, clock, kinds, pauses, stopping
from queueing.debts import debts
from queueing.reconcile import reconcile_quietly
from queueing.runner import WORKER

log = logging.getLogger(__name__)


class Rarely:
    """Whether it is time again, in this process: those who ask more often are told no."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._next = float("-inf")

    def __call__(self) -> bool:
        with self._lock:
            if time.monotonic() < self._next:
                return False
            self._next = time.monotonic() + self._seconds
            return True


_again = Rarely(settings.RECONCILE_SECONDS / 2)


# No task events: one a second would bury what jobs have to tell.
@shared_task(name="queueing.reconcile", send_events=False)
def reconcile() -> int:
    """Publish what is due, rescue what is stalled; nothing if that was just done here.

    Messages of an hour in which nobody took them come all at once.
    """
    if not _again():
        return 0
    try:
        close_old_connections()
        return reconcile_quietly()
    finally:
        debts.pay()
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
        clock.anchor()
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
