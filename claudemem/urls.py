"""Every address: the API, the admin, and the way from the root to it."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from claudemem.api.errors import not_found
from claudemem.api.routes import api

# Here and not at start-up: workers have no use for the admin, nor the memory for it.
admin.autodiscover()

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("", api.urls),
    path("admin/", admin.site.urls),
]
handler404 = not_found
