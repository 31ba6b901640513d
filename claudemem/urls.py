"""Every address: the API, the admin, and the way from the root to it."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from claudemem import refusals
from claudemem.api.routes import api

# Here and not at start-up: workers have no use for the admin, nor the memory for it.
admin.autodiscover()

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("", api.urls),
    path("admin/", admin.site.urls),
]
handler400 = refusals.unreadable
handler403 = refusals.forbidden
handler404 = refusals.not_found
