"""API keys: made here, shown once, revoked; never the hash."""

# Django gives these methods more than each of them needs.
# ruff: noqa: ARG002

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from observations import keys, scopes
from observations.admin import sealed
from observations.admin.filters import TeamFilter
from observations.admin.reach import Scoped
from observations.errors import NotFound
from observations.models import ApiKey
from queueing.browsing import badge, by_user

if TYPE_CHECKING:
    _Form = forms.ModelForm[ApiKey]
else:
    _Form = forms.ModelForm


class KeyForm(_Form):
    """A key's name and expiry."""

    def clean_name(self) -> str:
        """Refuse a name that no list can show."""
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise ValidationError("Use printable characters only.")
        return name


class NewKey(KeyForm):
    """What a new key is for. A project alone names its team."""

    scopes = forms.MultipleChoiceField(
        choices=[(name, name) for name in scopes.KNOWN],
        initial=[scopes.MEMORIES_READ, scopes.MEMORIES_WRITE],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="What the key may do. An agent needs memories:read and memories:write.",
    )

    class Meta:
        model = ApiKey
        fields = ("name", "team", "project", "scopes", "expires_at")
        help_texts = {
            "team": "The key reaches all projects of the team, unless a project is named.",
            "project": "The key reaches this project only.",
            "expires_at": "Empty: it works until it is revoked.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["team"].required = False

    def clean(self) -> dict[str, Any]:
        """Refuse what no key can be made of."""
        super().clean()
        given = self.cleaned_data
        project, team = given.get("project"), given.get("team")
        if project and team and project.team_id != team.pk:
            self.add_error("project", "The project does not belong to the team.")
        if project and not team:
            given["team"] = project.team
        if not project and not team:
            self.add_error("team", "Choose a team or a project.")
        return given


class KeyAdmin(Scoped[ApiKey]):
    """Keys, newest first."""

    list_display = (
        "name", "shown_status", "team", "project", "what_for", "last_used_at", "expires_at",
        "created_at",
    )  # fmt: skip
    list_filter = (TeamFilter,)
    list_select_related = ("team", "project")
    search_fields = ("name", "id__exact")
    autocomplete_fields = ("team", "project")
    actions = ("revoke_keys",)
    of_new = ("name", "team", "project", "scopes", "expires_at")
    of_made = (
        "name", "team", "project", "what_for", "expires_at", "shown_status", "last_used_at",
        "revoked_at", "created_at", "id",
    )  # fmt: skip

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        """All is chosen when it is made."""
        return self.of_made if obj else self.of_new

    def get_readonly_fields(
        self, request: HttpRequest, obj: ApiKey | None = None
    ) -> tuple[str, ...]:
        """Of a key that is in use somewhere, only name and expiry change."""
        editable = ("name", "expires_at")
        return tuple(name for name in self.of_made if name not in editable) if obj else ()

    def get_form(
        self, request: HttpRequest, obj: ApiKey | None = None, change: bool = False, **kwargs: Any
    ) -> type[_Form]:
        """The form of a key, or that of a new one."""
        kwargs["form"] = KeyForm if obj else NewKey
        return super().get_form(request, obj, change, **kwargs)

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Keys are revoked: what they did stays theirs."""
        return False

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """After a key was made it is shown, whichever button was pressed: there is but one."""
        if kwargs.get("add"):
            context.update(show_save_and_add_another=False, show_save_and_continue=False)
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """A new key is minted; the raw key lives as long as this request."""
        if change:
            super().save_model(request, obj, form, change)
            return
        minted = keys.create(
            obj.name,
            obj.scopes,
            team=obj.team,
            project=obj.project,
            expires_at=obj.expires_at,
            origin=by_user(request),
        )
        obj.__dict__.update(minted.key.__dict__, raw=minted.raw)

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Lead on to the page that shows the raw key: reloading that makes no second one."""
        made = HttpResponseRedirect(reverse("admin:observations_apikey_made", args=[obj.pk]))
        sealed.send(request, made, f"key-{obj.pk}", getattr(obj, "raw", ""))
        return made

    def get_urls(self) -> list[Any]:
        """With the page of a key that was just made."""
        made = path(
            "<str:key_id>/made/",
            self.admin_site.admin_view(self.made_view),
            name="observations_apikey_made",
        )
        return [made, *super().get_urls()]

    def made_view(self, request: HttpRequest, key_id: str) -> HttpResponse:
        """The raw key, when the page is opened for the first time; afterwards that it is gone."""
        key = self.get_object(request, key_id)
        if key is None or not self.has_change_permission(request, key):
            raise Http404
        context = {
            **self.admin_site.each_context(request),
            "title": f"API key “{key.name}” was made",
            "opts": self.opts,
            "key": key,
            "raw": sealed.take(request, f"key-{key.pk}"),
        }
        return TemplateResponse(request, "observations/key_made.html", context)

    @admin.action(description="Revoke selected keys", permissions=["change"])
    def revoke_keys(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """Make keys useless from the next request on."""
        revoked = 0
        for key in queryset:
            try:
                keys.revoke(key.pk, origin=by_user(request))
            except NotFound:
                self.message_user(request, f"Revoked already: {key}", messages.WARNING)
            else:
                self.log_change(request, key, "Revoked.")
                revoked += 1
        if revoked:
            counted = f"{revoked} key{'s' if revoked > 1 else ''}"
            self.message_user(request, f"{counted} revoked.", messages.SUCCESS)

    @admin.display(description="status")
    def shown_status(self, key: ApiKey) -> SafeString:
        """Whether the key still works."""
        return badge(keys.status(key, timezone.now()))

    @admin.display(description="scopes")
    def what_for(self, key: ApiKey) -> str:
        """What the key may do."""
        return ", ".join(key.scopes)


admin.site.register(ApiKey, KeyAdmin)
