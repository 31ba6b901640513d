"""Shares by the names of teams and projects. Members see theirs, superusers change them."""

# Django gives these methods more than each of them needs.
# ruff: noqa: ARG002

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminSelectWidget

from observations import audit, entries
from observations.admin.reach import Scoped, reach
from observations.models import Project, Team
from queueing.admin.shares import ShareAdmin
from queueing.browsing import NOTHING, by_user
from queueing.models import Share

if TYPE_CHECKING:
    _Form = forms.ModelForm[Share]
else:
    _Form = forms.ModelForm


class SaidShare(_Form):
    """What is said of a share."""

    class Meta:
        model = Share
        fields = ("weight", "max_in_flight")
        labels: ClassVar[dict[str, str]] = {"max_in_flight": "At once"}
        help_texts: ClassVar[dict[str, str]] = {
            "weight": "Turns in proportion to others, while they wait as well: 1 to 1000.",
            "max_in_flight": "At most so many calls at once. Nothing: no limit.",
        }


class NewShare(SaidShare):
    """Whose share it is as well: a team's, or one of its projects'."""

    team = forms.ModelChoiceField(Team.objects.order_by("name"), widget=UnfoldAdminSelectWidget)
    project = forms.ModelChoiceField(
        Project.objects.order_by("name"),
        widget=UnfoldAdminSelectWidget,
        required=False,
        help_text="None: what is said holds for the team as a whole.",
    )

    def clean(self) -> dict[str, Any]:
        """Refuse another team's project, and whoever has a share already."""
        super().clean()
        team, project = self.cleaned_data.get("team"), self.cleaned_data.get("project")
        if team is None:
            return self.cleaned_data
        if project and project.team_id != team.pk:
            raise ValidationError({"project": "This project belongs to another team."})
        self.instance.team_id = team.pk
        self.instance.project_id = project.pk if project else ""
        whose = {"team_id": self.instance.team_id, "project_id": self.instance.project_id}
        if Share.objects.filter(**whose).exists():
            raise ValidationError("There is a share of this one already: change that.")
        return self.cleaned_data


class MemoryShareAdmin(ShareAdmin, Scoped[Share]):
    """The queue's own page of shares, with names."""

    team = "team_id"
    ordering: ClassVar[tuple[str, ...]] = ("team_id", "project_id")  # type: ignore[assignment]
    list_display: Any = ("team_name", "project_name", "weight", "limit")
    readonly_fields: ClassVar[tuple[Any, ...]] = ()

    def get_form(
        self, request: HttpRequest, obj: Share | None = None, change: bool = False, **kwargs: Any
    ) -> type[_Form]:
        """For whom it is is chosen once."""
        kwargs["form"] = SaidShare if obj else NewShare
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Share | None = None) -> tuple[str, ...]:
        """Whose it is, and what is said."""
        whose = ("team_name", "project_name") if obj else ("team", "project")
        return (*whose, "weight", "max_in_flight")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Share | None = None
    ) -> tuple[str, ...]:
        """Whose it is does not change."""
        return ("team_name", "project_name") if obj else ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        """What one team has more, others have less: only who sees all of them decides."""
        return reach(request).is_whole

    def has_change_permission(self, request: HttpRequest, obj: Share | None = None) -> bool:
        """Only who sees all teams decides."""
        return reach(request).is_whole

    def has_delete_permission(self, request: HttpRequest, obj: Share | None = None) -> bool:
        """Only who sees all teams decides."""
        return reach(request).is_whole

    def save_model(self, request: HttpRequest, obj: Share, form: Any, change: bool) -> None:
        """Set it, and enter in the audit what it is."""
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            audit.write([entries.of_share(entries.SHARE_SET, obj, by_user(request))])

    def delete_model(self, request: HttpRequest, obj: Share) -> None:
        """Clear it, and enter that in the audit."""
        with transaction.atomic():
            audit.write([entries.of_share(entries.SHARE_CLEARED, obj, by_user(request))])
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Share]) -> None:
        """Clear each of them, and enter that in the audit."""
        with transaction.atomic():
            for share in queryset:
                self.delete_model(request, share)

    def accompany(self, rows: list[Share]) -> None:
        """The names of their teams and projects."""
        teams = {row.team_id for row in rows}
        projects = {row.project_id for row in rows}
        team_of = dict(Team.objects.filter(pk__in=teams).values_list("pk", "name"))
        project_of = dict(Project.objects.filter(pk__in=projects).values_list("pk", "name"))
        for row in rows:
            vars(row)["team_named"] = team_of.get(row.team_id, row.team_id)
            vars(row)["project_named"] = project_of.get(row.project_id, row.project_id) or NOTHING

    @admin.display(description="team")
    def team_name(self, share: Share) -> str:
        """The team's name; its id if it is gone."""
        if "team_named" not in vars(share):
            self.accompany([share])
        return str(vars(share)["team_named"])

    @admin.display(description="project")
    def project_name(self, share: Share) -> str:
        """The project's name; its id if it is gone; nothing for the team as a whole."""
        if "project_named" not in vars(share):
            self.accompany([share])
        return str(vars(share)["project_named"])


admin.site.unregister(Share)
admin.site.register(Share, MemoryShareAdmin)
