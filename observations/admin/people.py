"""Who may sign in, and who belongs to which team."""

# Django gives these methods more than each of them needs.
# ruff: noqa: ARG002

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminTextInputWidget

from observations.admin.filters import TeamFilter
from observations.admin.reach import Scoped, reach
from observations.models import Member
from queueing.browsing import NOTHING, Chosen, badge, link, once

if TYPE_CHECKING:
    _Form = forms.ModelForm[Member]
    _Users = UserAdmin[User]
else:
    _Form = forms.ModelForm

    class _Users(Chosen, UserAdmin, ModelAdmin):
        """Django's pages of users, in the theme."""


class NewMember(_Form):
    """Whom to add: by the name, since nobody is shown the users of other teams."""

    username = forms.CharField(
        widget=UnfoldAdminTextInputWidget,
        help_text="The name that somebody signs in with. Superusers make users.",
    )

    class Meta:
        model = Member
        fields = ("team", "role")

    def clean_username(self) -> str:
        """Refuse a name that nobody signs in with."""
        name: str = self.cleaned_data["username"].strip()
        user = User.objects.filter(username=name, is_active=True, is_staff=True).first()
        if user is None:
            raise ValidationError("Nobody signs in here with this name.")
        self.instance.user = user
        return name

    def clean(self) -> dict[str, Any]:
        """Refuse who is in the team already."""
        super().clean()
        team = self.cleaned_data.get("team")
        user = self.instance.user_id
        if team and user and Member.objects.filter(team=team, user=user).exists():
            self.add_error("username", "Is a member of this team already.")
        return self.cleaned_data


class MemberAdmin(Scoped[Member]):
    """Members, by team. Admins of a team add and remove its members."""

    list_display = ("user", "team", "shown_role", "created_at")
    list_filter = (TeamFilter,)
    list_select_related = ("user", "team")
    ordering = ("-id",)
    search_fields = ("user__username__istartswith",)
    search_help_text = "The beginning of a user's name"
    autocomplete_fields = ("team",)

    def get_form(
        self, request: HttpRequest, obj: Member | None = None, change: bool = False, **kwargs: Any
    ) -> type[_Form]:
        """A new member is named; of one that is there only the role changes."""
        if obj is None:
            kwargs["form"] = NewMember
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Member | None = None) -> tuple[str, ...]:
        """Who, where, as what."""
        return ("user", "team", "role", "created_at") if obj else ("username", "team", "role")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Member | None = None
    ) -> tuple[str, ...]:
        """Who and where stays."""
        return ("user", "team", "created_at") if obj else ()

    @admin.display(description="role")
    def shown_role(self, member: Member) -> SafeString:
        """The role as a coloured word."""
        return badge(member.role)


class AdminUser(_Users):
    """Who may sign in, for superusers. What users may do follows from their teams."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "is_active", "is_superuser", "last_login")
    list_filter = ("is_superuser", "is_active")
    filter_horizontal = ()
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("username", "password", "first_name", "last_name", "email")}),
        ("May", {"fields": ("is_active", "is_staff", "is_superuser", "teams")}),
        ("Since", {"fields": (("date_joined", "last_login"),)}),
    )
    readonly_fields = ("date_joined", "last_login", "teams")

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Superusers only: a user belongs to no team alone."""
        return reach(request).is_whole

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers only."""
        return reach(request).is_whole

    has_change_permission = has_delete_permission = has_view_permission

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Superusers only."""
        return reach(request).is_whole

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Whoever is made here is to sign in here."""
        if not change:
            obj.is_staff = True
        super().save_model(request, obj, form, change)

    @admin.display(description="teams")
    @once
    def teams(self, user: User) -> SafeString | str:
        """The teams of which the user is a member."""
        rows = Member.objects.filter(user=user.pk).select_related("team").order_by("team__name")
        shown = ((link(Member, row.pk, row.team), badge(row.role)) for row in rows)
        return format_html_join("", "<div>{} {}</div>", shown) or NOTHING


# Django's groups carry permissions, which decide nothing here.
admin.site.unregister(Group)
admin.site.unregister(User)
admin.site.register(User, AdminUser)
admin.site.register(Member, MemberAdmin)
