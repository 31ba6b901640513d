"""Every address: the API, the admin, and the way from the root to it."""

import sys

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from claudemem import refusals
from claudemem.api.routes import api


def _load_admin() -> None:
    """Here and not at start-up: workers have no use for the admin, nor the memory for it.

    The theme dresses fields of PostgreSQL's own, of which we have none. Where they cannot be
    imported it does without them, and SQLite without PostgreSQL's driver: 9 MB.
    """
    fields = "django.contrib.postgres.fields"
    before = {fields: sys.modules[fields]} if fields in sys.modules else {}
    sys.modules[fields] = None  # type: ignore[assignment]
    try:
        admin.autodiscover()
    finally:
        del sys.modules[fields]
        sys.modules.update(before)


_load_admin()

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("", api.urls),
    path("admin/", admin.site.urls),
]
handler400 = refusals.unreadable
handler403 = refusals.forbidden
handler404 = refusals.not_found
