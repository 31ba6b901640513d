"""The WSGI application that the web process serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "claudemem.settings")

# Celery's app must exist before anything publishes.
from claudemem import celery  # noqa: F401

application = get_wsgi_application()
