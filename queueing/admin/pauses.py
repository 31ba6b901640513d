"""What is not worked for a while, and why: a provider's own pause, and what operators pause."""

# Django gives these methods more than each of them needs.
# ruff: noqa: ARG002

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminSelectWidget

from queueing import direct, kinds, pauses
from queueing.browsing import NOTHING, ReadOnly, badge, by_user
from queueing.models import Pause
from queueing.pauses import Subject

if TYPE_CHECKING:
    _Form = forms.ModelForm[Pause]
else:
    _Form = forms.ModelForm


class NewPause(_Form):
    """What is to be paused, of what the one who asks may pause, and why."""

    subject = forms.ChoiceField(
        widget=UnfoldAdminSelectWidget,
        help_text="Nothing of it begins until it is resumed; what is in hand is finished.",
    )

    class Meta:
        model = Pause
        fields = ("subject", "reason")
        help_texts = {"reason": "Told to whoever asks why nothing happens."}


class PauseAdmin(ReadOnly[Pause]):
    """Pauses: the provider's own, of which there is one at most, and those of operators."""

    by_project = "id"
    list_display: Any = ("shown_subject", "shown_state", "reason", "since", "until", "who")
    fields: ClassVar[tuple[Any, ...]] = (
        "shown_subject", "shown_state", "reason", "classification", "since", "until", "failures",
        "who",
    )  # fmt: skip
    readonly_fields: ClassVar[tuple[Any, ...]] = fields
    actions = ("resume_work", "try_now")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may pause and resume."""
        return request.user.has_perm("queueing.change_pause")

    def has_provider_permission(self, request: HttpRequest) -> bool:
        """Who may end a provider's own pause early: it concerns all teams."""
        return self.has_operate_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whoever may pause something adds a pause."""
        return self.has_operate_permission(request)

    def may_resume(self, request: HttpRequest, subject: Subject) -> bool:
        """Whether this pause is theirs to end."""
        return self.has_operate_permission(request)

    def choices(self, request: HttpRequest) -> list[tuple[str, str]]:
        """What may be paused, and what it is called."""
        queues = [(str(Subject("queue", name)), f"the queue {name}") for name in kinds.BY_NAME]
        return [(str(pauses.PROVIDER), "the provider: all work"), *queues]

    def get_fields(self, request: HttpRequest, obj: Pause | None = None) -> Any:
        """All that is known of a pause; of a new one, what and why."""
        return self.fields if obj else ("subject", "reason")

    def get_readonly_fields(self, request: HttpRequest, obj: Pause | None = None) -> Any:
        """A pause is made and ended, never edited."""
        return self.readonly_fields if obj else ()

    def get_form(
        self, request: HttpRequest, obj: Pause | None = None, change: bool = False, **kwargs: Any
    ) -> type[_Form]:
        """The form of a new pause, with what this user may pause."""
        if obj:
            return super().get_form(request, obj, change, **kwargs)
        form: type[Any] = super().get_form(request, obj, change, **{**kwargs, "form": NewPause})
        form.base_fields["subject"].choices = self.choices(request)
        form.base_fields["reason"].required = False
        return form

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """A pause is made, and not worked on: there is but one button."""
        context.update(show_save_and_add_another=False, show_save_and_continue=False)
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Pause, form: Any, change: bool) -> None:
        """Pause it, as every door does."""
        pauses.hold(Subject.parse(obj.subject), obj.reason, by=by_user(request))
        obj.__dict__.update(Pause.objects.get(subject=obj.subject, until=None).__dict__)

    @admin.action(description="Resume selected", permissions=["operate"])
    def resume_work(self, request: HttpRequest, queryset: QuerySet[Pause]) -> None:
        """Let what operators paused go on at once; a provider's own pause ends by a try."""
        for pause in queryset:
            subject = Subject.stored(pause.subject)
            if subject.kind == "quota":
                told, level = "it goes on by itself when it may use more", messages.WARNING
            elif pause.until is not None:
                told, level = "it is the provider's own; let it be tried now", messages.WARNING
            elif not self.may_resume(request, subject):
                told, level = "you may look at it, but not resume it", messages.ERROR
            elif pauses.resume(subject, by=by_user(request)):
                told, level = "resumed", messages.SUCCESS
            else:
                told, level = "resumed already", messages.WARNING
            self.message_user(request, f"{self.called(pause)}: {told}.", level)

    @admin.action(description="Try the provider now", permissions=["provider"])
    def try_now(self, request: HttpRequest, queryset: object) -> None:
        """Let one job try the provider at once; whether the pause goes on depends on it."""
        pauses.look_again()
        self.message_user(request, "One job tries the provider now.", messages.SUCCESS)

    def called(self, pause: Pause) -> str:
        """What people know the subject as; of a team, only the id is known here."""
        return pause.subject

    @admin.display(description="subject")
    def shown_subject(self, pause: Pause) -> str:
        """What is paused."""
        return self.called(pause)

    @admin.display(description="paused by")
    def who(self, pause: Pause) -> str:
        """Whose doing it is."""
        if pause.until is not None:
            return "the provider"
        if Subject.stored(pause.subject).kind == "quota":
            return "its quota"
        return str(pause.origin.get("actor_id") or pause.origin.get("source") or NOTHING)

    @admin.display(description="state")
    def shown_state(self, pause: Pause) -> SafeString:
        """Whether it is in force, or waits for the one job that tries."""
        tries = pause.until is not None and pause.until <= direct.now()
        return badge("trying" if tries else "paused")


admin.site.register(Pause, PauseAdmin)
