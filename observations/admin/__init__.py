"""The admin of memory: what a team browses. One module a noun."""

from django.contrib import admin

from observations.admin import audit, events, jobs, keys, observations, sessions, tenants

__all__ = ["audit", "events", "jobs", "keys", "observations", "sessions", "tenants"]

admin.site.site_header = "claudemem"
admin.site.site_title = "claudemem"
admin.site.index_title = "Teams, memory and delivery"
