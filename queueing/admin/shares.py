"""What teams and projects have of the workers."""

# Django gives these methods more than each of them needs.
# ruff: noqa: ARG002

from django.contrib import admin
from django.http import HttpRequest

from queueing.browsing import NOTHING, Browsed
from queueing.models import Share


class ShareAdmin(Browsed[Share]):
    """Weights and limits, of those for whom anything was said."""

    by_project = "id"
    list_display = ("team_id", "project_id", "weight", "limit")
    fields = ("team_id", "project_id", "weight", "max_in_flight")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Share | None = None
    ) -> tuple[str, ...]:
        """Whose it is does not change."""
        return ("team_id", "project_id") if obj else ()

    @admin.display(description="at once", ordering="max_in_flight")
    def limit(self, share: Share) -> object:
        """How many calls at once; nothing where there is no limit."""
        return NOTHING if share.max_in_flight is None else share.max_in_flight


admin.site.register(Share, ShareAdmin)
