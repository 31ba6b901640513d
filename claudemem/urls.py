"""Every address: the first page, the API, the admin."""

from django.contrib import admin
from django.urls import path

from claudemem import front, refusals
from claudemem.api.routes import api

# Here and not at start-up: workers have no use for the admin, nor the memory for it.
admin.autodiscover()

urlpatterns = [
    path("", front.page),
    path("", api.urls),
    path("admin/", admin.site.urls),
]
handler400 = refusals.unreadable
handler403 = refusals.forbidden
handler404 = refusals.not_found
