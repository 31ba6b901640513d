"""The Celery app. Its settings, with their reasons, are in `claudemem.settings`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "claudemem.settings")

app = Celery("claudemem", amqp="queueing.transport:AMQP")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["queueing", "observations"])
