"""The Celery app. Its settings, with their reasons, are in `claudemem.settings`."""

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "claudemem.settings")

app = Celery("claudemem", amqp="queueing.transport:AMQP")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["queueing", "observations"])


@setup_logging.connect
def _leave_logging_alone(**_: Any) -> None:
    """Django has set it up; Celery would raise the level, and what is said at the start is lost."""
