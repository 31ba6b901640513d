"""Why nothing is worked, if so."""

# Django gives these methods more than each of them needs.
# ruff: noqa: ARG002

from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from queueing import pauses
from queueing.browsing import ReadOnly, badge
from queueing.models import Pause


class PauseAdmin(ReadOnly[Pause]):
    """Pauses. There is one at most: there is one provider."""

    by_project = "id"
    list_display = ("subject", "shown_state", "reason", "since", "until", "failures")
    fields = readonly_fields = (
        "subject", "shown_state", "reason", "classification", "since", "until", "failures",
    )  # fmt: skip
    actions = ("try_now",)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may end a pause early: it concerns all teams."""
        return request.user.has_perm("queueing.change_pause")

    @admin.action(description="Try again now", permissions=["operate"])
    def try_now(self, request: HttpRequest, queryset: object) -> None:
        """Let one job try the provider at once; whether the pause goes on depends on it."""
        pauses.look_again()
        self.message_user(request, "One job tries the provider now.", messages.SUCCESS)

    @admin.display(description="state")
    def shown_state(self, pause: Pause) -> SafeString:
        """Whether it is in force, or waits for the one job that tries."""
        tries = pause.until is not None and pause.until <= timezone.now()
        return badge("trying" if tries else "paused")


admin.site.register(Pause, PauseAdmin)
